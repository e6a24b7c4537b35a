# Backups and WAL in a container of Azure Blob Storage. Without a setting that says otherwise the credentials are those of the
# environment (AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_KEY), else the machine's managed identity
# or who is logged in with the Azure command line.
barman {
  home = "/var/lib/barman"
}

server "main" {
  conninfo           = "host=pg.example.com user=barman dbname=postgres"
  streaming_conninfo = "host=pg.example.com user=streaming_barman"

  backup {
    source "pgbasebackup" { checkpoint = "fast" }
    transform "compress" { codec = "zstd" }
    sink "azure" {
      url = "https://example.blob.core.windows.net/backups/postgres"
    }
  }

  wal {
    source "pgreceivewal" {
      slot        = "barman"
      create_slot = "auto"
    }
    transform "compress" { codec = "zstd" }
    sink "azure" {
      url = "https://example.blob.core.windows.net/backups/postgres"
    }
  }

  retention {
    policy = "RECOVERY WINDOW OF 2 WEEKS"
  }
}
