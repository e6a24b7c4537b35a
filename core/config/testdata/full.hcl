barman {
  home           = "/srv/barman"
  lock_directory = "/run/barman"
  plugin_dirs    = ["/usr/libexec/barman"]
  log_file       = "/var/log/barman/barman.log"
  log_level      = "debug"
}

plugin "sink" "gcs" {
  path   = "/opt/acme/barman-plugin-sink-gcs"
  sha256 = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"
}

defaults {
  check_timeout           = "1m"
  last_backup_maximum_age = "4 DAYS"

  backup {
    jobs = 4
    sink "posix" {}
    sink "s3" {
      url      = "s3://bucket/${server.name}"
      required = false
    }
  }

  wal {
    source "pgreceivewal" {}
  }

  retention {
    policy             = "RECOVERY WINDOW OF 7 DAYS"
    minimum_redundancy = 2
  }

  hook "post_backup" {
    script = "/usr/local/bin/notify ${server.name}"
    retry  = true
  }
}

server "main" {
  description        = "Main PostgreSQL database"
  conninfo           = "host=pg user=barman dbname=postgres password=${env("PGPASSWORD")}"
  streaming_conninfo = "postgresql://streaming:hunter2@pg/postgres?sslmode=require"

  wal_conninfo           = "host=standby user=barman password=hunter2"
  wal_streaming_conninfo = "host=standby user=streaming password=hunter2"

  backup {
    source "pgbasebackup" {
      checkpoint = "fast"
    }
    transform "compress" {
      codec = "zstd"
      level = 3
    }
    sink "s3" {
      url        = "s3://bucket/prefix"
      secret_key = env("PGPASSWORD")
      part_size  = "16MiB"
      retry {
        times = 5
      }
      rule {
        name = "a"
      }
      rule {
        name = "b"
        tags = { "key" = "value" }
      }
    }
  }

  wal {
    archive              = false
    streaming_batch_size = 1000
    maximum_queue        = 10
  }

  retention {
    policy = "redundancy 3"
  }

  recovery {
    options = ["get-wal"]
  }

  hook "pre_backup" {
    plugin = "acme"
  }
}

server "bare" {
  conninfo         = "host=bare"
  backup_directory = "/data/bare"
}
