# SPDX-License-Identifier: MIT
"""Live upgrade: the executor becomes another binary under its running task."""
import os
import shutil
import signal

import pytest

from bare import Events
from harness import BUILD, SLOW, process_gone, wait_for
from jobs import simple

UPGRADE = 5
BINARY = str(BUILD / "bin/cleat-executor")


def events_named(one, kind):
    return [e for e in one.status()["events"] if e["type"] == kind]


UPGRADED, UPGRADE_FAILED = 16, 17


def upgrade(one, path=BINARY, kind=UPGRADED):
    before = one.status()["seq"]
    one.command(UPGRADE, path=path)
    return wait_for(lambda: [e for e in events_named(one, kind) if e["seq"] > before],
                    "the upgrade to be told")[-1]  # fmt: skip


def descriptors(pid):
    """What a process has open, by kind; segments are opened when there is something to write."""
    links = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
    return sorted(link.split(":")[0] for link in links if ".std" not in link)


def test_same_pids_same_lock_same_descriptors(executor):
    one = executor("lines:0:5").start()
    pid = one.wait_pid()
    fds = descriptors(one.process.pid)
    for _ in range(5):
        upgrade(one)
        assert (one.status()["pid"], one.process.poll()) == (pid, None)
    assert one.spawn().wait(timeout=20) == 66  # the lock was never let go
    assert descriptors(one.process.pid) == fds


@pytest.mark.parametrize("private", [False, True], ids=["plain", "stub init"])
def test_no_byte_and_no_exit_is_lost(executor, private):
    """A hundred upgrades while the task writes as fast as it can, until it ends in one of them."""
    count = 400000 * SLOW
    one = executor(f"lines:{count}:0", "exit:9", private_pid=private)
    one.spec["logs"].update(max_files=1000, max_file_size=1 << 16)
    one.start()
    one.wait_pid()
    done = 0
    while one.process.poll() is None and done < 100:
        before = one.status()["seq"]
        fd = one.open_control()
        if fd is not None:
            one.send(fd, UPGRADE, path=BINARY)
        done += bool(wait_for(lambda: one.status()["seq"] > before or one.process.poll() is not None,
                              "the upgrade or the end"))  # fmt: skip
    code, status = one.end()
    assert done > 3
    assert code == 0 and (status["exit_code"], status["state"]) == (9, "dead")
    lines = one.output().splitlines()
    assert len(lines) == count
    assert [int(line.split()[0]) for line in lines] == list(range(count))


def test_exit_in_the_middle(executor):
    """The task dies while the new binary checks itself."""
    for code in range(1, 20):
        one = executor("handle:USR1", f"quit:TERM:{code}", "print:up", "pause", "pause").start()
        pid = one.wait_pid()
        wait_for(lambda: "up" in one.output(), "the task to be ready")
        one.command(UPGRADE, path=BINARY)
        os.kill(pid, signal.SIGTERM)
        assert one.end()[1]["exit_code"] == code
        assert process_gone(pid)
        shutil.rmtree(one.state_dir)
        for path in one.log_dir.iterdir():
            path.unlink()


def test_commands_and_events_go_on(executor):
    one = executor("pause").start()
    one.wait_pid()
    events = Events(one)
    events.next()
    upgrade(one)
    numbers = []
    one.command(2, reason="enough")
    _, status = one.end()
    while message := events.next(timeout=1):
        if message["type"] == 1:
            numbers.append(message["seq"])
    assert numbers == sorted(set(numbers)) and numbers[-1] == status["seq"]
    events.close()


def test_timers_go_on(executor):
    """kill_timeout runs on over the upgrade; so does a pending restart."""
    one = executor("ignore:INT", "print:up", "pause", kill_timeout_ns=10**9).start()
    one.wait_pid()
    wait_for(lambda: "up" in one.output(), "the task to be ready")
    one.command(2, reason="stubborn")
    upgrade(one)
    assert one.end()[1]["exit_signal"] == 9

    shutil.rmtree(one.state_dir)
    two = executor("exit:1")
    two.spec["restart"].update(attempts=1, delay_ns=10**9)
    two.start()
    wait_for(lambda: two.has_status() and events_named(two, 2), "the restart to be planned")
    upgrade(two)
    assert two.end()[1]["restarts"] == 1


@pytest.mark.parametrize("case", ["missing", "text", "false", "relative"])
def test_a_binary_that_is_no_good_is_not_switched_to(executor, box, case):
    bad = box.dir / "bad"
    if case == "text":
        bad.write_text("no program")
        bad.chmod(0o755)
    path = {"false": "/bin/false", "relative": "bin/x"}.get(case, str(bad))
    one = executor("lines:0:5").start()
    pid = one.wait_pid()
    event = upgrade(one, path, UPGRADE_FAILED)
    assert "went on as" in event["message"]
    count = len(one.output().splitlines())
    wait_for(lambda: len(one.output().splitlines()) > count + 20, "more lines")
    assert one.status()["pid"] == pid
    upgrade(one)  # and a good one still works


def test_all_executors_of_a_manager(manager, box):
    """`cleat system upgrade-executors` reports each; a manager that comes later finds them as well."""
    ids = [manager.run_one(simple("lines:0:20", driver=d, id=f"up-{d}")) for d in ("exec", "raw_exec")]
    pids = {}
    for alloc_id in ids:
        manager.wait_client(alloc_id, "running")
        pids[alloc_id] = manager.alloc(alloc_id)["TaskStates"]["t"]["Pid"]
    results = manager.call("PUT", "/v1/system/upgrade-executors")
    assert sorted(r["AllocID"] for r in results) == sorted(ids)
    assert all(r["Before"] == r["After"] and not r["Error"] for r in results)
    manager.kill9()
    manager.start()
    for alloc_id in ids:
        state = manager.alloc(alloc_id)["TaskStates"]["t"]
        assert (state["State"], state["Pid"], state["Restarts"]) == ("running", pids[alloc_id], 0)
        assert "Executor Upgraded" in [e["Type"] for e in state["Events"]]
