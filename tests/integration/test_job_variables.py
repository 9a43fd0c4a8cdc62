# SPDX-License-Identifier: MIT
"""Job files with variables, locals, functions and dynamic blocks, run."""
import pytest

from harness import ApiError

FILE = """
variable "who" { type = string }
variable "places" {
  type    = list(string)
  default = ["hall", "yard"]
}
locals {
  greetings = { for i, p in var.places : p => "${i}: ${var.who} in the ${p}" }
}
job "greet" {
  type = "batch"
  dynamic "group" {
    for_each = local.greetings
    labels   = [group.key]
    content {
      task "t" {
        driver = "raw_exec"
        config {
          command = "/bin/echo"
          args    = [group.value, "of ${NOMAD_GROUP_NAME}", jsonencode({ n = length(var.places) })]
        }
      }
    }
  }
}
"""


def test_run(manager):
    (manager.dir / "more.vars").write_text('places = concat(["attic"], ["cellar"])\nwho = "the file"\n')
    manager.box.env["NOMAD_VAR_who"] = "the environment"
    done = manager.cli("run", "-var-file", manager.dir / "more.vars", "-var", "who=you", "-", stdin=FILE)
    assert "registered" in done.stdout
    allocs = manager.get("/v1/job/greet/allocations")
    output = {a["TaskGroup"]: manager.output(a["ID"]) for a in allocs}
    assert output == {
        "attic": '0: you in the attic of attic {"n":2}\n',
        "cellar": '1: you in the cellar of cellar {"n":2}\n',
    }


@pytest.mark.parametrize(
    "args, said",
    [
        ([], "the variable \"who\" has no value"),
        (["-var", "who"], "-var takes NAME=VALUE"),
        (["-var", "who=x", "-var", "where=y"], "has no variable of that name"),
        (["-var", "who=x", "-var", "places=5"], "a number is no list(string)"),
        (["-var-file", "/nonexistent"], "opening /nonexistent"),
    ],
)
def test_wrong_values(manager, args, said):
    done = manager.cli("job", "validate", *args, "-", stdin=FILE, check=False)
    assert done.returncode == 1 and said in done.stderr, done.stderr


def test_parsed_by_the_manager(manager):
    body = {"JobHCL": FILE, "Variables": 'who = upper("api")\nplaces = ["roof"]\n'}
    job = manager.call("POST", "/v1/jobs/parse", body)
    args = job["TaskGroups"][0]["Tasks"][0]["Config"]["args"]
    assert args == ["0: API in the roof", "of ${NOMAD_GROUP_NAME}", '{"n":1}']


@pytest.mark.parametrize(
    "text, said",
    [
        ('job "j" {\n  name = file("/etc/passwd")\n}\n', "JobHCL:2:10: file() is for the command line"),
        ('job "j" {\n  name = fileexists("/etc/passwd")\n}\n', "is for the command line"),
        ('job "j" {\n  name = [for a in range(60000) : [for b in range(60000) : b]]\n}\n', "ask for less"),
        ('locals {\n  a = "xxxxxxxx"\n' + "".join(
            f'  {chr(98 + i)} = "${{local.{chr(97 + i)}}}${{local.{chr(97 + i)}}}${{local.{chr(97 + i)}}}"\n'
            for i in range(20)) + "}\njob \"j\" { }\n", "ask for less"),
    ],
)  # fmt: skip
def test_what_the_manager_does_not_do(manager, text, said):
    with pytest.raises(ApiError) as refused:
        manager.call("POST", "/v1/jobs/parse", {"JobHCL": text})
    assert refused.value.status == 400 and said in refused.value.text


def test_files_are_read_where_the_command_runs(manager):
    (manager.dir / "motd").write_text("from a file")
    text = f'job "f" {{\n type = "batch"\n task "t" {{\n driver = "raw_exec"\n config {{\n command = "/bin/echo"\n args = [file("{manager.dir}/motd")]\n }}\n }}\n}}\n'
    manager.cli("run", "-", stdin=text)
    (alloc,) = manager.get("/v1/job/f/allocations")
    manager.wait_client(alloc["ID"], "complete")
    assert manager.output(alloc["ID"]) == "from a file\n"
