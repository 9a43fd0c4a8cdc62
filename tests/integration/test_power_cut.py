# SPDX-License-Identifier: MIT
"""The power goes, under a data directory on ext4: what its disk holds just then is what is left. The
image is copied between two writes to it, and the next boot is a boot id of its own."""
import filecmp
import os
import shutil
import subprocess
import uuid
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest

import leftovers
import records
from harness import kill_hard, wait_for
from jobs import group, job, restart, simple, task

# The file system's, in seconds: five are usual.
COMMIT_S = 1
# Far less than the half minute after which the kernel writes by itself.
BOUND_S = 8


class Machine:
    """A manager whose data directory is a disk of its own."""

    def __init__(self, box):
        self.box = box
        self.manager = box.manager()
        self.data_dir = self.manager.data_dir
        self.disk, self.copy = box.dir / "disk", box.dir / "copy"
        self.data_dir.mkdir()
        with open(self.disk, "wb") as f:
            f.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", self.disk], check=True)
        self.mount(self.disk, self.data_dir)

    def mount(self, image, where):
        subprocess.run(["mount", "-o", f"loop,commit={COMMIT_S}", image, where], check=True)

    def umount(self, where):
        subprocess.run(["umount", where], check=True)

    def copy_disk(self):
        """A copy that takes time is of no one moment, unless nothing was written meanwhile."""
        def unchanged():
            shutil.copyfile(self.disk, self.copy)
            return filecmp.cmp(self.disk, self.copy, shallow=False)

        wait_for(unchanged, "a moment without a write to the disk")

    @contextmanager
    def as_it_is(self, copied=False):
        """What the disk holds now, or held when it was copied."""
        if not copied:
            self.copy_disk()
        where = self.box.dir / "look"
        where.mkdir(exist_ok=True)
        self.mount(self.copy, where)
        try:
            yield SimpleNamespace(data_dir=where)
        finally:
            self.umount(where)

    def status(self, alloc_id):
        """The record on the disk, or an empty one."""
        with self.as_it_is() as look, suppress(records.Damaged, FileNotFoundError):
            return records.task_status(look, alloc_id)
        return {"state": "", "events": []}

    def wait_on_disk(self, condition, what):
        wait_for(condition, f"{what} to be on the disk", BOUND_S)

    def cut(self, copied=False):
        """Everything is gone but what is on the disk."""
        if not copied:
            self.copy_disk()
        self.manager.kill9()
        for pid in leftovers.processes(self.box.token):
            with suppress(ProcessLookupError):
                kill_hard(pid)
        leftovers.remove(self.box.token, wait_for)
        self.copy.rename(self.disk)
        self.mount(self.disk, self.data_dir)

    def boot(self):
        boot_id = self.box.dir / "boot_id"
        boot_id.write_text(f"{uuid.uuid4()}\n")
        self.manager.start(["unshare", "-m", "--propagation", "private", "sh", "-c",
                            f'mount --bind {boot_id} /proc/sys/kernel/random/boot_id; exec "$@"', "sh"])  # fmt: skip

    def end(self):
        self.manager.stop_all()
        self.manager.process = None
        wait_for(lambda: not leftovers.processes(self.box.token), "the executors to end")
        self.umount(self.data_dir)


@pytest.fixture
def machine(box):
    machine = Machine(box)
    machine.manager.start()
    yield machine
    machine.end()


def codes(record):
    return [e.get("exit_code") for e in record["events"] if e["type"] == 1]


def test_the_end_of_a_task_is_on_the_disk(machine):
    """… very soon after it was told, whatever else is not."""
    for n in range(3):
        alloc_id = machine.manager.run_one(simple(f"exit:{n}", id=f"ends-{n}", driver="raw_exec"))
        machine.manager.wait_client(alloc_id, "complete", "failed")
        wait_for(lambda: machine.status(alloc_id)["state"] == "dead", "the end on the disk", COMMIT_S / 2)
        assert codes(machine.status(alloc_id)) == [n]


def test_what_ran_is_known_after_it(machine):
    """It is reported lost, with the exits before, and the policy decides; nothing counts as damaged."""
    manager = machine.manager
    ends = manager.run_one(simple("exit:3", id="ends"))
    manager.wait_dead(ends)
    never = manager.run_one(simple("pause", id="never", driver="raw_exec"))
    again = manager.run_one(simple("once:/local/ran:7", "pause", id="again", policy=restart(3)))
    manager.wait_event(again, "Started", count=2)
    machine.wait_on_disk(lambda: codes(machine.status(again)) == [7], "an exit that was not the last")
    machine.wait_on_disk(lambda: machine.status(never)["state"] == "running", "a start")
    machine.cut()
    machine.boot()
    assert manager.task(ends)["ExitCode"] == 3 and manager.task(ends)["Restarts"] == 0
    state = manager.wait_dead(never)
    assert state["Failed"] and state["Restarts"] == 0
    manager.wait_running(again)
    state = manager.task(again)
    assert 7 in [e["ExitCode"] for e in state["Events"] if e["Type"] == "Terminated"]
    assert [e for e in state["Events"] if "machine was restarted" in e["DisplayMessage"]]
    assert not list(machine.data_dir.rglob("*.damaged"))


def test_the_end_of_a_changed_task_stays_its_end(machine):
    """Its order is not synced, and gone with what it was an order for; the record is not."""
    manager = machine.manager

    def change(*steps):
        beside = task("pause", name="beside", driver="raw_exec")
        return manager.run(job(group(beside, task(*steps, driver="raw_exec"), policy=restart(3))))

    (alloc_id,) = change("pause")
    manager.wait_running(alloc_id)
    change("exit:0")
    before = manager.wait_dead(alloc_id)
    machine.wait_on_disk(lambda: codes(machine.status(alloc_id))[-1:] == [0], "its end")
    machine.cut()
    with suppress(FileNotFoundError):
        (machine.data_dir / f"state/tasks/{alloc_id}/t/spec").unlink()
    machine.boot()
    manager.wait_running(alloc_id, "beside")
    state = manager.wait_dead(alloc_id)
    assert [state[k] for k in ("StartedAt", "Restarts")] == [before[k] for k in ("StartedAt", "Restarts")]


def empty_on_disk(machine, alloc_id):
    """True when that is what the disk holds of the allocation's files for a moment."""
    with open(machine.data_dir / alloc_id, "w") as f:
        os.fsync(f.fileno())
    shutil.copyfile(machine.disk, machine.copy)
    with machine.as_it_is(copied=True) as look:
        files = [look.data_dir / "state" / path for path in (f"allocs/{alloc_id}", f"tasks/{alloc_id}/t/spec")]
        return all(file.exists() and file.read_bytes() == b"" for file in files)


def test_empty_files_are_no_damage(machine):
    """What was renamed into place and not synced is empty when the directory is on the disk already."""
    manager = machine.manager
    for n in range(10):  # the kernel may have written the content, too
        alloc_id = manager.run_one(simple("pause", id=f"new-{n}", type="service", policy=restart(3)))
        manager.wait_running(alloc_id)
        if empty_on_disk(machine, alloc_id):
            break
    else:
        raise AssertionError("the content was on the disk at once, ten times")
    machine.cut(copied=True)
    machine.boot()
    manager.wait_running(alloc_id)
    assert not list(machine.data_dir.rglob("*.damaged"))
