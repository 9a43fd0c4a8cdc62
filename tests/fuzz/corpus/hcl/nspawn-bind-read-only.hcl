config {
  bind_read_only {
    "/srv/keys" = "/keys"
  }
}
