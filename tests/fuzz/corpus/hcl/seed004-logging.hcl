config = { max-file = "2", max-size = "2m" }
