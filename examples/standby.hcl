# Backups are taken from a standby, so that the primary is left in peace. WAL comes from the primary, over a slot there, so that none
# is missed when the standby is down. The standby cannot end the segment in which a backup ends: barman has the primary do so, over
# primary_conninfo, and make a checkpoint if nothing came within primary_checkpoint_timeout.
barman {
  home = "/var/lib/barman"
}

server "main" {
  description        = "Main PostgreSQL database, by its standby"
  conninfo           = "host=standby.example.com user=barman dbname=postgres"
  streaming_conninfo = "host=standby.example.com user=streaming_barman dbname=postgres"

  wal_conninfo           = "host=pg.example.com user=barman dbname=postgres"
  wal_streaming_conninfo = "host=pg.example.com user=streaming_barman dbname=postgres"

  primary_conninfo           = "host=pg.example.com user=barman dbname=postgres"
  primary_checkpoint_timeout = "60s"

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
