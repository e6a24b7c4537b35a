# One read of the server, two copies of every backup and of all WAL. The second, on a network file system, may be away: then a
# backup is complete without it, and barman says so.
barman {
  home = "/var/lib/barman"
}

server "main" {
  conninfo = "host=pg.example.com user=barman dbname=postgres"

  backup {
    source "pgbasebackup" {}
    transform "compress" {
      codec = "zstd"
    }
    sink "posix" {}
    sink "posix" {
      path     = "/mnt/nas/barman/${server.name}"
      required = false
    }
  }

  wal {
    transform "compress" {
      codec = "lz4"
    }
    sink "posix" {}
    sink "posix" {
      path     = "/mnt/nas/barman/${server.name}"
      required = false
    }
  }

  retention {
    policy = "REDUNDANCY 3"
  }
}
