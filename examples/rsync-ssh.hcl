# Base backups with rsync over SSH, the second scenario of the manual: what did not change since the backup before is shared with it by
# hard links, so that daily backups take little room, time and network. WAL is delivered by archive_command, as in
# archive-command.hcl, in postgresql.conf:
#
#   archive_mode    = on
#   archive_command = 'barman-wal-archive backup.example.com main %p'
#
# The user barman here logs in as postgres there, by key, and the other way round for WAL: try "ssh postgres@pg.example.com true" once.
barman {
  home = "/var/lib/barman"
}

server "main" {
  description        = "Main PostgreSQL database"
  conninfo           = "host=pg.example.com user=barman dbname=postgres"
  streaming_conninfo = "host=pg.example.com user=streaming_barman dbname=postgres"

  backup {
    source "rsync" {
      ssh_command          = "ssh -q postgres@pg.example.com"
      reuse_backup         = "link"
      immediate_checkpoint = true
    }
    sink "posix" {}
    jobs = 4
  }

  wal {
    archive = true
    transform "compress" {
      codec = "zstd"
    }
    sink "posix" {}
  }

  retention {
    policy             = "RECOVERY WINDOW OF 14 DAYS"
    minimum_redundancy = 1
  }
}
