# SPDX-License-Identifier: MIT
"""The stop sequence: shutdown delay, kill signal, kill timeout, SIGKILL for all that is left."""
import time

import pytest

import leftovers
import records
from harness import process_gone, wait_for
from jobs import MS, SECOND, restart, simple

DRIVERS = ["exec", "raw_exec"]


def stop(manager, alloc_id):
    """Stops the job; returns (task state, seconds it took)."""
    start = time.monotonic()
    manager.stop("job")
    state = manager.wait_dead(alloc_id)
    return state, time.monotonic() - start


def exit_event(state):
    return [e for e in state["Events"] if e["Type"] == "Terminated"][-1]


@pytest.mark.parametrize("driver", DRIVERS)
def test_default_signal_is_sigint(manager, driver):
    alloc_id = manager.run_one(simple("quit:INT:5", "print:ready", "pause", driver=driver))
    wait_for(lambda: manager.output(alloc_id) == "ready\n", "the task to be ready")
    state, _ = stop(manager, alloc_id)
    assert exit_event(state)["ExitCode"] == 5
    assert manager.output(alloc_id) == "ready\nend\n"
    assert "Killing" in [e["Type"] for e in state["Events"]]
    assert manager.alloc(alloc_id)["ClientStatus"] == "complete"


@pytest.mark.parametrize("driver", DRIVERS)
def test_kill_signal_of_the_job(manager, driver):
    alloc_id = manager.run_one(
        simple("ignore:INT", "quit:USR2:6", "print:ready", "pause", driver=driver,
               KillSignal="SIGUSR2")
    )  # fmt: skip
    wait_for(lambda: manager.output(alloc_id), "the task to be ready")
    state, _ = stop(manager, alloc_id)
    assert exit_event(state)["ExitCode"] == 6


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_stubborn_task_is_killed_after_the_timeout(manager, driver):
    alloc_id = manager.run_one(
        simple("ignore:INT", "print:ready", "pause", driver=driver, KillTimeout=700 * MS)
    )
    wait_for(lambda: manager.output(alloc_id), "the task to be ready")
    state, seconds = stop(manager, alloc_id)
    assert (exit_event(state)["ExitCode"], exit_event(state)["Signal"]) == (137, 9)
    assert 0.7 <= seconds < 5


def test_no_timeout_means_sigkill_at_once(manager):
    alloc_id = manager.run_one(simple("ignore:INT", "print:ready", "pause", KillTimeout=0))
    wait_for(lambda: manager.output(alloc_id), "the task to be ready")
    state, _ = stop(manager, alloc_id)
    assert exit_event(state)["Signal"] in (2, 9)


@pytest.mark.parametrize("driver", DRIVERS)
def test_children_die_with_the_task(manager, driver):
    alloc_id = manager.run_one(
        simple("fork:5", "daemon", "print:ready", "pause", driver=driver, KillTimeout=500 * MS)
    )
    wait_for(lambda: "ready" in manager.output(alloc_id), "the task to be ready")
    pid = manager.wait_running(alloc_id)
    stop(manager, alloc_id)
    assert process_gone(pid)
    wait_for(lambda: not leftovers.processes(manager.box.token).keys() - {manager.process.pid},
             "all of the task's processes to be gone")  # fmt: skip


@pytest.mark.parametrize("driver", DRIVERS)
def test_children_die_when_the_main_process_exits(manager, driver):
    _, state = manager.run_to_end(simple("fork:3", "daemon", "exit:0", driver=driver))
    assert exit_event(state)["ExitCode"] == 0
    wait_for(lambda: not leftovers.processes(manager.box.token).keys() - {manager.process.pid},
             "all of the task's processes to be gone")  # fmt: skip


def test_shutdown_delay_comes_first(manager):
    alloc_id = manager.run_one(
        simple("quit:INT:0", "print:ready", "pause", ShutdownDelay=700 * MS)
    )
    wait_for(lambda: manager.output(alloc_id), "the task to be ready")
    pid = manager.wait_running(alloc_id)
    start = time.monotonic()
    manager.stop("job")
    manager.wait_event(alloc_id, "Waiting for shutdown delay")
    assert not process_gone(pid)
    manager.wait_dead(alloc_id)
    assert time.monotonic() - start >= 0.7


def test_stop_during_a_restart_delay(manager):
    alloc_id = manager.run_one(simple("exit:1", policy=restart(3, 15 * SECOND)))
    manager.wait_event(alloc_id, "Restarting")
    _, seconds = stop(manager, alloc_id)
    assert seconds < 5


def test_stop_goes_on_without_the_manager(manager):
    alloc_id = manager.run_one(
        simple("ignore:INT", "print:ready", "pause", KillTimeout=1 * SECOND)
    )
    wait_for(lambda: manager.output(alloc_id), "the task to be ready")
    pid = manager.wait_running(alloc_id)
    manager.stop("job")
    manager.wait_event(alloc_id, "Killing")
    manager.kill9()
    wait_for(lambda: process_gone(pid), "the executor to kill its task")
    wait_for(lambda: records.task_status(manager, alloc_id)["state"] == "dead", "the record")
    manager.start()
    assert exit_event(manager.wait_dead(alloc_id))["Signal"] == 9
    assert manager.get("/v1/job/job")["Status"] == "dead"


def test_a_stop_survives_the_manager(manager):
    """Acknowledged, then killed at once: the task ends all the same, at the latest afterwards."""
    for i in range(5):
        alloc_id = manager.run_one(simple("pause", id=f"job{i}"))
        manager.wait_running(alloc_id)
        manager.stop(f"job{i}")
        manager.kill9()
        manager.start()
        manager.wait_dead(alloc_id)
        assert manager.alloc(alloc_id)["DesiredStatus"] == "stop"


@pytest.mark.parametrize("driver", DRIVERS)
def test_stop_right_after_the_start(manager, driver):
    """Whatever the task has come to by then: it ends, and nothing of it is left."""
    for i in range(20):
        alloc_id = manager.run_one(simple("pause", id=f"job{i}", type="service", driver=driver))
        manager.stop(f"job{i}")
        manager.wait_dead(alloc_id)
        assert manager.alloc(alloc_id)["ClientStatus"] == "complete"


def test_stop_all(manager):
    ids = [manager.run_one(simple("pause", id=f"job{i}", type="service")) for i in range(5)]
    for alloc_id in ids:
        manager.wait_running(alloc_id)
    manager.cli("system", "stop-all")
    for alloc_id in ids:
        assert manager.task(alloc_id)["State"] == "dead"
