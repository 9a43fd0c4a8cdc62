job "cache" {
  datacenters = ["dc1"]

  task "one" {
    driver = "docker"

    config {
      image = "example/cache:2"
    }
  }
}
