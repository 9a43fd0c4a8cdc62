client {
options {
"docker.cleanup.image" = "true"
}
}
