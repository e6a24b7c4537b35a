defaults {
  retentoin {}
  backup {
    jobs = "many"
  }
}
