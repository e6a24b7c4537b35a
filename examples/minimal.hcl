# All that barman needs to know: base backups over the replication protocol, stored as they are below
# /var/lib/barman/main, WAL as archive_command delivers it to /var/lib/barman/main/incoming.
server "main" {
  conninfo = "host=pg.example.com user=barman dbname=postgres"
}
