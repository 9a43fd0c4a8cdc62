# SPDX-License-Identifier: MIT
"""What a test left on the machine: processes, mounts, cgroups.

Everything a test makes carries its token: the name of its directory under /tmp, which is also the
name of its cgroup parent. So nothing of anybody else is ever taken for the test's own.
"""
import os
import signal
from pathlib import Path


def cgroup_roots():
    """Mount points of all cgroup hierarchies, v1 and v2."""
    roots = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ", 1)
        if right.split()[0] in ("cgroup", "cgroup2"):
            roots.append(Path(left.split()[4]))
    return roots


def _read(path):
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _is_zombie(proc):
    stat = _read(proc / "stat")
    return stat == "" or stat.rpartition(")")[2].split()[0] == "Z"


def processes(token):
    """Live processes that run, sit or hold something below the test's directory, as {pid: why}."""
    found = {}
    for proc in Path("/proc").iterdir():
        if not proc.name.isdigit() or int(proc.name) == os.getpid() or _is_zombie(proc):
            continue
        facts = {
            "command line": _read(proc / "cmdline").replace("\0", " "),
            "cgroup": _read(proc / "cgroup"),
            "environment": _read(proc / "environ"),
            "work dir": _link(proc / "cwd"),
        }
        try:
            facts["open file"] = " ".join(_link(fd) for fd in (proc / "fd").iterdir())
        except OSError:
            pass
        why = [name for name, text in facts.items() if token in text]
        if why:
            found[int(proc.name)] = f"{facts['command line'].strip()} ({', '.join(why)})"
    return found


def mounts(token):
    """Mount points below the test's directory, deepest first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return sorted((l.split()[4] for l in lines if token in l.split()[4]), reverse=True)


def cgroups(token):
    """The tasks' cgroups below <parent>/<node id>[/shared], deepest first."""
    found = []
    for root in cgroup_roots():
        for path, _, _ in os.walk(root / token, topdown=False):
            parts = Path(path).relative_to(root).parts
            if len(parts) > 2 and parts[2:] != ("shared",):
                found.append(path)
    return found


def find(token):
    """A list of lines, one for each thing left; empty is good."""
    return (
        [f"process {pid}: {why}" for pid, why in processes(token).items()]
        + [f"mount {m}" for m in mounts(token)]
        + [f"cgroup {c}" for c in cgroups(token)]
    )


def remove(token, wait_for):
    """Removes all of it by force, and the cgroup parents as well."""
    for pid in processes(token):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    wait_for(lambda: not processes(token), "the test's processes to be gone")
    for mount in mounts(token):
        os.system(f"umount -l '{mount}'")
    for root in cgroup_roots():
        for path, _, _ in os.walk(root / token, topdown=False):
            os.rmdir(path)
