# The second of two sites. Its server "main" is passive: "barman cron" copies backups and WAL from the barman of the first site
# (geo-first.hcl), and its PostgreSQL is not connected to. What is kept here, and for how long, is this site's own matter.
barman {
  home = "/var/lib/barman"
}

server "main" {
  description         = "Main database, copied from Europe"
  primary_ssh_command = "ssh barman@backup-1.example.com"

  retention {
    policy = "RECOVERY WINDOW OF 4 WEEKS"
  }
}

# The two sites may look after each other: this one's own server is passive on the first.
server "us" {
  description        = "Main database, America"
  conninfo           = "host=pg-us.example.com user=barman dbname=postgres"
  streaming_conninfo = "host=pg-us.example.com user=streaming_barman"

  wal {
    source "pgreceivewal" {
      slot        = "barman"
      create_slot = "auto"
    }
    sink "posix" {}
  }
}
