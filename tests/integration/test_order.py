# SPDX-License-Identifier: MIT
"""cleat alloc restart and alloc signal."""
import pytest

import records
from harness import ApiError, process_gone, wait_for
from jobs import MS, SECOND, group, job, restart, simple, task

NIL = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def manager(box):
    return box.manager().start()


def started(manager, *steps, **fields):
    """A running allocation of one task t, and its pid."""
    alloc_id = manager.run_one(simple(*steps, "print:ready", *["pause"] * 9, **fields))
    pid = manager.wait_running(alloc_id)
    wait_for(lambda: "ready" in manager.output(alloc_id), "the task to be ready")
    return alloc_id, pid


def order(manager, alloc_id, verb, body=None):
    return manager.call("PUT", f"/v1/client/allocation/{alloc_id}/{verb}", body)


def wait_again(manager, alloc_id, pid, name="t"):
    """Waits until another process than `pid` is the task; returns it."""
    wait_for(lambda: manager.task(alloc_id, name).get("Pid") not in (0, pid), f"another {name} of {alloc_id}")
    assert process_gone(pid)
    return manager.wait_running(alloc_id, name)


def kinds(manager, alloc_id, name="t"):
    return [e["Type"] for e in manager.task(alloc_id, name)["Events"]]


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_restart_beside_the_policy(manager, driver):
    """Which allows none: as often as one likes, and each is told as Nomad tells it."""
    alloc_id, pid = started(manager, "quit:INT:3", driver=driver)
    for n in range(1, 4):
        done = manager.cli("alloc", "restart", alloc_id[:8], "t")
        assert done.stdout == f'Restarting task "t" of {alloc_id[:8]}\n'
        pid = wait_again(manager, alloc_id, pid)
        wait_for(lambda n=n: manager.output(alloc_id).count("ready") == n + 1, "the task to be ready")
    state = manager.task(alloc_id)
    assert (state["State"], state["Restarts"], state["Failed"]) == ("running", 3, False)
    assert [e["Type"] for e in state["Events"][-4:]] == ["Restart Signaled", "Terminated", "Restarting", "Started"]
    signaled, ended, again, _ = state["Events"][-4:]
    assert signaled["DisplayMessage"] == "User requested task to restart: SIGINT, SIGKILL after 5s"
    assert (ended["ExitCode"], again["StartDelay"], again["DisplayMessage"]) == (3, 0, "Task restarting in 0s")
    assert manager.output(alloc_id).count("end\n") == 3


def test_restart_kills_after_the_timeout(manager):
    alloc_id, pid = started(manager, "ignore:INT", "fork:2", KillTimeout=300 * MS)
    assert order(manager, alloc_id, "restart") == {}
    wait_again(manager, alloc_id, pid)
    assert manager.wait_event(alloc_id, "Terminated")["Signal"] == 9


def test_restart_during_the_delay_of_the_policy_is_refused(manager):
    alloc_id = manager.run_one(simple("exit:1", policy=restart(1, 20 * SECOND)))
    manager.wait_event(alloc_id, "Restarting")
    with pytest.raises(ApiError, match="not running") as refusal:
        order(manager, alloc_id, "restart", {"TaskName": "t"})
    assert refusal.value.status == 409


def test_running_ones_and_one(manager):
    tasks = [task("pause", name="a"), task("pause", name="b"), task("exit:0", name="c")]
    (alloc_id,) = manager.run(job(group(*tasks)))
    a, b = manager.wait_running(alloc_id, "a"), manager.wait_running(alloc_id, "b")
    manager.wait_dead(alloc_id, "c")
    assert "the tasks that run" in manager.cli("alloc", "restart", alloc_id).stdout
    a, b = wait_again(manager, alloc_id, a, "a"), wait_again(manager, alloc_id, b, "b")
    manager.cli("alloc", "restart", "-task", "b", alloc_id)
    wait_again(manager, alloc_id, b, "b")
    assert manager.wait_running(alloc_id, "a") == a
    assert manager.task(alloc_id, "c")["Restarts"] == 0


def test_restart_is_done_whatever_becomes_of_the_manager(manager):
    """It dies as soon as it has answered."""
    alloc_id, pid = started(manager)
    order(manager, alloc_id, "restart", {"TaskName": "t", "AllTasks": False})
    manager.kill9()
    wait_for(lambda: records.task_status(manager, alloc_id, "t")["restarts"] == 1, "the restart")
    manager.start()
    wait_again(manager, alloc_id, pid)
    assert manager.task(alloc_id)["Restarts"] == 1
    assert "Restart Signaled" in kinds(manager, alloc_id)


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
@pytest.mark.parametrize("name", ["SIGUSR1", "usr1", "10"])
def test_signal(manager, driver, name):
    alloc_id, pid = started(manager, "handle:USR1", driver=driver)
    done = manager.cli("alloc", "signal", "-s", name, alloc_id, "t")
    assert done.stdout == f'SIGUSR1 was sent to task "t" of {alloc_id[:8]}\n'
    wait_for(lambda: "caught=USR1" in manager.output(alloc_id), "the signal")
    event = manager.wait_event(alloc_id, "Signaling")
    assert event["DisplayMessage"] == "Task being sent signal SIGUSR1"
    assert (event["TaskSignal"], manager.task(alloc_id)["Pid"]) == ("SIGUSR1", pid)


def test_signal_that_ends_it(manager):
    """SIGKILL unless said otherwise, to all that run; the restart policy decides what follows."""
    policy = restart(1, 0)
    (alloc_id,) = manager.run(job(group(task("pause", name="a"), task("pause", name="b"), policy=policy)))
    for name in "ab":
        manager.wait_running(alloc_id, name)
    manager.cli("alloc", "signal", alloc_id)
    for name in "ab":
        assert manager.wait_event(alloc_id, "Terminated", name)["Signal"] == 9
        manager.wait_event(alloc_id, "Started", name, count=2)
    manager.cli("alloc", "signal", alloc_id, "b")
    assert manager.wait_dead(alloc_id, "b")["Failed"]


@pytest.mark.parametrize("verb, body, status, text", [
    ("restart", {"TaskName": "x"}, 400, "unknown task"),
    ("restart", {"TaskName": 7}, 400, "TaskName"),
    ("restart", {"AllTasks": "yes"}, 400, "AllTasks"),
    ("restart", {"AllTasks": True, "TaskName": "t"}, 400, "no choice"),
    ("restart", [], 400, "object"),
    ("restart", {}, 409, "no task of allocation"),
    ("restart", {"TaskName": "t"}, 409, "not running"),
    ("signal", None, 400, "no body"),
    ("signal", {"Task": "t"}, 400, "Signal"),
    ("signal", {"Signal": "SIGWHAT"}, 400, "SIGHUP"),
    ("signal", {"Signal": 9}, 400, "SIGHUP"),
    ("signal", {"Signal": "SIGHUP", "Task": "x"}, 400, "unknown task"),
    ("signal", {"Signal": "SIGHUP", "Task": "t"}, 409, "not running"),
    ("signal", {"Signal": "SIGHUP"}, 409, "no task of allocation"),
])  # fmt: skip
def test_refused(manager, verb, body, status, text):
    alloc_id = manager.run_one(simple("exit:0"))
    manager.wait_dead(alloc_id)
    with pytest.raises(ApiError, match=text) as refusal:
        order(manager, alloc_id, verb, body)
    assert refusal.value.status == status
    with pytest.raises(ApiError) as refusal:
        order(manager, NIL, verb, body)
    assert refusal.value.status == 404


@pytest.mark.parametrize("words, code, text", [
    (["restart", "ID", "x"], 4, "no task"),
    (["restart", "-all-tasks", "ID", "t"], 2, "no choice"),
    (["restart", "ID"], 1, "no task of allocation"),
    (["signal", "-s", "what", "ID"], 2, "SIGHUP"),
    (["signal", "ID", "t"], 1, "not running"),
])  # fmt: skip
def test_refused_by_the_command(manager, words, code, text):
    alloc_id = manager.run_one(simple("exit:0"))
    manager.wait_dead(alloc_id)
    done = manager.cli("alloc", *[alloc_id if w == "ID" else w for w in words], check=False)
    assert done.returncode == code and text in done.stderr
