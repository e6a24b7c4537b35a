plugin "sinc" "gcs" {
  path = "/opt/x"
}
plugin "sink" "GCS" {
  path = "opt/x"
}
plugin "sink" "empty" {}
plugin "sink" "pinned" {
  sha256 = "abc"
}
