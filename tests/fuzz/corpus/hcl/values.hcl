a = <<-EOT
    x
  y
    EOT
b = [1.5e3, -2, null, true,]
c { d = {e = 1, "f" : []} }
