job "example" {
  datacenters = ["dc1"]

  task "task2" {
    driver = "exec"

    config {
      command = "/bin/sh"
      args    = ["-c", "sleep 600"]
    }
  }
}
