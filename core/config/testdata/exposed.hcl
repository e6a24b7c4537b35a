server "main" {
  conninfo           = "host=pg password=hunter2"
  streaming_conninfo = "host=pg password=${env("PGPASSWORD")}"
  backup {
    sink "s3" {
      url        = "s3://bucket"
      secret_key = "hunter2"
    }
  }
}
