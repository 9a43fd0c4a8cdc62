config {
  bind {
    "/srv/data" = "/data"
  }
}
