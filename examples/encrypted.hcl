# Everything that is stored is compressed and then encrypted, by the plugin of examples/transform-age. Whoever reads the store needs an
# identity of one of the recipients; whoever loses all identities has no backups. /etc/barman/age-recipients.txt holds the public keys, one
# a line. Identities are needed to recover; a host that only takes backups does without identity_file.
barman {
  home = "/var/lib/barman"
}

plugin "transform" "age" {
  path = "/opt/barman-plugins/barman-plugin-transform-age"
  # sha256 = "…"    # what sha256sum prints; then no other binary is run
}

server "main" {
  conninfo = "host=pg.example.com user=barman dbname=postgres"

  backup {
    source "pgbasebackup" {}
    transform "compress" {
      codec = "zstd"
    }
    transform "age" {
      recipients    = split("\n", file("/etc/barman/age-recipients.txt"))
      identity_file = "/etc/barman/age-identity.txt"
    }
    sink "posix" {}
  }

  wal {
    transform "compress" {
      codec = "lz4"
    }
    transform "age" {
      recipients    = split("\n", file("/etc/barman/age-recipients.txt"))
      identity_file = "/etc/barman/age-identity.txt"
    }
    sink "posix" {}
  }
}
