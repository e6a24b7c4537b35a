barman {}
barman {}

defaults {}
defaults {}

plugin "sink" "gcs" {
  path = "/opt/a"
}
plugin "sink" "gcs" {
  path = "/opt/b"
}

server "main" {
  conninfo = "host=pg"
  conninfo = "host=other"
}

server "main" {
  conninfo = "host=pg"
}

server "other" {
  conninfo = "host=other"
  backup {
    source "pgbasebackup" {}
    source "rsync" {}
  }
  backup {}
}
