server "none" {}
server "empty" {
  conninfo = " "
}
server "broken" {
  conninfo           = "host=pg password=hunter2 user"
  streaming_conninfo = "host=pg password='hunter2"
}
server "wal" {
  conninfo               = "host=pg"
  wal_conninfo           = "host=standby password=hunter2 user"
  wal_streaming_conninfo = " "
}
server "uri" {
  conninfo = "postgresql://barman:hunter2@[pg/postgres"
}
