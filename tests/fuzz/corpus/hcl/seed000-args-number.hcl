config {
    command = "/bin/sleep"
    args = 1
}
