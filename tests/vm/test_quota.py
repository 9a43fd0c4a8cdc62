# SPDX-License-Identifier: MIT
"""ephemeral_disk { size } where the file system can keep to it. Only in the VM (tests/vm/run): the
kernels of many hosts have no quotas."""
import http.client
import os
import re
import subprocess

import pytest

import records
from conftest import box  # its fixtures are those of tests/integration alone
from harness import kill_hard, wait_for
from jobs import group, job, restart, task

MIB = 1 << 20
FIRST = 65536
MAKE = {
    "ext4": (["mkfs.ext4", "-q", "-O", "quota,project"], "loop,prjquota", 200),
    "xfs": (["mkfs.xfs", "-q"], "loop,prjquota", 320),
}
ON_BOTH = pytest.mark.parametrize("disk", MAKE, indirect=True)
FULL = re.compile("Disk quota exceeded|No space left on device")


def sh(*args):
    return subprocess.run([str(a) for a in args], check=True, capture_output=True, text=True).stdout


def mount(image, where, options):
    sh("mount", "-o", options, image, where)


def unmount(where):
    """With what an executor that was killed left mounted there; what it ran may be dying still."""
    wait_for(lambda: subprocess.run(["umount", "-R", where], capture_output=True).returncode == 0, f"{where} to be free")


def remount(image, where, options):
    """Anew: as long as a mount namespace has a copy of the old mount, such as that of an executor that just starts
    in another test, the file system is in use, and a new mount would have the options of the old."""
    unmount(where)
    wait_for(lambda: not sh("losetup", "-j", image), f"{image} to be let go of")
    mount(image, where, options)


@pytest.fixture
def disk(request, box):
    """A manager, not started, whose data directory is a file system with project quotas."""
    make, options, mib = MAKE[getattr(request, "param", "ext4")]
    image = box.dir / "disk"
    image.write_bytes(b"")
    os.truncate(image, mib * MIB)
    sh(*make, image)
    manager = box.manager()
    manager.data_dir.mkdir()
    mount(image, manager.data_dir, options)
    manager.remount = lambda more: remount(image, manager.data_dir, more)
    yield manager
    if manager.process:
        manager.stop_all()
        manager.process = None
    unmount(manager.data_dir)


@pytest.fixture
def manager(disk):
    return disk.start()


def writer(script, size=20, name="t", driver="raw_exec", **disk):
    """A job whose task runs the script as nobody, in alloc/data."""
    one = task(name=name, driver=driver, User="nobody")
    one["Config"] = {"command": "/bin/sh", "args": ["-c", "cd $NOMAD_ALLOC_DIR/data; " + script]}
    one["LogConfig"] = {"MaxFiles": 2, "MaxFileSizeMB": 1}
    return job(group(one, policy=restart(attempts=9), EphemeralDisk={"SizeMB": size, **disk}), type="service")


STAY = 'echo ready; trap "exit 0" INT TERM; while :; do sleep 0.2; done'


def fill(mib, name="f"):
    return f"dd if=/dev/zero of={name} bs=1M count={mib} 2>&1 | sed 's/, .*//'; "


def run(manager, the_job):
    """Runs it until its task is ready; returns the id and its output."""
    alloc_id = manager.run_one(the_job)
    wait_for(lambda: "ready" in manager.output(alloc_id), f"it to be ready\n{manager.log()}")
    return alloc_id, manager.output(alloc_id)


def project(path):
    """The number that the file system's own tool says."""
    return int(sh("lsattr", "-pd", path).split()[0])


def quota(manager, alloc_id):
    """(bytes in use, limit in MiB) as the file system has it: what statfs(2) says there."""
    fs = os.statvfs(manager.alloc_dir(alloc_id))
    return (fs.f_blocks - fs.f_bfree) * fs.f_frsize, fs.f_blocks * fs.f_frsize // MIB


def stats(manager, alloc_id):
    return manager.get(f"/v1/client/allocation/{alloc_id}/stats")["EphemeralDisk"]


@ON_BOTH
def test_no_more_than_its_size(manager):
    node = manager.get("/v1/nodes")[0]["ID"]
    assert manager.get(f"/v1/node/{node}")["Attributes"]["cleat.disk.quota"] == "true"
    alloc_id, said = run(manager, writer(fill(40) + STAY))
    assert FULL.search(said)
    used, limit = quota(manager, alloc_id)
    assert limit == 20 and 18 * MIB < used <= 20 * MIB
    assert stats(manager, alloc_id) == {"SizeMB": 20, "Enforced": True, "UsedBytes": used}
    other, said = run(manager, {**writer(fill(10) + STAY), "ID": "other", "Name": "other"})
    assert not FULL.search(said), "the other's limit is its own"
    assert project(manager.alloc_dir(other)) == project(manager.alloc_dir(alloc_id)) + 1


def collect(manager, alloc_id):
    """Asks until it is done: the executor may end a moment after its task, and until then is in use."""

    def collected():
        manager.call("PUT", "/v1/system/gc")
        return not manager.alloc_dir(alloc_id).exists()

    wait_for(collected, "the directory to go")


def test_a_project_is_used_again(manager):
    alloc_id, _ = run(manager, writer(fill(5) + STAY))
    assert project(manager.alloc_dir(alloc_id)) == FIRST
    kept = manager.data_dir / "kept"
    os.rename(manager.alloc_dir(alloc_id) / "alloc/data/f", kept)  # somebody's, who saved it
    manager.stop("job")
    manager.wait_client(alloc_id, "complete")
    collect(manager, alloc_id)
    alloc_id, _ = run(manager, writer(STAY))
    assert project(manager.alloc_dir(alloc_id)) == FIRST + 1, "something is the first's still"
    kept.unlink()
    manager.stop("job")
    manager.wait_client(alloc_id, "complete")
    collect(manager, alloc_id)
    alloc_id, _ = run(manager, writer(STAY, size=30))
    assert project(manager.alloc_dir(alloc_id)) == FIRST
    assert quota(manager, alloc_id)[1] == 30


@pytest.mark.parametrize("call, nth", [("quotactl_fd", 2), ("quotactl_fd", 3), ("ioctl", 1), ("ioctl", 2)])
def test_the_manager_dies_on_the_way(disk, call, nth):
    """Before the project is in the record, and before directory and limit have it."""
    trace = disk.box.dir / "trace"
    disk.start(["strace", "-D", "-q", "-o", trace, "-e", f"trace={call}",
                "-e", f"inject={call}:signal=SIGKILL:when={nth}"])  # fmt: skip
    with pytest.raises((OSError, http.client.HTTPException)):
        disk.run(writer(fill(40) + STAY))
        disk.wait_running(disk.get("/v1/job/job/allocations")[0]["ID"])
    disk.process.wait()
    wait_for(lambda: "killed by SIGKILL" in trace.read_text(), "strace to say so")
    disk.start()
    alloc_id = disk.get("/v1/job/job/allocations")[0]["ID"]
    wait_for(lambda: "ready" in disk.output(alloc_id), f"it to be ready\n{disk.log()}")
    assert FULL.search(disk.output(alloc_id))
    assert (project(disk.alloc_dir(alloc_id)), quota(disk, alloc_id)[1]) == (FIRST, 20)
    used = stats(disk, alloc_id)["UsedBytes"]
    disk.kill9()
    disk.start()
    assert stats(disk, alloc_id)["UsedBytes"] >= used


def end_all(manager, *alloc_ids):
    """As at a power cut: nothing of it lives, and what was to run is to run again."""
    manager.terminate()
    for alloc_id in alloc_ids:
        kill_hard(records.task_status(manager, alloc_id)["executor_pid"])


def test_a_record_that_was_lost(disk):
    """As after a power cut: what is on the disk has its project still, and no other gets it."""
    disk.start()
    held, _ = run(disk, writer(STAY))
    end_all(disk, held)
    (disk.data_dir / "state/allocs" / held).unlink()
    disk.start()
    wait_for(lambda: disk.output(held).count("ready") == 2, f"it to run again\n{disk.log()}")
    other, _ = run(disk, {**writer(STAY), "ID": "other", "Name": "other"})
    assert [project(disk.alloc_dir(a)) for a in (held, other)] == [FIRST, FIRST + 1]
    assert stats(disk, held)["SizeMB"] == 20


def test_switched_off_and_on(disk):
    """What was placed under quotas starts without them; what was placed without is not held to any."""
    disk.start()
    held, _ = run(disk, writer(STAY))
    end_all(disk, held)
    disk.remount("loop")
    disk.start()
    wait_for(lambda: disk.output(held).count("ready") == 2, f"it to run again\n{disk.log()}")
    free, said = run(disk, {**writer(fill(40) + STAY), "ID": "free", "Name": "free"})
    assert not FULL.search(said)
    end_all(disk, held, free)
    disk.remount("loop,prjquota")
    disk.start()
    for alloc_id, lives, number, mib in (held, 3, FIRST, 20), (free, 2, 0, None):
        wait_for(lambda a=alloc_id, n=lives: disk.output(a).count("ready") == n, "it to run again")
        assert project(disk.alloc_dir(alloc_id)) == number
        assert mib is None or quota(disk, alloc_id)[1] == mib


KEEP = "mkdir -p kept/deep; echo mine >>kept/deep/file; mkfifo kept/pipe; ln -s /etc/hostname kept/link; "


def taken_over(manager, old, new):
    said = [e["DisplayMessage"] for e in manager.task(new)["Events"]]
    return {m for m in said if f"of allocation {old[:8]}" in m} == {
        f"Took over {d} of allocation {old[:8]}" for d in ("alloc/data", "t/local")}  # fmt: skip


@ON_BOTH
def test_what_is_taken_over_counts(manager):
    old, said = run(manager, writer(KEEP + fill(10) + STAY, Sticky=True))
    assert not FULL.search(said)
    data = manager.alloc_dir(old) / "alloc/data"
    os.link(data / "kept/deep/file", data / "kept/hard")
    new, said = run(manager, writer(fill(15, "g") + "cat kept/deep/file; " + STAY, Sticky=True))
    assert taken_over(manager, old, new), manager.log()
    assert FULL.search(said) and "mine" in said
    data = manager.alloc_dir(new) / "alloc/data"
    for path in (data, data / "kept/deep", data / "kept/deep/file", manager.alloc_dir(new) / "t/local"):
        assert project(path) == FIRST + 1, path
    assert stats(manager, old)["UsedBytes"] < MIB < 18 * MIB < stats(manager, new)["UsedBytes"]


def test_half_of_it_had_been_taken_over(manager):
    """As when a manager died meanwhile."""
    slow = STAY.replace('trap "exit 0"', 'trap "until [ -e go ]; do sleep 0.2; done; exit 0"')
    old, _ = run(manager, writer(KEEP + fill(5) + slow, Sticky=True))
    new = manager.run_one(writer("cat kept/deep/file; " + STAY, Sticky=True))
    wait_for(lambda: "Waiting" in str(manager.task(new).get("Events")), "it to wait")
    manager.kill9()
    data = manager.alloc_dir(old) / "alloc/data"
    sh("chattr", "-p", FIRST + 1, data / "f", manager.alloc_dir(old) / "t/local")
    (data / "go").touch()
    manager.start()
    wait_for(lambda: "ready" in manager.output(new), f"it to be ready\n{manager.log()}")
    assert taken_over(manager, old, new) and "mine" in manager.output(new)
    assert project(manager.alloc_dir(new) / "alloc/data/f") == FIRST + 1


def test_what_cannot_be_taken_over(manager):
    """A tree deeper than anybody's: it stays where it is, and the task starts."""
    deep = f"mkdir -p {'d/' * 600}; "
    old, _ = run(manager, writer(deep + STAY, Sticky=True))
    new, said = run(manager, writer("ls; " + STAY, Sticky=True))
    assert said == "ready\n"
    events = str(manager.task(new)["Events"])
    assert "Could not take over alloc/data" in events and "go deeper" in events
    assert (manager.alloc_dir(old) / "alloc/data/d").exists()


@ON_BOTH
@pytest.mark.parametrize("on_full", ["drop", "block"])
def test_logs_of_a_task_that_has_filled_it(disk, on_full):
    """The task is left alone; what its logs lack is told, and they go on when there is room."""
    the_job = writer(
        fill(40) + f"i=0; while [ $i -lt 4000 ]; do echo line $i {'x' * 200}; i=$((i+1)); done; "
        'trap "exit 0" INT TERM; while :; do sleep 0.2; [ ! -e go ] || echo ready; done')  # fmt: skip
    the_job["TaskGroups"][0]["Tasks"][0]["LogConfig"]["OnFull"] = on_full
    # Without that right, root is held to quotas on ext4 as well. The lines are more than XFS sets aside for them.
    disk.start(["setpriv", "--bounding-set=-sys_resource"])
    alloc_id = disk.run_one(the_job)
    pid = disk.wait_running(alloc_id)
    data = disk.alloc_dir(alloc_id) / "alloc/data"
    told = disk.wait_event(alloc_id, "Log Lost" if on_full == "drop" else "Log Blocked")
    assert FULL.search(told["DisplayMessage"])
    (data / "f").unlink()
    (data / "go").touch()
    wait_for(lambda: "ready" in disk.output(alloc_id), f"the logs to go on\n{disk.output(alloc_id)[-300:]}")
    assert disk.wait_running(alloc_id) == pid and disk.task(alloc_id)["Restarts"] == 0
    lines = re.findall(r"line (\d+) x+\n", disk.output(alloc_id))
    assert lines == sorted(set(lines), key=int)
    if on_full == "block":
        assert len(lines) == 4000 and disk.task(alloc_id)["LogLostBytes"] == 0
    else:
        assert disk.task(alloc_id)["LogLostBytes"] > 0
