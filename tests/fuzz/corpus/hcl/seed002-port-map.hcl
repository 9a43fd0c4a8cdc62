config {
  port_map {
    http = 80
  }
}
