# The first of two sites: an ordinary barman, which looks after the PostgreSQL server here. Nothing in it tells of the second
# site, whose barman logs in as user barman to copy backups and WAL (geo-second.hcl).
barman {
  home = "/var/lib/barman"
}

server "main" {
  description        = "Main database, Europe"
  conninfo           = "host=pg.example.com user=barman dbname=postgres"
  streaming_conninfo = "host=pg.example.com user=streaming_barman"

  backup {
    source "pgbasebackup" {}
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
      codec = "lz4"
    }
    sink "posix" {}
  }

  retention {
    policy = "RECOVERY WINDOW OF 7 DAYS"
  }
}
