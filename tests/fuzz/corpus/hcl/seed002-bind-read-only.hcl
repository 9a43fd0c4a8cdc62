config {
  bind_read_only {
    "/etc/passwd" = "/etc/passwd"
  }
}

