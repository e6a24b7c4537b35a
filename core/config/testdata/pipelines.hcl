server "main" {
  conninfo = "host=pg"
  backup {
    sink "posix" {
      required = false
    }
    transform "../compress" {}
    transform {}
  }
  wal {
    archive             = false
    incoming_batch_size = -1
  }
  hook "pre_bakup" {}
  hook "post_wal_delete" {
    plugin = "a/b"
  }
}
