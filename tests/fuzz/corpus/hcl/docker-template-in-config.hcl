job "cache" {
  datacenters = ["dc1"]

  task "one" {
    driver = "docker"

    config {
      image = "example/cache:2"
      mounts = [{
        type     = "bind"
        source   = "secrets"
        target   = "/etc/cache"
        readonly = true
      }]

      template {
        destination = "${NOMAD_SECRETS_DIR}/cache.conf"
        data        = <<END
{{ with secret "kv/data/cache" }}
password={{- .Data.data.password -}}{{end}}
END

      }
    }
  }
}
