server "main" {
  conninfo = "host=pg"
  backup {
    transform "compress" {}
    sink "s3" {
      url = null
      rule {}
    }
  }
}
