# barman runs where PostgreSQL runs, as a user who may read the data directory, and stores backups on a mounted file system. Without
# ssh_command rsync copies on this machine; it does so no faster than bandwidth_limit, in kilobytes a second.
barman {
  home = "/var/lib/barman"
}

server "main" {
  description        = "The PostgreSQL of this machine"
  conninfo           = "host=pg.example.com user=barman dbname=postgres"
  streaming_conninfo = "host=pg.example.com user=streaming_barman dbname=postgres"

  backup {
    source "rsync" {
      reuse_backup         = "link"
      bandwidth_limit      = 100000
      immediate_checkpoint = true
    }
    sink "posix" {}
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

  retention {
    policy             = "REDUNDANCY 3"
    minimum_redundancy = 1
  }
}
