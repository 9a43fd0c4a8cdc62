# SPDX-License-Identifier: MIT
# Configuration of cleat-manager; see cleat.hcl(5). cleat-manager -check -config FILE says whether it
# is right; SIGHUP has it read again. Any *.hcl or *.json file in this directory is read, in the
# order of their names.

data_dir  = "/var/lib/cleat"
addresses = ["unix:///run/cleat/cleat.sock"]

# Plain processes, without any isolation: as powerful as the manager itself.
plugin "raw_exec" {
  config {
    enabled = false
  }
}

client {
  # What the host itself needs: MHz and MiB.
  # reserved {
  #   cpu    = 500
  #   memory = 512
  # }

  # Directories that jobs may ask for by name.
  # host_volume "www" {
  #   path      = "/srv/www"
  #   read_only = true
  # }

  # How many finished allocations keep their logs and data, and how full the disk may be.
  # gc_max_allocs           = 50
  # gc_disk_usage_threshold = 80
}
