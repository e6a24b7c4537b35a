server "main" { conninfo = "host=pg" }
model "fits" {
  cluster  = "main"
  conninfo = "host=other"
  wal {
    source "pgreceivewal" { slot = "barman" }
  }
}
model "fits" { cluster = "main" }
model "main" { cluster = "main" }
model "alone" {}
model "moves" {
  cluster          = "main"
  backup_directory = "/elsewhere"
  hook "pre_backup" { script = "x" }
}
model "wrong" {
  cluster = "main"
  retention { policy = 3 }
  speed = 4
}
