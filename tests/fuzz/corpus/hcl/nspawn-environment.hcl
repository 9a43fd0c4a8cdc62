config {
  environment = {
    COLOUR = "red"
  }
}
