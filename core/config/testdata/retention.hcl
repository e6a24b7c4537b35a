server "a" {
  conninfo = "host=a"
  retention {
    policy = "REDUNDANCY three"
  }
}
server "b" {
  conninfo = "host=b"
  retention {
    policy = "RECOVERY WINDOW OF 7 YEARS"
  }
}
