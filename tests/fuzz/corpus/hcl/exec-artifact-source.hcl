config {
  artifact_source = "https://files.invalid/tools/server.bin"
  checksum = "sha256:0123456789abcdef"
  command = "$NOMAD_TASK_DIR/server.bin"
}
