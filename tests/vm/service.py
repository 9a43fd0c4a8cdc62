# SPDX-License-Identifier: MIT
"""cleat as the Debian package installs it, under systemd. Only in the VM (tests/vm/run)."""
import json
import subprocess
from pathlib import Path

from harness import BUILD, DEFAULT_CHROOT, PAYLOAD, PAYLOAD_IN_ROOT, Box, Manager, wait_for

UNIT, TASKS = "cleat-manager.service", "cleat-tasks.service"
GROUP = Path("/sys/fs/cgroup/system.slice") / TASKS
CONFIG = Path("/etc/cleat/test.hcl")


def sh(*args):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True)
    assert done.returncode == 0, f"{args}: {done.stdout}{done.stderr}\n{journal()}"
    return done.stdout.strip()


def journal(*options):
    return subprocess.run(
        ["journalctl", "-u", UNIT, "-u", TASKS, "--no-pager", "-n", "200", *options],
        capture_output=True, text=True,
    ).stdout  # fmt: skip


def show(unit, what):
    return sh("systemctl", "show", "-P", what, unit)


def install(release):
    sh("dpkg", "--force-confold", "--force-unsafe-io", "-i", *BUILD.glob(f"cleat_{release}_*.deb"))


def group_of(pid):
    """The process's cgroup, below that of all tasks; None if it is elsewhere."""
    path = Path("/sys/fs/cgroup" + Path(f"/proc/{pid}/cgroup").read_text().split("::")[1].strip())
    return path.relative_to(GROUP) if path.is_relative_to(GROUP) else None


class Service(Manager):
    """The manager that systemd runs; what the harness does to processes, it does by systemctl."""

    def __init__(self):
        self.box = Box()
        self.socket = Path("/run/cleat/cleat.sock")
        self.data_dir = Path("/var/lib/cleat")

    def configure(self, **more):
        binds = {**{d: d for d in DEFAULT_CHROOT}, str(PAYLOAD.parent): str(Path(PAYLOAD_IN_ROOT).parent)}
        lines = "\n".join(f'    "{source}" = "{target}"' for source, target in binds.items())
        extra = "\n".join(f"{key} = {json.dumps(value)}" for key, value in more.items())
        CONFIG.write_text(
            f'{extra}\nplugin "raw_exec" {{\n  config {{\n    enabled = true\n  }}\n}}\n'
            f"client {{\n  chroot_env {{\n{lines}\n  }}\n}}\n"
        )

    def log(self):
        return journal()

    def pid(self):
        return int(show(UNIT, "MainPID"))

    def version(self):
        return self.get("/v1/agent/self")["config"]["Version"]["Version"]

    def wait_next(self, old):
        """Waits for a manager that is not the process `old`."""
        wait_for(lambda: self.pid() not in (0, old) and self.responds(), f"another manager\n{journal()}")
