barmen {}

barman {
  homes = "/srv"
}

server "main" {
  conninfo   = "host=pg"
  desciption = "x"
  wal {
    archiv = true
    sourc "pgreceivewal" {}
  }
  retentio {}
}
