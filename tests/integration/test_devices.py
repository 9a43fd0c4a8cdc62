# SPDX-License-Identifier: MIT
"""Which devices a task can open: the cgroup's say, whatever nodes and rights the task has."""
import errno
import os
import stat

import pytest

import leftovers
from harness import HIDE_CGROUP2, has_v1
from jobs import simple

USUAL = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "ptmx": (5, 2)}
OTHERS = {"mem": (1, 1), "kmsg": (1, 11), "fuse": (10, 229), "loop0": (7, 0)}


@pytest.fixture(params=[[], HIDE_CGROUP2] if has_v1() else [[]])
def manager(box, request):
    return box.manager(exec_plugin='allow_devices = ["/dev/k*"]').start(wrapper=request.param)


def make_node(path, name, number):
    kind = stat.S_IFBLK if name.startswith("loop") else stat.S_IFCHR
    os.mknod(path, kind | 0o600, os.makedev(*number))


def try_open(path, flags):
    try:
        os.close(os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError as e:
        return errno.errorcode[e.errno]
    return "ok"


def inside(box, alloc_id, act):
    """Runs act(), which returns a line, as root with all capabilities in the task's cgroups."""
    leaves = [leaf for root in leftovers.cgroup_roots() for leaf in root.glob(f"{box.token}/**/{alloc_id}.t.*")]
    assert leaves
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for leaf in leaves:
                (leaf / "cgroup.procs").write_text("0")
            os.write(theirs, act().encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as output:
        line = output.read()
    os.waitpid(pid, 0)
    return line


def running(manager, **fields):
    alloc_id = manager.run_one(simple("pause", **fields))
    manager.wait_running(alloc_id)
    return alloc_id


def test_only_the_usual_ones(box, manager):
    """Nodes can be made of any, as elsewhere; opening is another matter."""

    def act():
        results = []
        for name, number in {**USUAL, **OTHERS}.items():
            path = str(box.dir / f"node-{name}")
            make_node(path, name, number)
            results += [name, try_open(path, os.O_RDONLY), try_open(path, os.O_WRONLY)]
        return " ".join(results)

    words = inside(box, running(manager), act).split()
    seen = {words[i]: words[i + 1 : i + 3] for i in range(0, len(words), 3)}
    assert set(seen) == set(USUAL) | set(OTHERS)
    for name in USUAL:
        path = str(box.dir / f"node-{name}")
        assert seen[name] == [try_open(path, os.O_RDONLY), try_open(path, os.O_WRONLY)] != ["EPERM"] * 2, name
    for name in OTHERS:
        assert seen[name] == ["EPERM", "EPERM"], (name, seen)


def test_and_those_of_the_job(box, manager):
    """… as far as their permissions go."""
    alloc_id = running(manager, config={"devices": [{"host_path": "/dev/kmsg", "cgroup_permissions": "r"}]})
    line = inside(box, alloc_id, lambda: try_open("/dev/kmsg", os.O_RDONLY) + try_open("/dev/kmsg", os.O_WRONLY))
    assert line == "okEPERM"
    assert inside(box, alloc_id, lambda: try_open("/dev/kmsg", os.O_RDWR)) == "EPERM"
    assert try_open("/dev/kmsg", os.O_WRONLY) == "ok"  # it is not that nobody can


def test_groups_below_have_no_more(box, manager):
    """What the task makes of its own cgroup does not free it."""
    alloc_id = running(manager)

    def act():
        for root in leftovers.cgroup_roots():
            for leaf in root.glob(f"{box.token}/**/{alloc_id}.t.*"):
                if "cpuset" not in str(leaf):  # nobody can enter one without CPUs
                    (leaf / "below").mkdir()
                    (leaf / "below/cgroup.procs").write_text("0")
                if (leaf / "devices.allow").exists():
                    (leaf / "below/devices.deny").write_text("a")
        return try_open("/dev/kmsg", os.O_RDONLY) + try_open("/dev/null", os.O_RDWR)

    line = inside(box, alloc_id, act)
    assert line.startswith("EPERM")


def test_a_plain_process_has_all(box, manager):
    alloc_id = running(manager, driver="raw_exec")
    assert inside(box, alloc_id, lambda: try_open("/dev/kmsg", os.O_RDONLY)) == "ok"


def test_the_node_says_so(manager):
    attributes = manager.get("/v1/node/" + manager.get("/v1/nodes")[0]["ID"])["Attributes"]
    assert attributes["cgroup.devices"] == "true"
