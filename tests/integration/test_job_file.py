# SPDX-License-Identifier: MIT
"""Job files: what is accepted, and errors as file:line:col with the source line and the mend."""
import json

import pytest

from harness import TOP
from jobs import SECOND

GOOD = """\
// three kinds of comments
job "web" {
  datacenters = ["dc1"] # one
  type = "service"      /* two
                           lines */
  meta {
    owner = "me"
  }
  group "g" {
    count = 2
    restart {
      attempts = 1
      delay    = "250ms"
      interval = "1m"
      mode     = "fail"
    }
    task "t" {
      driver = "exec"
      user   = "daemon"
      config {
        command = "/bin/sh"
        args    = ["-c", <<-EOF
          echo one
            echo "$HOME"
          EOF
        ]
      }
      env {
        A = "tab\\tquote\\""
        B = "${NOMAD_TASK_NAME}"
      }
      resources {
        cpu    = 20
        memory = 16
      }
      logs {
        max_files     = 3
        max_file_size = 2
      }
      kill_signal  = "SIGTERM"
      kill_timeout = "3s"
    }
  }
}
"""


@pytest.fixture
def write(box):
    """Writes a job file; returns its path."""

    def write_file(text, name="job.hcl"):
        path = box.dir / name
        path.write_text(text)
        return path

    return write_file


@pytest.fixture
def cleat(box):
    """The command line without a manager."""
    manager = box.manager("none")
    return lambda *args, **options: manager.cli(*args, address=False, **options)


def validate(cleat, path):
    """Validates a file that must be refused; returns the message."""
    done = cleat("job", "validate", path, check=False)
    assert done.returncode != 0, done.stdout
    return done.stderr


def test_a_good_file(cleat, write):
    assert cleat("job", "validate", write(GOOD)).returncode == 0


def test_every_error_is_told(cleat, write):
    """Those of expressions, each with its place; and once they are right, those of what the file says."""
    text = 'job "a" {{\n  priority = {}\n  group "g" {{\n    count = {}\n    cuont = 2\n    task "t" {{\n' \
           '      driver = "raw_exec"\n      kill_timeout = {}\n    }}\n  }}\n}}\n'  # fmt: skip
    said = validate(cleat, write(text.format("1 / 0", "var.none", "upper()")))
    assert [place in said for place in (":2:16: division", ":4:13: there is no var", ":8:22: upper()")] == [True] * 3
    said = validate(cleat, write(text.format(500, '"many"', '"soon"')))
    assert [f":{line}:" in said for line in (2, 4, 5, 8)] == [True] * 4, said


def test_functions_read_files_beside_the_job(cleat, box):
    (box.dir / "jobs").mkdir()
    (box.dir / "jobs/name.txt").write_text("web\n")
    (box.dir / "jobs/a.hcl").write_text('job "${chomp(file("name.txt"))}" {\n  group "g" {\n    task "t" {\n'
                                        '      driver = "raw_exec"\n      config {\n        command = "/bin/true"\n'
                                        '        args = fileset(".", "*.txt")\n      }\n    }\n  }\n}\n')  # fmt: skip
    assert cleat("job", "validate", box.dir / "jobs/a.hcl", check=False).stderr == ""


def test_the_example(cleat):
    assert cleat("job", "validate", TOP / "tools/examples/hello.hcl").returncode == 0


def test_a_file_means_what_it_says(manager, write):
    done = manager.cli("job", "run", "-detach", write(GOOD))
    assert done.stdout
    job = manager.get("/v1/job/web")
    (group,) = job["TaskGroups"]
    (task,) = group["Tasks"]
    assert (job["Type"], job["Meta"], group["Count"]) == ("service", {"owner": "me"}, 2)
    assert task["Config"]["args"] == ["-c", 'echo one\n  echo "$HOME"\n']
    assert task["Env"] == {"A": 'tab\tquote"', "B": "${NOMAD_TASK_NAME}"}
    assert (task["Resources"]["CPU"], task["Resources"]["MemoryMB"]) == (20, 16)
    assert (task["LogConfig"]["MaxFiles"], task["LogConfig"]["MaxFileSizeMB"]) == (3, 2)
    assert (task["KillSignal"], task["KillTimeout"], task["User"]) == ("SIGTERM", 3 * SECOND, "daemon")
    policy = task["RestartPolicy"] or group["RestartPolicy"]
    assert (policy["Attempts"], policy["Delay"]) == (1, SECOND // 4)
    again = manager.cli("job", "status", "-json", "web").stdout
    assert json.loads(again)


def test_a_task_without_a_group(manager, write):
    text = """
    job "lone" {
      datacenters = ["dc1"]
      type = "batch"
      task "one" {
        driver = "raw_exec"
        config { command = "/bin/true" }
      }
      task "two" {
        driver = "raw_exec"
        config { command = "/bin/true" }
      }
    }
    """
    manager.cli("job", "run", write(text))
    groups = manager.get("/v1/job/lone")["TaskGroups"]
    assert [(g["Name"], [t["Name"] for t in g["Tasks"]]) for g in groups] == [
        ("one", ["one"]),
        ("two", ["two"]),
    ]


# What to change in GOOD, and what the message must say: line:col, and words.
BROKEN = {
    "unknown attribute": ("      driver = ", "      drvier = ", "18:7", ["drvier", "driver"]),
    "unknown block": ("      resources {", "      resuorces {", "32:7", ["resuorces", "resources"]),
    "unknown in config": ("        command = ", "        comand = ", "21:9", ["comand", "command"]),
    "wrong type": ("    count = 2", '    count = "many"', "10:13", ["count", "number"]),
    "bad duration": ('"250ms"', '"250 parsecs"', "13:18", ["duration"]),
    "unknown signal": ('"SIGTERM"', '"SIGTREM"', "40:22", ["SIGTREM", "SIGTERM"]),
    "bad mode": ('"fail"', '"fial"', "15:18", ["fial", "fail"]),
    "open string": ('user   = "daemon"', 'user   = "daemon', "19:16", ["string"]),
    "bad escape": ("tab\\t", "tab\\q", "29:17", ["escape"]),
    "open heredoc": ("          EOF\n", "", "22:26", ["EOF"]),
    "twice": ("      driver = ", '      driver = "x"\n      driver = ', "19:7", ["driver", "18"]),
    "no value": ("    count = 2", "    count =", "10:12", ["value"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_errors_have_a_position_the_line_and_the_mend(cleat, write, name):
    old, new, position, words = BROKEN[name]
    assert GOOD.count(old) == 1
    text = GOOD.replace(old, new)
    path = write(text)
    message = validate(cleat, path)
    assert f"{path}:{position}:" in message, message
    line = text.splitlines()[int(position.split(":")[0]) - 1].strip()
    assert line in message, message
    for word in words:
        assert word in message, message


def test_missing_parts_are_named(cleat, write):
    for text, word in {
        "": "job",
        'job "x" {}': "group",
        'job "x" { group "g" {} }': "task",
        'job "x" { group "g" { task "t" {} } }': "driver",
        'job "x" { group "g" { task "t" { driver = "exec" } } }': "config",
        'job "x" { group "g" { task "t" {\n driver = "exec"\n config {} } } }': "command",
    }.items():
        message = validate(cleat, write(text))
        assert word in message and "job.hcl" in message, message


def test_the_source_of_an_old_artifact_is_checked(cleat, write):
    text = GOOD.replace(
        'command = "/bin/sh"', 'command = "/bin/sh"\n        artifact_source = "localhost/x"'
    )
    assert "begin it with https://" in validate(cleat, write(text))


def test_files_that_are_no_job_files(cleat, box, write):
    assert "No such file" in validate(cleat, box.dir / "none.hcl")
    assert str(box.dir) in validate(cleat, box.dir)
    binary = box.dir / "binary.hcl"
    binary.write_bytes(bytes(range(256)))
    assert f"{binary}:1:1:" in validate(cleat, binary)
    validate(cleat, write("job " * 100000))
    validate(cleat, write("{" * 100000))
    validate(cleat, write('job "x" {' + "a = [" * 50000))


def test_from_standard_input(cleat):
    assert cleat("job", "validate", "-", stdin=GOOD).returncode == 0
    done = cleat("job", "validate", "-", stdin="job {", check=False)
    assert done.returncode != 0 and ":1:" in done.stderr
