server "all" {
  conninfo = "host=pg"
}
server "../etc" {
  conninfo = "host=pg"
}
server "" {
  conninfo = "host=pg"
}
server ".hidden" {
  conninfo = "host=pg"
}
server {
  conninfo = "host=pg"
}
