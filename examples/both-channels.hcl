# WAL comes in two ways, and either may fail: it is streamed as it is written, and delivered by archive_command when a segment is full.
# What comes twice is stored once. In postgresql.conf, as in archive-command.hcl:
#
#   archive_mode    = on
#   archive_command = 'barman-wal-archive backup.example.com main %p'
barman {
  home = "/var/lib/barman"
}

server "main" {
  description        = "Main PostgreSQL database"
  conninfo           = "host=pg.example.com user=barman dbname=postgres"
  streaming_conninfo = "host=pg.example.com user=streaming_barman dbname=postgres"

  backup {
    source "pgbasebackup" {
      checkpoint = "fast"
    }
    transform "compress" {
      codec = "zstd"
    }
    sink "posix" {}
  }

  wal {
    archive = true
    source "pgreceivewal" {
      slot        = "barman"
      create_slot = "auto"
    }
    transform "compress" {
      codec = "zstd"
    }
    sink "posix" {}
  }

  retention {
    policy             = "RECOVERY WINDOW OF 7 DAYS"
    minimum_redundancy = 1
  }
}
