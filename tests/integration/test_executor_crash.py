# SPDX-License-Identifier: MIT
"""The executor dies: its task dies with it, and the manager reports and restarts by policy."""
import subprocess

import pytest

import leftovers
import records
from harness import BUILD, kill_hard, process_gone, wait_for
from jobs import SECOND, restart, simple

DRIVERS = ["exec", "raw_exec"]


def executor(manager, alloc_id):
    return records.task_status(manager, alloc_id)["executor_pid"]


def recorded_executor(manager, alloc_id):
    """The same while the record may not be there yet: None."""
    try:
        return executor(manager, alloc_id)
    except records.Damaged:
        return None


def others(manager):
    """The test's processes without the manager."""
    return leftovers.processes(manager.box.token).keys() - {manager.process.pid}


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_task_dies_and_is_reported(manager, driver):
    alloc_id = manager.run_one(
        simple("fork:2", "daemon", "print:ready", "pause", driver=driver, policy=restart(0))
    )
    wait_for(lambda: "ready" in manager.output(alloc_id), "the task to be ready")
    pid = manager.wait_running(alloc_id)
    kill_hard(executor(manager, alloc_id))
    wait_for(lambda: process_gone(pid), "the task to die with its executor")
    alloc = manager.wait_client(alloc_id, "failed", "lost")
    assert alloc["TaskStates"]["t"]["State"] == "dead"
    texts = " ".join(e["DisplayMessage"] for e in alloc["TaskStates"]["t"]["Events"])
    assert "executor" in texts
    assert "ready" in manager.output(alloc_id)
    wait_for(lambda: not others(manager), "nothing of the task to be left")


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_task_is_restarted_by_policy(manager, driver):
    alloc_id = manager.run_one(
        simple("print:start", "pause", type="service", driver=driver, policy=restart(2))
    )
    pid = manager.wait_running(alloc_id)
    wait_for(lambda: manager.output(alloc_id) == "start\n", "the first line")
    kill_hard(executor(manager, alloc_id))
    wait_for(lambda: manager.output(alloc_id) == "start\n" * 2, "the task to run again")
    wait_for(lambda: manager.task(alloc_id).get("Pid") not in (None, 0, pid), "the new pid")
    assert process_gone(pid)
    assert manager.task(alloc_id)["Restarts"] == 1
    said = (manager.alloc_dir(alloc_id) / "t/executor.out").read_text().splitlines()
    assert sum("Z executor died; what was left of the task was killed" in line for line in said) == 1
    assert manager.alloc(alloc_id)["ClientStatus"] == "running"


def test_its_death_is_not_told_through_a_link(manager):
    alloc_id = manager.run_one(simple("pause", policy=restart(0)))
    manager.wait_running(alloc_id)
    victim = manager.dir / "victim"
    victim.write_text("whole")
    out = manager.alloc_dir(alloc_id) / "t/executor.out"
    out.unlink()
    out.symlink_to(victim)
    kill_hard(executor(manager, alloc_id))
    manager.wait_event(alloc_id, "Terminated")
    assert victim.read_text() == "whole"


@pytest.mark.parametrize("while_away", [False, True])
def test_an_end_on_record_stands(manager, while_away):
    """The executor dies while its task waits for a restart: that is no second end of the task."""
    alloc_id = manager.run_one(simple("exit:7", policy=restart(3, 60 * SECOND, 600 * SECOND)))
    manager.wait_event(alloc_id, "Restarting")
    pid = executor(manager, alloc_id)
    if while_away:
        manager.kill9()
    kill_hard(pid)
    if while_away:
        manager.start()
    manager.wait_event(alloc_id, "Restarting", count=2)
    events = manager.task(alloc_id)["Events"]
    assert [e["ExitCode"] for e in events if e["Type"] == "Terminated"] == [7]
    (lost,) = [e["DisplayMessage"] for e in events if e["Type"] == "Lost"]
    assert "executor died" in lost
    manager.stop("job")
    manager.wait_dead(alloc_id)


@pytest.mark.parametrize("driver", DRIVERS)
def test_both_die(manager, driver):
    alloc_id = manager.run_one(
        simple("print:start", "pause", type="service", driver=driver, policy=restart(2))
    )
    pid = manager.wait_running(alloc_id)
    wait_for(lambda: manager.output(alloc_id) == "start\n", "the first line")
    manager.kill9()
    kill_hard(executor(manager, alloc_id))
    wait_for(lambda: process_gone(pid), "the task to die with its executor")
    manager.start()
    wait_for(lambda: manager.output(alloc_id) == "start\n" * 2, "the task to run again")
    assert manager.wait_running(alloc_id) != pid


def test_what_an_executor_left_that_is_on_no_record_goes_before_a_new_start(manager):
    """Records lost with both of them dead: the task is as if it had never been started."""
    alloc_id = manager.run_one(
        simple("fork:1", "print:ready", "pause", type="service", driver="raw_exec")
    )
    wait_for(lambda: "ready" in manager.output(alloc_id), "the task to be ready")
    manager.wait_running(alloc_id)
    manager.kill9()
    supervisor = executor(manager, alloc_id)
    left = leftovers.processes(manager.box.token).keys() - {supervisor}
    kill_hard(supervisor)
    assert [pid for pid in left if not process_gone(pid)]
    (records.task_dir(manager, alloc_id) / "status").write_bytes(b"")
    for path in (manager.data_dir / "state/allocs").glob(f"{alloc_id}*"):
        path.unlink()
    manager.start()
    wait_for(lambda: manager.output(alloc_id).count("ready") == 2, "the task to run again")
    manager.wait_running(alloc_id)
    assert all(process_gone(pid) for pid in left)
    assert manager.task(alloc_id)["Restarts"] == 0
    assert not manager.task(alloc_id)["Failed"]


def test_the_policy_ends_at_its_attempts(manager):
    alloc_id = manager.run_one(simple("pause", policy=restart(1)))
    for _ in range(2):
        pid = manager.wait_running(alloc_id)
        kill_hard(executor(manager, alloc_id))
        wait_for(lambda: manager.task(alloc_id).get("Pid") != pid, "the manager to notice")
    alloc = manager.wait_client(alloc_id, "failed", "lost")
    assert alloc["TaskStates"]["t"]["Restarts"] == 1


@pytest.mark.parametrize("driver", DRIVERS)
def test_killed_while_it_sets_up(manager, driver):
    """As soon as the record names it, at whatever stage it is: another one starts the task."""
    for i in range(10):
        job = simple("pause", id=f"job{i}", type="service", driver=driver, policy=restart(3))
        alloc_id = manager.run_one(job)
        wait_for(lambda: (records.task_dir(manager, alloc_id) / "status").exists(), "the record")
        kill_hard(wait_for(lambda: recorded_executor(manager, alloc_id), "its identity"))
        wait_for(lambda: manager.task(alloc_id).get("Restarts") == 1, "the restart")
        manager.wait_running(alloc_id)
        manager.stop(f"job{i}")
        manager.wait_dead(alloc_id)


def test_there_is_never_a_second_executor_for_a_task(manager):
    """An executor started by hand on a live task's directory refuses and disturbs nothing."""
    alloc_id = manager.run_one(simple("pause", type="service"))
    pid = manager.wait_running(alloc_id)
    done = subprocess.run(
        [BUILD / "bin/cleat-executor", "supervise", records.task_dir(manager, alloc_id)],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert done.returncode == 66, done.stderr
    assert manager.wait_running(alloc_id) == pid


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_next_one_goes_on_counting(manager, driver):
    """Killed after one of two restarts by policy: the task is started for the loss, then once more."""
    steps = ["print:start", "wait:300", "exit:1"]
    alloc_id = manager.run_one(simple(*steps, driver=driver, policy=restart(2)))
    wait_for(lambda: manager.output(alloc_id) == "start\n" * 2, "the second run")
    kill_hard(executor(manager, alloc_id))
    state = manager.wait_client(alloc_id, "failed")["TaskStates"]["t"]
    assert manager.output(alloc_id) == "start\n" * 4
    assert state["Restarts"] == 3
