config {
  command = "/usr/bin/sleep"
  args    = 1
}
