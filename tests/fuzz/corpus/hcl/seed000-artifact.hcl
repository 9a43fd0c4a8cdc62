config {
    artifact_source = "https://dl.dropboxusercontent.com/u/1234/binary.bin"
    checksum = "sha256:abd123445ds4555555555"
    command = "$NOMAD_TASK_DIR/binary.bin"
}
