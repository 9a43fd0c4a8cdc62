# SPDX-License-Identifier: MIT
"""GET /v1/metrics and cleat operator metrics: figures that move, in both formats."""
import json
import re
import socket
import subprocess

import pytest

import jobs
from harness import PAYLOAD, ApiError, wait_for

MIB = 1 << 20
LABELS = {"alloc_id", "host", "job", "namespace", "task", "task_group"}
RSS = "nomad_client_allocs_memory_rss"
CPU = "cleat_cpu_seconds_total"
LOST = "cleat_log_lost_bytes_total"


def parse(text):
    """The text format of Prometheus, 0.0.4, read strictly: {name: (type, [(labels, value)])}."""
    types, samples, current = {}, {}, None
    assert text.endswith("\n")
    for line in text.splitlines():
        comment = re.fullmatch(r"# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)", line)
        if comment and comment[1] == "HELP":
            current = comment[2]
            assert current not in samples, "the samples of one name stand together"
            samples[current] = []
        elif comment:
            assert comment[2] == current and comment[3] in ("counter", "gauge")
            types[current] = comment[3]
        else:
            sample = re.fullmatch(r'(\w+)\{((?:\w+="(?:[^"\\]|\\["\\n])*",?)*)\} (-?[0-9.e+-]+)', line)
            assert sample and sample[1] == current, line
            labels = {key: re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], value)
                      for key, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', sample[2])}  # fmt: skip
            assert labels not in [seen for seen, _ in samples[current]], "a sample comes once"
            samples[current].append((labels, float(sample[3])))
    return {name: (types[name], found) for name, found in samples.items()}


def scrape(manager):
    return parse(manager.get("/v1/metrics?format=prometheus").decode())


def value(manager, name, **labels):
    """Of the one sample that has these labels; None where there is none."""
    samples = scrape(manager).get(name, (None, []))[1]
    found = [number for have, number in samples if labels.items() <= have.items()]
    assert len(found) <= 1
    return found[0] if found else None


def test_tasks(manager):
    """Each task's figures under its labels, and they move."""
    alloc = manager.run_one(jobs.simple("hog:20", "print:ready", "pause", id='a"b\\c'))
    busy = jobs.simple(id="busy", command="/bin/sh")
    busy["TaskGroups"][0]["Tasks"][0]["Config"]["args"] = ["-c", "while :; do :; done"]
    busy = manager.run_one(busy)
    wait_for(lambda: "ready" in manager.output(alloc), "the task to have its memory")
    manager.wait_running(busy)
    kind, samples = scrape(manager)[RSS]
    assert kind == "gauge" and len(samples) == 2
    labels, rss = next(s for s in samples if s[0]["alloc_id"] == alloc)
    assert set(labels) == LABELS and 20 * MIB <= rss <= 40 * MIB
    assert (labels["job"], labels["task"], labels["host"]) == ('a"b\\c', "t", socket.gethostname())
    before = value(manager, CPU, alloc_id=busy, mode="user")
    wait_for(lambda: value(manager, CPU, alloc_id=busy, mode="user") > before + 0.1, "it to be busy")
    assert scrape(manager)[CPU][0] == "counter"
    assert value(manager, "nomad_client_allocs_memory_allocated", alloc_id=alloc) == 64 * MIB
    manager.stop("busy")
    manager.wait_dead(busy)
    assert value(manager, RSS, alloc_id=busy) is None


def test_allocations_and_the_manager(manager):
    def allocations(state):
        return value(manager, f"nomad_client_allocations_{state}")

    assert [allocations(s) for s in ("pending", "running", "terminal")] == [0, 0, 0]
    alloc = manager.run_one(jobs.simple("pause"))
    manager.wait_running(alloc)
    assert allocations("running") == 1
    manager.stop("job")
    manager.wait_dead(alloc)
    wait_for(lambda: allocations("terminal") == 1, "the allocation to be finished")
    assert allocations("running") == 0
    assert value(manager, "cleat_manager_resident_bytes") > MIB
    assert value(manager, "nomad_client_uptime") > 0
    assert 0 < value(manager, "cleat_manager_cpu_seconds_total") < 600


def test_restarts(manager):
    flag = manager.dir / "flag"
    alloc = manager.run_one(jobs.simple(f"once:{flag}:1", "pause", driver="raw_exec",
                                         policy=jobs.restart(attempts=1)))
    wait_for(lambda: value(manager, "nomad_client_allocs_restart", alloc_id=alloc) == 1, "its restart")


def test_lost_output_per_stream(manager):
    """What is missing in the segments is what the counters say, for each stream by itself."""
    job = jobs.simple(command="/bin/sh", driver="raw_exec")
    script = f"{PAYLOAD} lines:0:20:30 & exec {PAYLOAD} err lines:0:20:100"
    job["TaskGroups"][0]["Tasks"][0]["Config"]["args"] = ["-c", script]
    alloc = manager.run_one(job)
    widths = {"stdout": 30, "stderr": 100}
    for stream in widths:
        wait_for(lambda: manager.output(alloc, stream=stream), "the first lines")
        assert value(manager, LOST, alloc_id=alloc, stream=stream) == 0
    logs = manager.alloc_dir(alloc) / "alloc/logs"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", logs], check=True)
    try:
        for stream in widths:
            wait_for(lambda: value(manager, LOST, alloc_id=alloc, stream=stream) > 0, "its loss")
    finally:
        subprocess.run(["umount", "-l", logs], check=True)
    for stream, width in widths.items():
        wait_for(lambda: any(re.search(f"{stream}.* is written again", e["DisplayMessage"])
                             for e in manager.task(alloc)["Events"]), "it to be written again")  # fmt: skip
        text = manager.output(alloc, stream=stream)
        seen = [int(re.match(r"\d+", line)[0]) for line in text[:text.rindex("\n")].split("\n")]
        missing = seen[-1] + 1 - len(seen)
        assert value(manager, LOST, alloc_id=alloc, stream=stream) == missing * width > 0
    state = manager.task(alloc)
    assert state["LogLostBytes"] == sum(value(manager, LOST, alloc_id=alloc, stream=s) for s in widths)


def test_json(manager):
    alloc = manager.run_one(jobs.simple("pause"))
    manager.wait_running(alloc)
    answer = manager.get("/v1/metrics")
    assert set(answer) == {"Counters", "Gauges", "Points", "Samples", "Timestamp"}
    assert re.fullmatch(r"\d{4}(-\d\d){2} \d\d(:\d\d){2} \+0000 UTC", answer["Timestamp"])
    gauges = {g["Name"]: g for g in answer["Gauges"] if g["Labels"].get("alloc_id") in (alloc, None)}
    assert gauges["nomad.client.allocations.running"]["Value"] == 1
    assert set(gauges["nomad.client.allocations.running"]["Labels"]) == {"datacenter", "host", "node_id"}
    assert set(gauges["nomad.client.allocs.memory.rss"]["Labels"]) == LABELS
    assert gauges["cleat.log_lost_bytes_total"]["Labels"]["stream"] == "stderr"
    names = {name.replace(".", "_") for name in gauges}
    assert names == set(scrape(manager))
    with pytest.raises(ApiError, match="must be prometheus"):
        manager.get("/v1/metrics?format=xml")


def test_command_line(manager):
    alloc = manager.run_one(jobs.simple("pause"))
    manager.wait_running(alloc)
    for options in [], ["-json"]:
        assert {"Gauges", "Timestamp"} <= set(json.loads(manager.cli("operator", "metrics", *options).stdout))
    text = manager.cli("operator", "metrics", "-format", "prometheus").stdout
    assert any(labels["alloc_id"] == alloc for labels, _ in parse(text)[RSS][1])
    refused = manager.cli("operator", "metrics", "-format", "xml", check=False)
    assert refused.returncode == 2 and "prometheus" in refused.stderr
