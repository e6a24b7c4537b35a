server "main" {
  conninfo = "host=pg
}
