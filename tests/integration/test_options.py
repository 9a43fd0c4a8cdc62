# SPDX-License-Identifier: MIT
"""Each option of the driver exec, written in a job file: it is accepted, and the running task is as
the manual page says."""
import os
import re
import subprocess
from pathlib import Path

import records
from harness import PAYLOAD_IN_ROOT, TOP, wait_for

# Each with a value and its name in /proc/PID/limits.
ULIMITS = {
    "as": (1 << 33, "address space"), "core": (4096, "core file size"), "cpu": (1000, "cpu time"),
    "data": (1 << 30, "data size"), "fsize": (1 << 30, "file size"), "locks": (11, "file locks"),
    "memlock": (8192, "locked memory"), "msgqueue": (4096, "msgqueue size"),
    "nice": (10, "nice priority"), "nofile": (100, "open files"), "nproc": (4000, "processes"),
    "rss": (1 << 30, "resident set"), "rtprio": (3, "realtime priority"),
    "rttime": (100000, "realtime timeout"), "sigpending": (99, "pending signals"),
    "stack": (1 << 20, "stack size"),
}  # fmt: skip


def ulimits(pid):
    """{name: (soft, hard)} as texts."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    shown = {line[4:26].strip(): tuple(line[26:].split()[:2]) for line in lines}
    return {name: shown[title] for name, (_, title) in ULIMITS.items()}


# A hard limit above one's own needs CAP_SYS_RESOURCE.
LOW = {
    name: value if (own := ulimits("self")[name][1]) == "unlimited" else min(value, int(own))
    for name, (value, _) in ULIMITS.items()
}


class Task:
    """A running task, looked at from the host."""

    def __init__(self, manager, alloc_id, name):
        self.pid = manager.wait_running(alloc_id, name)
        self.proc = Path(f"/proc/{self.pid}")
        self.limits = records.read_statefile(records.task_dir(manager, alloc_id, name) / "spec").get("limits", {})

    def field(self, name):
        (value,) = re.findall(rf"^{name}:\s*(.*)$", (self.proc / "status").read_text(), re.M)
        return value

    def shares(self, kind):
        return records.namespace(self.pid, kind) == records.namespace("self", kind)

    def host_name(self):
        command = ["nsenter", f"--target={self.pid}", "-u", "uname", "-n"]
        return subprocess.check_output(command, text=True).strip()


# The options, how a job file has them, and how the task must be; first one without any.
TABLE = [
    ("", "",
     lambda t: not t.shares("pid") and not t.shares("ipc") and t.shares("net") and t.shares("uts")
     and t.shares("cgroup") and t.shares("user") and t.field("Seccomp") == "2"
     and t.field("CapEff") == "00000000a80405fb" and t.field("NoNewPrivs") == "1"),
    ("command args", "",
     lambda t: (t.proc / "cmdline").read_text() == f"{PAYLOAD_IN_ROOT}\0print:a b\0pause\0"),
    ("work_dir", 'work_dir = "/usr"',
     lambda t: os.path.samefile(t.proc / "cwd", t.proc / "root/usr")),
    ("stdin", 'stdin = "/etc/passwd"',
     lambda t: os.path.samefile(t.proc / "fd/0", "/etc/passwd")),
    ("oom_score_adj", "oom_score_adj = 500",
     lambda t: (t.proc / "oom_score_adj").read_text() == "500\n"),
    ("nice", "nice = 7", lambda t: os.getpriority(os.PRIO_PROCESS, t.pid) == 7),
    ("ulimit", "ulimit {\n" + "".join(f"{name} = {n}\n" for name, n in LOW.items()) + "}",
     lambda t: ulimits(t.pid) == {name: (str(n), str(n)) for name, n in LOW.items()}),
    ("ulimit", 'ulimit = { nofile = "100:200", cpu = "5:unlimited" }',
     lambda t: ulimits(t.pid)["nofile"] == ("100", "200") and ulimits(t.pid)["cpu"] == ("5", "unlimited")),
    ("cpu_hard_limit", "cpu_hard_limit = true",
     lambda t: t.limits["cpu_period_us"] == 100000 and t.limits["cpu_quota_us"] > 0),
    ("cpu_cfs_period", "cpu_hard_limit = true\ncpu_cfs_period = 50000",
     lambda t: t.limits["cpu_period_us"] == 50000),
    ("io_weight", "io_weight = 50", lambda t: t.limits["io_weight"] == 50),
    ("oom_group", "oom_group = true", lambda t: t.limits["oom_group"]),
    ("cap_add cap_drop", 'cap_drop = ["all"]\ncap_add = ["CAP_CHOWN", "net_bind_service"]',
     lambda t: t.field("CapEff") == t.field("CapBnd") == "0000000000000401"),
    ("seccomp", 'seccomp = "unconfined"', lambda t: t.field("Seccomp") == "0"),
    ("seccomp", 'seccomp = "default"', lambda t: t.field("Seccomp") == "2"),
    ("devices", 'devices = [{ host_path = "/dev/full", container_path = "/dev/sub/mine",'
     ' cgroup_permissions = "r" }, { host_path = "/dev/kmsg" }]',
     lambda t: os.stat(t.proc / "root/dev/sub/mine").st_rdev == os.stat("/dev/full").st_rdev
     and os.stat(t.proc / "root/dev/sub/mine").st_mode & 0o777 == 0o400
     and os.stat(t.proc / "root/dev/kmsg").st_rdev == os.stat("/dev/kmsg").st_rdev),
    ("userns", "userns = true",
     lambda t: (t.proc / "uid_map").read_text().split() == ["0", "2000000000", "65536"]),
    ("pid_mode", 'pid_mode = "host"', lambda t: t.shares("pid") and not t.shares("ipc")),
    ("ipc_mode", 'ipc_mode = "host"', lambda t: t.shares("ipc") and not t.shares("pid")),
    ("hostname", 'hostname = "of-${NOMAD_JOB_ID}"', lambda t: t.host_name() == "of-options"),
    ("uts_mode", 'uts_mode = "private"',
     lambda t: not t.shares("uts") and t.host_name() == os.uname().nodename),
    ("cgroup_mode", 'cgroup_mode = "private"', lambda t: not t.shares("cgroup")),
    ("network_mode", 'network_mode = "none"', lambda t: not t.shares("net")),
]  # fmt: skip

GROUP = """
  group "g{i}" {{
    task "t" {{
      driver = "exec"
      config {{
        command = "{command}"
        args    = ["print:a b", "pause"]
        {text}
      }}
    }}
  }}
"""


def test_each_option_of_a_job_file(box):
    manager = box.manager(
        exec_plugin='allow_unconfined_seccomp = true\nallow_devices = ["/dev/full", "/dev/kmsg"]'
    ).start()
    path = box.dir / "options.hcl"
    groups = [GROUP.format(i=i, command=PAYLOAD_IN_ROOT, text=text) for i, (_, text, _) in enumerate(TABLE)]
    path.write_text('job "options" {\n  type = "batch"\n' + "".join(groups) + "}\n")
    manager.cli("job", "run", "-detach", path)
    allocs = {a["TaskGroup"]: a["ID"] for a in manager.get("/v1/job/options/allocations")}
    wrong = []
    for i, (_, text, holds) in enumerate(TABLE):
        task = Task(manager, allocs[f"g{i}"], "t")
        wait_for(lambda: manager.output(allocs[f"g{i}"]) == "a b\n", "the payload to run")
        if not holds(task):
            wrong.append(text or "a plain task")
    assert wrong == []


def test_the_table_and_the_manual_page_have_all_options():
    source = (TOP / "shared/job/driver_config.c").read_text()
    source = source[source.index("#define COMMAND_FIELDS"):source.index("raw_exec_fields[]")]
    options = {
        *re.findall(r'SCHEMA_FIELD\([^"]*"(\w+)"[,\s\\]*"\1"', source),
        *re.findall(r"^ +MODE_FIELD\((\w+)\)", source, re.M),
    }
    assert len(options) > 20
    of_artifacts = {"artifact_source", "checksum"}  # test_artifacts.py has a server for them
    assert {name for names, _, _ in TABLE for name in names.split()} | of_artifacts == options
    page = (TOP / "tools/man/cleat-job.5").read_text()
    shown = re.findall(r"^\.(?:It )?Cm (.*)$", page, re.M)
    assert options - {word for line in shown for word in re.split("[ ,]+", line)} == set()
