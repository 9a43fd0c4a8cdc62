variable "a" {
  type    = list(string)
  default = ["x", "y"]
  validation {
    condition     = length(var.a) > 0
    error_message = "none"
  }
}
variables {
  count = 2
}
locals {
  names = { for i, n in var.a : n => format("%s-%02d", upper(n), i) }
  text  = "%{ for n in var.a ~}${n},%{ endfor }%{ if var.count > 1 }many%{ else }one%{ endif }"
}
job "j" {
  dynamic "group" {
    for_each = local.names
    labels   = [group.key]
    content {
      count = var.count * 2 - 1
      task "t" {
        driver = "exec"
        config {
          command = "/bin/echo"
          args    = concat(["-n", local.text], values(local.names), [for x in range(3) : x])
        }
        env = merge({ A = "${group.value}" }, { B = jsonencode([true, null, 1.5]) })
        meta {
          dir  = "${NOMAD_TASK_DIR}/$${x}"
          user = true ? lookup({ a = "b" }, "a", "c") : element(var.a, 9)
          rest = "${[{ n = 1 }][*].n == [1] && !false || -1 < 2}"
        }
      }
    }
  }
}
