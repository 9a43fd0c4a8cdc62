plugin "nspawn" {
  config {
    enabled = true
  }
}
