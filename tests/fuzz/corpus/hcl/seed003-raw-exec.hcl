job "example" {
  datacenters = ["dc1"]

  task "task3" {
    driver = "raw_exec"

    config {
      command = "/bin/sh"
      args    = ["-c", "sleep 600"]
    }
  }
}
