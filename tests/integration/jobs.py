# SPDX-License-Identifier: MIT
"""Builds jobs in the API's JSON. Unless said otherwise a task runs the payload once, as batch."""
from harness import PAYLOAD, PAYLOAD_IN_ROOT

SECOND = 10**9
MS = 10**6


def restart(attempts=0, delay=0, interval=60 * SECOND, mode="fail"):
    return {"Attempts": attempts, "Delay": delay, "Interval": interval, "Mode": mode}


def task(*steps, name="t", driver="exec", command=None, config=None, **fields):
    """A task that runs the payload's `steps`, or `command` with them as arguments; `config` is more of its config block."""
    if command is None:
        command = PAYLOAD_IN_ROOT if driver == "exec" else str(PAYLOAD)
    base = {
        "Name": name,
        "Driver": driver,
        "Config": {"command": command, "args": [str(s) for s in steps], **(config or {})},
        "Resources": {"CPU": 100, "MemoryMB": 64},
        "KillTimeout": 5 * SECOND,
    }
    return {**base, **fields}


def group(*tasks, name="g", count=1, policy=None, **fields):
    return {
        "Name": name,
        "Count": count,
        "RestartPolicy": policy or restart(),
        "Tasks": list(tasks),
        **fields,
    }


def job(*groups, id="job", type="batch", **fields):
    return {
        "ID": id,
        "Name": id,
        "Type": type,
        "Datacenters": ["dc1"],
        "TaskGroups": list(groups),
        **fields,
    }


def simple(*steps, id="job", type="batch", policy=None, count=1, **fields):
    """A job of one group g with one task t."""
    return job(group(task(*steps, **fields), policy=policy, count=count), id=id, type=type)
