# SPDX-License-Identifier: MIT
# Configuration of cleat-manager; see cleat-manager(8). Read again on SIGHUP.
# Any *.hcl file in this directory is read, in the order of their names.

data_dir  = "/var/lib/cleat"
addresses = ["unix:///run/cleat/cleat.sock"]

# Plain processes, without any isolation: as powerful as the manager itself.
plugin "raw_exec" {
  config {
    enabled = false
  }
}
