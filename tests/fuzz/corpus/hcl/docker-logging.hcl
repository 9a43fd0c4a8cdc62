config = { max-size = "5m", max-file = "3" }
