plugin "nspawn" {
  config {
    enabled = false
  }
}
