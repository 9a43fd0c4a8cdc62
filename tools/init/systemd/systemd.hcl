# SPDX-License-Identifier: MIT
# What cleat-manager.service reads before the configuration of this host.
client {
  cgroup_parent = "system.slice/cleat-tasks.service"
}
