server "main" {
  conninfo = "host=pg"
  backup {
    transform "compress" {
      codec = "zstd"
      level = "high"
    }
    sink "posix" {
      required = "maybe"
    }
  }
}
