config {
  port_map {
    web = 8080
  }
}
