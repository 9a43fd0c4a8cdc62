job "sleeper" {
  datacenters = ["dc1"]

  task "isolated" {
    driver = "exec"

    config {
      command = "/bin/sh"
      args    = ["-c", "exec sleep 500"]
    }
  }
}
