barman {
  plugin_dirs = "/usr/libexec/barman"
  log_level   = "verbos"
}

server "main" {
  conninfo                 = ["host=pg"]
  active                   = "perhaps"
  check_timeout            = 30
  last_backup_minimum_size = "big"
  last_backup_maximum_age  = "4 fortnights"
  last_wal_maximum_age     = "36h"

  backup {
    jobs   = 1.5
    layout = "tra"
  }
  recovery {
    options = ["get-wall"]
  }
}

server "two" {
  conninfo = "host=two"
  backup {
    jobs = 0
  }
  retention {
    minimum_redundancy = -1
  }
}
