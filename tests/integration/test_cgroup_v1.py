# SPDX-License-Identifier: MIT
"""A host with v1 hierarchies only: the unified one is hidden from the manager."""
import pytest

import jobs
import leftovers
import records
from harness import HIDE_CGROUP2 as HIDE, has_v1, kill_hard, process_gone, wait_for

pytestmark = pytest.mark.skipif(not has_v1(), reason="this host has no v1 hierarchies")


@pytest.fixture
def manager(box):
    return box.manager().start(wrapper=HIDE)


def test_what_it_is(manager):
    node = manager.get("/v1/node/" + manager.get("/v1/nodes")[0]["ID"])
    assert node["Attributes"]["unique.cgroup.version"] == "v1"


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_all_of_a_task_is_killed(box, manager, driver):
    """Children that ignore signals, and one that left the session: frozen, killed, gone."""
    alloc = manager.run_one(
        jobs.simple("daemon", "fork:20", "print:ready", "ignore:SIGINT", "pause", driver=driver,
                    KillTimeout=jobs.SECOND // 2)
    )  # fmt: skip
    wait_for(lambda: "ready" in manager.output(alloc), "the task to have forked")
    leaf = next(
        leaf for root in leftovers.cgroup_roots() if root.name == "freezer"
        for leaf in root.glob(f"{box.token}/*/{alloc}.t.0")
    )  # fmt: skip
    pids = [int(p) for p in (leaf / "cgroup.procs").read_text().split()]
    assert len(pids) >= 22
    manager.stop("job")
    manager.wait_dead(alloc)
    assert all(process_gone(pid) for pid in pids)
    assert not leftovers.cgroups(box.token)


def test_a_fork_bomb_ends(box, manager):
    """It forks faster than a list of processes can be read; the freezer holds it."""
    job = jobs.simple(command="/bin/sh", driver="raw_exec", Resources={"CPU": 100, "MemoryMB": 64, "Pids": 200})
    job["TaskGroups"][0]["Tasks"][0]["Config"]["args"] = ["-c", "f() { f & f & wait; }; f"]
    job["TaskGroups"][0]["Tasks"][0]["KillTimeout"] = 0
    alloc = manager.run_one(job)
    manager.wait_running(alloc)
    manager.stop("job")
    manager.wait_dead(alloc)
    assert not leftovers.cgroups(box.token)


def test_leftovers_of_a_dead_executor(box, manager):
    alloc = manager.run_one(jobs.simple("fork:5", "pause", driver="raw_exec", policy=jobs.restart(1)))
    manager.wait_running(alloc)
    manager.kill9()
    kill_hard(records.task_status(manager, alloc)["executor_pid"])
    manager.start(wrapper=HIDE)
    manager.wait_event(alloc, "Started", count=2)
    manager.stop("job")
    manager.wait_dead(alloc)


def test_oom_and_stats(manager):
    alloc = manager.run_one(jobs.simple("hog:5", "print:ready", "pause", id="stats"))
    wait_for(lambda: "ready" in manager.output(alloc), "the task to have done it")
    manager.wait_running(alloc)  # its output may be there before the manager has heard of it
    usage = manager.get(f"/v1/client/allocation/{alloc}/stats")["Tasks"]["t"]["ResourceUsage"]
    assert usage["MemoryStats"]["RSS"] >= 5 << 20
    assert usage["CpuStats"]["Percent"] > 0
    _, state = manager.run_to_end(jobs.simple("hog:64", Resources={"CPU": 100, "MemoryMB": 16}))
    assert state["OOMKilled"]
