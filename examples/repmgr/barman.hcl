# The backup host of a repmgr cluster. Backups are plain files, which repmgr fetches with rsync; conninfo names every node, so that
# barman finds the primary after a failover.
barman {
  home = "/var/lib/barman"
}

server "main" {
  conninfo           = "host=node1,node2 user=barman dbname=postgres target_session_attrs=read-write"
  streaming_conninfo = "host=node1,node2 user=streaming_barman target_session_attrs=read-write"

  backup {
    source "pgbasebackup" {}
    sink "posix" {}
    layout = "plain"
  }

  wal {
    source "pgreceivewal" {
      slot        = "barman"
      create_slot = "auto"
    }
    transform "compress" {
      codec = "lz4"
    }
    sink "posix" {}
  }
}
