# SPDX-License-Identifier: MIT
"""The benchmarks run, measure cleat, and clean up; what they measure is not judged here."""
import json
import os
import subprocess

import pytest

from harness import BUILD, TOP


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "program, rows",
    [
        (
            "start --samples 2 --tasks 3 --rounds 1 --only cleat --only floor",
            ["cleat API, raw_exec", "cleat API, exec"],
        ),
        (
            "memory --tasks 2 --many 3 --only cleat --only floor",
            ["cleat, raw_exec", "cleat, exec", "cleat-manager, 3 tasks"],
        ),
        (
            "reattach --tasks 5 --rounds 1 --seconds 1",
            ["raw_exec, 5 tasks", "exec, 5 tasks", "exec, 5 idle tasks"],
        ),
        (
            "hcl --tasks 200 --rounds 1",
            ["HCL: a valid job", "HCL of a dynamic block: a valid job", "JSON: a valid job"],
        ),
        (
            "logs --mib 8 --tasks 2 --many 3 --seconds 1 --idle 1 --settle 1 --rounds 1 --markdown"
            " --only raw_exec --only splice --only fast --only counted",
            ["cleat, raw_exec", "floor: splice, 64 KiB", "cleat, fast writer, per MiB"],
        ),
        ("artifacts --mib 2 --rounds 1", ["cleat-fetch", "curl, then sha256sum, then tar"]),
    ],
)
def test_bench(box, program, rows):
    result = box.dir / "result.json"
    command = f"{TOP}/tools/bench/{program} --build {BUILD}".split()
    command += ["--dir", box.dir, "--json", result]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=100, env=box.env)
    assert done.returncode == 0
    tables = json.loads(result.read_text())["tables"]
    measured = {row["name"]: row for table in tables for row in table["rows"]}
    for name in rows:
        assert "missing" not in measured[name], measured[name]
        assert name in done.stdout
    assert os.listdir(box.dir) == ["result.json"]


@pytest.mark.timeout(60)
def test_where(box):
    """The parts add up to what they are parts of; tracing needs perf, which not every host has."""
    command = f"{TOP}/tools/bench/where --build {BUILD} --tasks 2 --samples 5".split()
    done = subprocess.run(
        [*command, "--dir", box.dir], stdout=subprocess.PIPE, text=True, timeout=50, env=box.env
    )
    assert done.returncode == 0
    memory, start = done.stdout.strip().split("\n\n")
    rows = [[float(f) for f in line.split("|")[2:-1]] for line in memory.splitlines()[2:]]
    assert sum(row[0] for row in rows[:-1]) == pytest.approx(rows[-1][0], abs=0.5)
    assert rows[-1][0] > 0 and rows[-1][2] > 0
    assert "exec of the task" in start or start == "start: not installed: perf"
    assert os.listdir(box.dir) == []
