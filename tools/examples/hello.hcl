# A first job. It is valid for Nomad too, where raw_exec is enabled.
job "hello" {
  datacenters = ["dc1"]
  type        = "batch"

  # Runs until it is stopped: in a root of its own, as user nobody.
  group "ticker" {
    task "ticker" {
      driver = "exec"

      config {
        command = "/bin/sh"
        args    = ["-c", "i=0; while :; do echo tick $i; i=$((i + 1)); sleep 0.5; done"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }

  # Finishes by itself: a plain process of the host.
  group "greeting" {
    task "greeting" {
      driver = "raw_exec"

      config {
        command = "/bin/echo"
        args    = ["Hello from ${NOMAD_TASK_NAME} of job ${NOMAD_JOB_ID}"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
