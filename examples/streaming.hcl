# WAL is streamed as it is written, so that at most its last moment can be lost, and everything is compressed.
# PostgreSQL needs no archive_command, only a user that may replicate.
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
