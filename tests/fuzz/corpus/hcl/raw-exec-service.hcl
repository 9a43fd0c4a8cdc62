job "sleeper" {
  datacenters = ["dc1"]

  task "bare" {
    driver = "raw_exec"

    config {
      command = "/bin/sh"
      args    = ["-c", "exec sleep 500"]
    }
  }
}
