server "none" {}
server "empty" {
  conninfo = " "
}
server "broken" {
  conninfo           = "host=pg password=hunter2 user"
  streaming_conninfo = "host=pg password='hunter2"
}
server "uri" {
  conninfo = "postgresql://barman:hunter2@[pg/postgres"
}
