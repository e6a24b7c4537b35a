server "main" {
  conninfo = "host=pg"
  backup {
    transform "refusing" {
      level = 99
      rule {
        name = "a"
      }
      rule {
        name = "b"
      }
    }
  }
}
