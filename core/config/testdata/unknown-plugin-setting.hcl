server "main" {
  conninfo = "host=pg"
  backup {
    transform "compress" {
      codec = "zstd"
      levle = 3
    }
    sink "s3" {
      url = "s3://bucket"
      retry {
        time = 3
      }
    }
  }
}
