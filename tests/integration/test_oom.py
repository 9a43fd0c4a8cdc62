# SPDX-License-Identifier: MIT
"""Out of memory: told exactly, whether the task itself was struck or only a child of it."""
import pytest

import jobs
from harness import PAYLOAD, PAYLOAD_IN_ROOT, wait_for

SMALL = {"CPU": 100, "MemoryMB": 16}


def payload(driver):
    return PAYLOAD_IN_ROOT if driver == "exec" else PAYLOAD


def shell(text, driver="exec", **config):
    """A job whose main process is a shell."""
    job = jobs.simple(driver=driver, command="/bin/sh", Resources=SMALL)
    task = job["TaskGroups"][0]["Tasks"][0]
    task["Config"].update(args=["-c", text.format(payload=payload(driver))], **config)
    return job


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_a_task_that_takes_too_much(manager, driver):
    _, state = manager.run_to_end(jobs.simple("hog:64", driver=driver, Resources=SMALL))
    assert (state["Failed"], state["ExitCode"], state["Signal"], state["OOMKilled"]) == (True, 137, 9, True)


@pytest.mark.timeout(120)
def test_a_hundred_of_a_hundred(manager):
    allocs = manager.run(jobs.simple("hog:64", count=100, Resources=SMALL))
    states = [manager.wait_dead(a, timeout=60) for a in allocs]
    assert [s["OOMKilled"] for s in states] == [True] * 100
    assert not [s for s in states if any(e["Type"] == "Child OOM Killed" for e in s["Events"])]


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_a_child_is_an_event_and_no_death(manager, driver):
    alloc = manager.run_one(shell("{payload} hog:64; echo code=$?; {payload} pause", driver))
    event = manager.wait_event(alloc, "Child OOM Killed")
    assert "1 of the task's processes" in event["DisplayMessage"]
    state = manager.task(alloc)
    assert state["State"] == "running" and not state["OOMKilled"]
    wait_for(lambda: manager.output(alloc) == "code=137\n", "the shell to go on")
    manager.stop("job")
    assert not manager.wait_dead(alloc)["OOMKilled"]


@pytest.mark.timeout(120)
def test_children_a_hundred_of_a_hundred(manager):
    job = shell("{payload} hog:64; {payload} pause")
    job["TaskGroups"][0]["Count"] = 100
    for alloc in manager.run(job):
        manager.wait_event(alloc, "Child OOM Killed", timeout=60)


def test_each_child_counts(manager):
    alloc = manager.run_one(shell("while {payload} hog:64; [ $? = 137 ]; do {payload} wait:300; done"))
    manager.wait_event(alloc, "Child OOM Killed", count=3)


def test_a_shell_that_gives_up(manager):
    """It ends because its child did, so the end is one by OOM."""
    for _ in range(10):
        _, state = manager.run_to_end(shell("{payload} hog:64; exit 3"))
        assert (state["ExitCode"], state["OOMKilled"]) == (3, True)
        manager.stop("job")


def test_a_later_failure_has_its_own_cause(manager):
    alloc = manager.run_one(shell("{payload} hog:64; sleep 2; exit 3"))
    manager.wait_event(alloc, "Child OOM Killed")
    state = manager.wait_dead(alloc)
    assert (state["ExitCode"], state["OOMKilled"]) == (3, False)


def test_oom_group_ends_the_whole_task(manager):
    alloc = manager.run_one(shell("{payload} hog:64; {payload} pause", oom_group=True))
    state = manager.wait_dead(alloc)
    assert (state["Signal"], state["OOMKilled"]) == (9, True)
