# Backups and WAL in a bucket of Google Cloud Storage. The credentials are Google's application default credentials: the file that
# GOOGLE_APPLICATION_CREDENTIALS names, or the service account of the machine.
barman {
  home = "/var/lib/barman"
}

server "main" {
  conninfo           = "host=pg.example.com user=barman dbname=postgres"
  streaming_conninfo = "host=pg.example.com user=streaming_barman"

  backup {
    source "pgbasebackup" { checkpoint = "fast" }
    transform "compress" { codec = "zstd" }
    sink "gcs" {
      url = "gs://backups/postgres"
    }
  }

  wal {
    source "pgreceivewal" {
      slot        = "barman"
      create_slot = "auto"
    }
    transform "compress" { codec = "zstd" }
    sink "gcs" {
      url = "gs://backups/postgres"
    }
  }

  retention {
    policy = "RECOVERY WINDOW OF 2 WEEKS"
  }
}
