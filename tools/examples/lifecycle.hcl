# Tasks before, beside and after the main one. Valid for Nomad too, where raw_exec is enabled.
job "lifecycle" {
  datacenters = ["dc1"]
  type        = "batch"

  group "report" {
    # The others wait until it has succeeded.
    task "prepare" {
      driver = "raw_exec"

      lifecycle {
        hook = "prestart"
      }

      config {
        command = "/bin/sh"
        args    = ["-c", "echo 42 > ${NOMAD_ALLOC_DIR}/data/input"]
      }
    }

    # Runs as long as the main task, and is stopped after it.
    task "watch" {
      driver = "raw_exec"

      lifecycle {
        hook    = "prestart"
        sidecar = true
      }

      config {
        command = "/bin/sh"
        args    = ["-c", "while :; do sleep 1; done"]
      }
    }

    task "report" {
      driver = "raw_exec"

      config {
        command = "/bin/cat"
        args    = ["${NOMAD_ALLOC_DIR}/data/input"]
      }
    }

    # Whatever has become of the others.
    task "cleanup" {
      driver = "raw_exec"

      lifecycle {
        hook = "poststop"
      }

      config {
        command = "/bin/rm"
        args    = ["${NOMAD_ALLOC_DIR}/data/input"]
      }
    }
  }
}
