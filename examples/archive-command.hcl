# PostgreSQL delivers each WAL segment when it is full: it needs no replication slot and no receiver, but what is in the segment under
# way is lost with the server. In its postgresql.conf, with barman-wal-archive installed there and a key that lets its user log in here:
#
#   archive_mode    = on
#   archive_command = 'barman-wal-archive backup.example.com main %p'
#   archive_timeout = 5min
#
# Anything else that puts whole files below /var/lib/barman/main/incoming under their names will do, such as
# archive_command = 'rsync -a %p barman@backup.example.com:/var/lib/barman/main/incoming/%f'.
barman {
  home = "/var/lib/barman"
}

server "main" {
  description        = "Main PostgreSQL database"
  conninfo           = "host=pg.example.com user=barman dbname=postgres"
  streaming_conninfo = "host=pg.example.com user=streaming_barman dbname=postgres" # for base backups

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
