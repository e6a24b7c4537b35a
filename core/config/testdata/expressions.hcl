barman {
  home = "/srv/${server.name}"
}
defaults {
  description = env("NOWHERE")
}
server "main" {
  conninfo         = env("NOT_SET")
  backup_directory = file("relative")
  wals_directory   = file("/nonexistent/file")
  errors_directory = upcase("x")
}
server "second" {
  conninfo = "host=${server.nme}"
}
