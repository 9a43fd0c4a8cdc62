task "machine" {
  driver = "nspawn"
  config {
    image       = "/srv/machines/small"
    resolv_conf = "bind-host"
  }
}
