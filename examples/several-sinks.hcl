# One read of the server, three copies: on this host, for a quick recovery, and in buckets of two providers. The buckets are not
# required: while one is away backups are complete without it, barman says so, and "barman sync-sink main" brings it up to date.
barman {
  home = "/var/lib/barman"
}

server "main" {
  conninfo           = "host=pg.example.com user=barman dbname=postgres"
  streaming_conninfo = "host=pg.example.com user=streaming_barman"

  backup {
    source "pgbasebackup" { checkpoint = "fast" }
    transform "compress" { codec = "zstd" }
    sink "posix" {}
    sink "s3" {
      url      = "s3://backups/postgres"
      region   = "eu-west-3"
      required = false
    }
    sink "azure" {
      url      = "https://example.blob.core.windows.net/backups/postgres"
      required = false
    }
  }

  wal {
    source "pgreceivewal" {
      slot        = "barman"
      create_slot = "auto"
    }
    transform "compress" { codec = "zstd" }
    sink "posix" {}
    sink "s3" {
      url      = "s3://backups/postgres"
      region   = "eu-west-3"
      required = false
    }
    sink "azure" {
      url      = "https://example.blob.core.windows.net/backups/postgres"
      required = false
    }
  }

  retention {
    policy = "REDUNDANCY 3"
  }
}
