config {
  environment = {
    FOO = "bar"
  }
}
