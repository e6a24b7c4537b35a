server "main" {
  conninfo = "host=pg"
  backup {
    transform "compress" {
      level = "high"
    }
    sink "s3" {
      part_size  = "huge"
      secret_key = "hunter2"
      timeout    = "30"
      files      = [1, null]
      tags       = "a"
      retry {}
      retry {}
      rule {}
    }
  }
}
