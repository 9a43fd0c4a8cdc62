config {
  command = ["/bin/sh", "-c", "sleep 5 && exec httpd -f"]
}
