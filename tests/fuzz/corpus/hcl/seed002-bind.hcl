config {
  bind {
    "/var/lib/postgresql" = "/postgres"
  }
}
