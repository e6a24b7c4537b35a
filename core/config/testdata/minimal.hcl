server "main" {
  conninfo = "host=pg user=barman dbname=postgres"
}
