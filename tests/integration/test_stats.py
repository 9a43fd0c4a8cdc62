# SPDX-License-Identifier: MIT
"""What tasks use, by GET /v1/client/allocation/:id/stats and cleat alloc status -stats."""
import json

import pytest

import jobs
from harness import ApiError, wait_for

MIB = 1 << 20


def stats(manager, alloc):
    return manager.get(f"/v1/client/allocation/{alloc}/stats")


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_memory_and_processes(manager, driver):
    alloc = manager.run_one(
        jobs.simple("hog:20", "fork:3", "print:ready", "pause", driver=driver,
                    Resources={"CPU": 100, "MemoryMB": 200, "Pids": 50})
    )  # fmt: skip
    wait_for(lambda: "ready" in manager.output(alloc), "the task to have done it")
    answer = stats(manager, alloc)
    usage = answer["Tasks"]["t"]["ResourceUsage"]
    memory = usage["MemoryStats"]
    assert 20 * MIB <= memory["RSS"] <= 40 * MIB
    assert memory["Usage"] >= memory["RSS"]
    assert memory["Swap"] == 0
    assert {"RSS", "Usage"} <= set(memory["Measured"])
    assert usage["PidsStats"]["Current"] == 4 + (driver == "exec")  # the stub init
    assert answer["ResourceUsage"]["MemoryStats"]["RSS"] == memory["RSS"]
    assert answer["Tasks"]["t"]["Timestamp"] == answer["Timestamp"] > 10**18


def spin(manager, id="job", **fields):
    job = jobs.simple(id=id, command="/bin/sh", **fields)
    job["TaskGroups"][0]["Tasks"][0]["Config"]["args"] = ["-c", "while :; do :; done"]
    return manager.run_one(job)


def test_cpu_is_since_the_last_question(manager):
    busy = spin(manager)
    idle = manager.run_one(jobs.simple("pause", id="idle"))
    manager.wait_running(busy)
    manager.wait_running(idle)

    def percent(alloc):
        return stats(manager, alloc)["Tasks"]["t"]["ResourceUsage"]["CpuStats"]["Percent"]

    assert wait_for(lambda: percent(busy) > 10, "the busy task to be busy")
    percent(idle)
    wait_for(lambda: percent(idle) < 1, "the idle task to be idle")
    wait_for(
        lambda: stats(manager, busy)["Tasks"]["t"]["ResourceUsage"]["CpuStats"]["TotalTicks"] > 0,
        "the busy task to have used MHz",
    )


def test_throttling(manager):
    job = jobs.simple(command="/bin/sh", Resources={"CPU": 50, "MemoryMB": 64})
    config = job["TaskGroups"][0]["Tasks"][0]["Config"]
    config.update(args=["-c", "while :; do :; done"], cpu_hard_limit=True)
    alloc = manager.run_one(job)
    manager.wait_running(alloc)

    def throttled():
        cpu = stats(manager, alloc)["Tasks"]["t"]["ResourceUsage"]["CpuStats"]
        return cpu["ThrottledPeriods"] > 0 and cpu["ThrottledTime"] > 0

    wait_for(throttled, "the task to be throttled")


def test_pressure(manager):
    alloc = spin(manager)
    manager.wait_running(alloc)
    assert {"Cpu", "Memory", "Io"} == set(stats(manager, alloc)["Tasks"]["t"]["PressureStats"])


def test_not_running(manager):
    alloc = manager.run_one(jobs.simple("exit:0"))
    manager.wait_dead(alloc)
    answer = stats(manager, alloc)
    assert answer["Tasks"] == {}
    assert answer["ResourceUsage"]["MemoryStats"]["RSS"] == 0
    with pytest.raises(ApiError, match="alloc not found"):
        stats(manager, "0" * 8 + "-0000-0000-0000-" + "0" * 12)


def test_command_line(manager):
    alloc = manager.run_one(jobs.simple("hog:20", "pause"))
    manager.wait_running(alloc)
    text = manager.cli("alloc", "status", "-stats", alloc[:8]).stdout
    assert 'Task "t" uses' in text and "Memory" in text and "CPU" in text
    answer = json.loads(manager.cli("alloc", "status", "-stats", "-json", alloc[:8]).stdout)
    assert answer["Tasks"]["t"]["ResourceUsage"]["MemoryStats"]["RSS"] > 0


def test_what_is_on_the_disk(manager):
    """Counted when it is asked for, since no quota tells."""
    alloc = manager.run_one(
        jobs.job(jobs.group(jobs.task(
            "-c", "dd if=/dev/zero of=$NOMAD_ALLOC_DIR/data/f bs=1M count=3 2>/dev/null; sync; echo ready; "
            "ln $NOMAD_ALLOC_DIR/data/f local/f; exec sleep 1000", command="/bin/sh", driver="raw_exec"),
            EphemeralDisk={"SizeMB": 20}))
    )  # fmt: skip
    wait_for(lambda: "ready" in manager.output(alloc), "the task to have done it")
    assert stats(manager, alloc)["EphemeralDisk"] == {"SizeMB": 20, "Enforced": False}
    assert "20 MiB (not enforced)" in manager.cli("alloc", "status", alloc).stdout
    text = manager.cli("alloc", "status", "-stats", alloc).stdout
    assert "Disk: 3." in text and " MiB of 20 MiB (not enforced)\n" in text
    counted = stats(manager, alloc)["EphemeralDisk"]
    assert 3 * MIB <= counted["UsedBytes"] < 4 * MIB and not counted["Partial"]
    assert counted["Timestamp"] > 10**18
    again = manager.get(f"/v1/client/allocation/{alloc}/stats?disk=true")["EphemeralDisk"]
    assert again == counted, "it is fresh"
