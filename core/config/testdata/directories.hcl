defaults {
  errors_directory = "/srv/errors"
}
server "a" {
  conninfo       = "host=a"
  wals_directory = "wals"
}
server "b" {
  conninfo         = "host=b"
  backup_directory = "/var/lib/barman/./a/"
}
server "c" {
  conninfo                 = "host=c"
  streaming_wals_directory = "/var/lib/barman/c/incoming"
}
