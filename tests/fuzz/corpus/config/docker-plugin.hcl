plugin "docker" {
config {
endpoint = "unix:///run/other.sock"
auth {
config = "/etc/registry.json"
helper = "store"
}
tls {
cert = "/etc/ssl/agent.pem"
key = "/etc/ssl/agent.key"
ca = "/etc/ssl/ca.pem"
}
extra_labels = ["task_name", "job_*"]
gc {
image = false
image_delay = "1h"
container = false
dangling_containers {
enabled = false
dry_run = true
period = "10m"
creation_grace = "2m"
}
}
volumes {
enabled = false
selinuxlabel = "Z"
}
allow_privileged = true
allow_caps = ["kill", "setuid"]
}
}
