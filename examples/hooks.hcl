# Hook scripts, as classic Barman knows them: see plugins/hook-script.
server "main" {
  conninfo = "host=pg.example.com user=barman dbname=postgres"

  # Exit code 63 of a script with retry stops the backup.
  hook "pre_backup" {
    script  = "/usr/local/bin/check-space"
    retry   = true
    timeout = "10m"
  }

  hook "post_backup" {
    script = "/usr/local/bin/notify \"$BARMAN_BACKUP_ID\" \"$BARMAN_STATUS\""
  }
}
