# SPDX-License-Identifier: MIT
"""The restart policy, which the executor carries out."""
from datetime import datetime

import pytest

import records
from harness import kill_hard
from jobs import MS, SECOND, restart, simple


def kinds(state):
    return [e["Type"] for e in state["Events"]]


@pytest.mark.parametrize("type_", ["service", "batch"])
def test_mode_fail_gives_up_after_the_attempts(manager, type_):
    alloc_id = manager.run_one(
        simple("print:try", "exit:9", type=type_, policy=restart(2, 50 * MS))
    )
    alloc = manager.wait_client(alloc_id, "failed")
    state = alloc["TaskStates"]["t"]
    assert state["Failed"] and state["Restarts"] == 2
    assert kinds(state) == [
        "Received", "Task Setup",
        "Started", "Terminated", "Restarting",
        "Started", "Terminated", "Restarting",
        "Started", "Terminated", "Not Restarting",
    ][-len(kinds(state)):]  # fmt: skip
    assert manager.output(alloc_id) == "try\n" * 3


def test_batch_ends_with_success(manager):
    alloc_id = manager.run_one(simple("exit:0", policy=restart(3)))
    state = manager.wait_client(alloc_id, "complete")["TaskStates"]["t"]
    assert state["Restarts"] == 0 and not state["Failed"]


def test_service_is_restarted_after_success(manager):
    alloc_id = manager.run_one(simple("once:/local/ran:0", "pause", type="service",
                                      policy=restart(1)))  # fmt: skip
    manager.wait_event(alloc_id, "Started", count=2)
    assert manager.task(alloc_id)["Restarts"] == 1


def test_batch_succeeds_at_the_second_attempt(manager):
    alloc_id = manager.run_one(simple("once:/local/ran:1", "print:good", policy=restart(3)))
    state = manager.wait_client(alloc_id, "complete")["TaskStates"]["t"]
    assert state["Restarts"] == 1 and not state["Failed"]
    assert manager.output(alloc_id) == "good\n"


def test_death_by_signal_counts_as_failure(manager):
    alloc_id = manager.run_one(simple("pause", policy=restart(1)))
    kill_hard(manager.wait_running(alloc_id))
    manager.wait_event(alloc_id, "Started", count=2)
    kill_hard(manager.wait_running(alloc_id))
    assert manager.wait_client(alloc_id, "failed")["TaskStates"]["t"]["Restarts"] == 1


def test_delay_is_kept(manager):
    alloc_id = manager.run_one(simple("exit:1", policy=restart(1, 800 * MS)))
    manager.wait_client(alloc_id, "failed")
    record = records.task_status(manager, alloc_id)
    started = [e["time_ns"] for e in record["events"] if e["type"] == 0]
    ended = [e["time_ns"] for e in record["events"] if e["type"] == 1]
    waited = (started[1] - ended[0]) / SECOND
    assert 0.8 <= waited <= 0.8 * 1.25 + 1.0


def test_mode_delay_waits_for_the_interval(manager):
    policy = restart(1, 10 * MS, 5 * SECOND, "delay")
    alloc_id = manager.run_one(simple("exit:1", policy=policy))
    manager.wait_event(alloc_id, "Started", count=3, timeout=30)
    record = records.task_status(manager, alloc_id)
    started = [e["time_ns"] for e in record["events"] if e["type"] == 0]
    assert (started[2] - started[0]) / SECOND >= 4.9
    assert record["state"] != "dead"


def test_the_count_starts_anew_after_the_interval(manager):
    policy = restart(2, 0, 5 * SECOND, "fail")
    alloc_id = manager.run_one(simple("wait:2600", "exit:1", policy=policy))
    # Ends at 2.6 s, which opens the interval, 5.2 s and 7.8 s: that is a new one.
    manager.wait_event(alloc_id, "Started", count=4, timeout=30)


def test_every_attempt_has_a_cgroup_of_its_own_and_leaves_none(manager):
    alloc_id = manager.run_one(simple("pause", policy=restart(2)))
    seen = []
    for attempt in range(3):
        manager.wait_event(alloc_id, "Started", count=attempt + 1)
        pid = manager.wait_running(alloc_id)
        seen += {p for p in records.cgroups_of(pid).values() if alloc_id in p}
        kill_hard(pid)
    manager.wait_client(alloc_id, "failed")
    assert len(set(seen)) == 3


def test_events_are_numbered_in_time(manager):
    alloc_id = manager.run_one(simple("exit:1", policy=restart(3)))
    state = manager.wait_client(alloc_id, "failed")["TaskStates"]["t"]
    times = [e["Time"] for e in state["Events"]]
    assert times == sorted(times) and len(state["Events"]) <= 10
    finished = datetime.fromisoformat(state["FinishedAt"][:19])
    assert abs(finished.timestamp() - times[-1] / SECOND) < 86400


def test_newest_ten_events_are_kept(manager):
    alloc_id = manager.run_one(simple("exit:1", policy=restart(8)))
    state = manager.wait_client(alloc_id, "failed")["TaskStates"]["t"]
    assert len(state["Events"]) == 10 and kinds(state)[-1] == "Not Restarting"
    assert state["Restarts"] == 8
