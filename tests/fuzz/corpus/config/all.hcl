data_dir = "/var/lib/x"
name = "n"
datacenter = "dc1"
region = "global"
executor = "/x"
log_level = "info"
bind_addr = "127.0.0.1"
client {
  enabled = true
  chroot_env {
    "/bin" = "/bin"
    "/etc" = "/etc"
    "/lib" = "/lib"
    "/lib32" = "/lib32"
    "/lib64" = "/lib64"
    "/run/resolvconf" = "/run/resolvconf"
    "/sbin" = "/sbin"
    "/run/systemd/resolve" = "/run/systemd/resolve"
    "/usr" = "/usr"
  }
  meta {
    "a" = "b"
  }
  options {
    "driver.allowlist" = ""
    "driver.denylist" = ""
    "env.denylist" = "CONSUL_TOKEN,CONSUL_HTTP_TOKEN,CONSUL_HTTP_TOKEN_FILE,NOMAD_TOKEN,VAULT_TOKEN,*_LICENSE,*_LICENSE_PATH,AWS_ACCESS_KEY_ID,AWS_SECRET_ACCESS_KEY,AWS_SESSION_TOKEN,AWS_METADATA_URL,GOOGLE_APPLICATION_CREDENTIALS,GOOGLE_OAUTH_ACCESS_TOKEN"
    "user.checked_drivers" = "exec,qemu,java"
    "user.denylist" = "root,Administrator"
  }
  node_pool = "default"
  max_kill_timeout = "30s"
  cgroup_parent = "cleat"
  disable_remote_exec = false
  cpu_total_compute = 0
  memory_total_mb = 0
  disk_total_mb = 0
  reserved {
    cpu = 0
    memory = 0
    disk = 0
  }
  gc_interval = "1m0s"
  gc_disk_usage_threshold = 80
  gc_inode_usage_threshold = 70
  gc_max_allocs = 50
  gc_parallel_destroys = 2
  gc_max_age = "0s"
  artifact {
    http_read_timeout = "30m0s"
    http_max_size = 107374182400
    git_timeout = "30m0s"
    hg_timeout = "30m0s"
    s3_timeout = "30m0s"
    decompression_file_count_limit = 4096
    decompression_size_limit = 107374182400
    disable_artifact_inspection = false
    disable_filesystem_isolation = false
    filesystem_isolation_extra_paths = []
    allow_file_paths = []
  }
  template {
    function_denylist = ["executeTemplate", "plugin", "writeToFile"]
    disable_file_sandbox = false
    max_stale = "87600h0m0s"
    block_query_wait = "5m0s"
    wait {
      min = "5s"
      max = "4m0s"
    }
    wait_bounds {
      min = "0s"
      max = "0s"
    }
    consul_retry {
      attempts = 12
      backoff = "250ms"
      max_backoff = "1m0s"
    }
    vault_retry {
      attempts = 12
      backoff = "250ms"
      max_backoff = "1m0s"
    }
    nomad_retry {
      attempts = 12
      backoff = "250ms"
      max_backoff = "1m0s"
    }
  }
  host_volume "www" {
    path = "/srv"
    read_only = false
  }
}
plugin "exec" {
  config {
    allow_caps = ["audit_write", "chown", "dac_override", "fowner", "fsetid", "kill", "mknod", "setfcap", "setgid", "net_bind_service", "setpcap", "setuid", "sys_chroot"]
    allow_devices = []
    allow_unconfined_seccomp = false
    default_ipc_mode = "private"
    default_pid_mode = "private"
    no_pivot_root = false
    userns_base = 2000000000
    pids_limit = 0
  }
}
plugin "raw_exec" {
  config {
    enabled = true
    pids_limit = 0
    denied_envvars = []
  }
}
vault {
  enabled = false
  address = "http://x:1"
  token = "(not shown)"
  tls_skip_verify = false
}
consul {
  enabled = true
  address = "http://127.0.0.1:8500"
  ssl = false
  verify_ssl = true
}
telemetry {
  prometheus_metrics = true
  publish_allocation_metrics = true
  publish_node_metrics = true
}
# The API listens at: unix:///run/cleat/cleat.sock http://127.0.0.1:4646
