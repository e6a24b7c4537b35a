# Backups and WAL in a bucket of Amazon S3, and nothing on this host but what is under way. Credentials come from where the AWS
# command line has them from: the environment, ~/.aws, the role of the instance or of the container. For another store, MinIO or
# Ceph, add its endpoint: endpoint = "https://minio.example.com". docs/cloud.md tells what the credentials must be allowed to do.
barman {
  home = "/var/lib/barman"
}

server "main" {
  conninfo           = "host=pg.example.com user=barman dbname=postgres"
  streaming_conninfo = "host=pg.example.com user=streaming_barman"

  backup {
    source "pgbasebackup" { checkpoint = "fast" }
    transform "compress" { codec = "zstd" }
    sink "s3" {
      url    = "s3://backups/postgres"
      region = "eu-west-3"
    }
  }

  wal {
    source "pgreceivewal" {
      slot        = "barman"
      create_slot = "auto"
    }
    transform "compress" { codec = "zstd" }
    sink "s3" {
      url    = "s3://backups/postgres"
      region = "eu-west-3"
    }
  }

  retention {
    policy = "RECOVERY WINDOW OF 2 WEEKS"
  }
}
