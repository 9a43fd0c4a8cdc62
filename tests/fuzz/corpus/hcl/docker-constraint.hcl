job "cache" {
# what the driver must be
constraint {
attribute = "${attr.driver.docker.version}"
operator = ">="
version = "20.10"
}
}
