x = <<-EOT
  ${base64decode("YQ==")} %{ if true }a%{ endif }
  EOT
y = jsondecode("[1,{\"a\":null}]")
z = substr(replace(trim(" a ", " "), "a", "bb"), -1, 1)
