# SPDX-License-Identifier: MIT
"""The limits of a task: what ends up in its cgroups, and that the kernel keeps to it."""
import os
from pathlib import Path

import pytest

import jobs
import leftovers
import records
from harness import ApiError, kill_hard, wait_for


def leaves(box):
    """The cgroup directories of the running attempt, by controller ("" is the unified tree)."""
    found = {}
    for root in leftovers.cgroup_roots():
        for leaf in root.glob(f"{box.token}/*/**/*.t.*"):
            controllers = leaf / "cgroup.controllers"
            names = root.name.split(",")
            if controllers.exists():
                names = ["", *controllers.read_text().split()]
            for name in names:
                found[name] = leaf
    return found


def setting(box, controller, v2_file, v1_file):
    """What the file of the version at hand says."""
    leaf = leaves(box)[controller]
    return (leaf / (v2_file if (leaf / "cgroup.controllers").exists() else v1_file)).read_text().strip()


def resources(**fields):
    return {"CPU": 100, "MemoryMB": 64, **fields}


def test_pids(box, manager):
    """A fork bomb gets as far as its limit."""
    alloc = manager.run_one(
        jobs.simple("fork:50", driver="raw_exec", Resources=resources(Pids=8))
    )
    manager.wait_dead(alloc)
    assert manager.output(alloc).count("child=-1") == 50 - 7  # with itself it makes 8


def test_pids_are_set(box, manager):
    alloc = manager.run_one(jobs.simple("pause", Resources=resources(Pids=8)))
    manager.wait_running(alloc)
    assert setting(box, "pids", "pids.max", "pids.max") == "8"


def test_pids_default_of_the_driver(box):
    manager = box.manager(exec_plugin="pids_limit = 77").start()
    alloc = manager.run_one(jobs.simple("pause"))
    manager.wait_running(alloc)
    assert setting(box, "pids", "pids.max", "pids.max") == "77"


def kept_above(leaf):
    """memory.low of the groups above, up to the root, which has none; none has any in v1."""
    return [int(f.read_text()) for p in leaf.parents if (f := p / "memory.low").exists()]


def test_memory_max(box, manager):
    """memory is what the task keeps, memory_max what it may have; in v2 the groups above must keep it, too."""
    alloc = manager.run_one(jobs.simple("hog:40", "pause", Resources=resources(MemoryMB=16, MemoryMaxMB=64)))
    manager.wait_running(alloc)
    assert setting(box, "memory", "memory.low", "memory.soft_limit_in_bytes") == str(16 << 20)
    assert setting(box, "memory", "memory.max", "memory.limit_in_bytes") == str(64 << 20)
    leaf = leaves(box)["memory"]
    if (leaf / "memory.low").exists():
        wait_for(lambda: kept_above(leaf) == [16 << 20] * 3, "the groups above to keep it")
        other = jobs.simple("pause", id="other", Resources=resources(MemoryMB=16, MemoryMaxMB=-1))
        manager.wait_running(manager.run_one(other))
        wait_for(lambda: kept_above(leaf) == [32 << 20] * 3, "the groups above to keep both")
        manager.kill9()
        manager.start()
        assert kept_above(leaf) == [32 << 20] * 3
        manager.kill9()
        kill_hard(records.task_status(manager, alloc)["executor_pid"])
        manager.start()
        wait_for(lambda: kept_above(leaf) == [16 << 20] * 3, "the groups above to keep less")


def test_memory_max_unlimited(box, manager):
    alloc = manager.run_one(jobs.simple("pause", Resources=resources(MemoryMB=16, MemoryMaxMB=-1)))
    manager.wait_running(alloc)
    assert setting(box, "memory", "memory.max", "memory.limit_in_bytes") in ("max", "9223372036854771712")


def test_swap_is_off(box, manager):
    manager.wait_running(manager.run_one(jobs.simple("pause")))
    leaf = leaves(box)["memory"]
    names = ("memory.swap.max", "memory.memsw.limit_in_bytes", "memory.swappiness")
    values = {n: (leaf / n).read_text().strip() for n in names if (leaf / n).exists()}
    assert (
        values.get("memory.swap.max") == "0"
        or values.get("memory.memsw.limit_in_bytes") == str(64 << 20)
        or values.get("memory.swappiness") == "0"
        or not values
    ), values


def config(**fields):
    return {**jobs.task("pause")["Config"], **fields}


def test_cpu_hard_limit(box, manager):
    """The quota is the task's part of one core's MHz, for each period."""
    mhz = int(float(manager.get("/v1/node/" + manager.get("/v1/nodes")[0]["ID"])["Attributes"].get("cpu.frequency", 1000)))
    job = jobs.simple(
        "pause", Config=config(cpu_hard_limit=True, cpu_cfs_period=50000), Resources=resources(CPU=mhz // 2)
    )
    manager.wait_running(manager.run_one(job))
    leaf = leaves(box)["cpu"]
    if (leaf / "cpu.max").exists():
        quota, period = map(int, (leaf / "cpu.max").read_text().split())
    else:
        quota, period = (int((leaf / f"cpu.cfs_{n}_us").read_text()) for n in ("quota", "period"))
    assert period == 50000
    assert quota == (mhz // 2) * 50000 // mhz


def cpus_of(pid):
    return os.sched_getaffinity(pid)


@pytest.mark.skipif(os.cpu_count() < 2, reason="cores need a second CPU")
def test_cores_are_exclusive(box, manager):
    """A task with cores has them alone, whoever came first; the next manager knows."""
    before = manager.wait_running(manager.run_one(jobs.simple("pause", id="before")))
    everything = cpus_of(before)
    alloc = manager.run_one(jobs.simple("pause", id="own", Resources={"Cores": 1, "CPU": 0, "MemoryMB": 64}))
    own = cpus_of(manager.wait_running(alloc))
    assert len(own) == 1 and own < everything
    assert cpus_of(before) == everything - own
    manager.kill9()
    manager.start()
    after = manager.wait_running(manager.run_one(jobs.simple("pause", id="after")))
    assert cpus_of(after) == everything - own
    manager.stop("own")
    manager.wait_dead(alloc)
    wait_for(lambda: cpus_of(before) == everything, "the cores to be given back")
    assert cpus_of(after) == everything


def test_more_cores_than_free(box, manager):
    everything = os.cpu_count()
    with pytest.raises(ApiError, match=f"asks for {everything} cores, and this node has {everything}"):
        manager.run(jobs.simple("pause", Resources={"Cores": everything, "MemoryMB": 64}))
    own = {"Cores": everything - 1, "MemoryMB": 64}
    manager.wait_running(manager.run_one(jobs.simple("pause", id="first", Resources=own)))
    second = manager.run_one(jobs.simple("pause", id="second", Resources=own))
    manager.wait_dead(second)
    assert "only 0 are free" in manager.wait_event(second, "Driver Failure")["DisplayMessage"]


def test_node_names_its_controllers(manager):
    node = manager.get("/v1/node/" + manager.get("/v1/nodes")[0]["ID"])
    there = node["Attributes"]["unique.cgroup.controllers"].split(",")
    assert {"cpu", "memory"} <= set(there)


def test_groups_made_by_the_task_go_too(box, manager):
    """A root task may make groups below its own; nothing of them is left."""
    def make_below(leaf):
        (leaf / "below").mkdir()
        (leaf / "below/cgroup.procs").write_text(str(pid))

    alloc = manager.run_one(jobs.simple("pause", driver="raw_exec"))
    pid = manager.wait_running(alloc)
    for leaf in {p for p in leaves(box).values() if "cpuset" not in str(p)}:
        if not (leaf / "cgroup.subtree_control").exists() or not (leaf / "cgroup.subtree_control").read_text():
            make_below(Path(leaf))
    manager.stop("job")
    manager.wait_dead(alloc)
    assert not leaves(box)


def test_what_this_host_cannot_do(box, manager):
    """The node says it, and a job that asks for it is warned; a plain one is not."""
    features = {"io_weight": ("io.weight", "io.bfq.weight", "blkio.bfq.weight"), "oom_group": ("memory.oom.group",),
                "memory_soft_limit": ("memory.low", "memory.soft_limit_in_bytes"), "pids_limit": ("pids.max",)}  # fmt: skip
    job = jobs.simple("exit:0", Config=config(io_weight=50, oom_group=True))
    warnings = manager.call("PUT", "/v1/jobs", {"Job": job})["Warnings"]
    assert warnings == manager.call("PUT", "/v1/validate/job", {"Job": job})["Warnings"]
    groups = [g for root in leftovers.cgroup_roots() for g in root.glob(f"{box.token}/*")]
    attributes = manager.get("/v1/node/" + manager.get("/v1/nodes")[0]["ID"])["Attributes"]
    for name, files in features.items():
        there = any((group / file).exists() for group in groups for file in files)
        assert attributes[f"cgroup.{name}"] == str(there).lower(), name
        assert (f'"{name}"' in warnings) == (not there and name in ("io_weight", "oom_group")), warnings
    assert manager.call("PUT", "/v1/jobs", {"Job": jobs.simple("exit:0", id="plain")})["Warnings"] == ""
