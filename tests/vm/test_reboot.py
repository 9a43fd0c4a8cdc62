# SPDX-License-Identifier: MIT
"""The machine dies under its tasks, then is restarted in order. tests/vm/guest runs each part in its boot."""
import json
import os
import subprocess
from pathlib import Path

import jobs
from harness import wait_for
from service import TASKS, UNIT, Service, sh, show

NOTES = Path("/srv/notes.json")


def note(**facts):
    with open(NOTES, "w") as f:
        json.dump(facts, f)
        f.flush()
        os.fsync(f.fileno())


def service():
    one = Service()
    wait_for(one.responds, "the service to answer")
    return one


def keep(one, *steps, id, attempts):
    alloc = one.run_one(jobs.simple(*steps, "print:up", "pause", id=id, type="service",
                                    policy=jobs.restart(attempts=attempts)))  # fmt: skip
    one.wait_running(alloc)
    return alloc


def events(state, kind):
    return [e for e in state["Events"] if e["Type"] == kind]


def test_before_the_crash():
    one = service()
    note(again=keep(one, id="again", attempts=3), never=keep(one, id="never", attempts=0))
    os.sync()  # only that there are such jobs is made durable at once; the rest within half a minute


def test_after_the_crash():
    """What ran is lost with the old boot, and the restart policy decides."""
    one = service()
    notes = json.loads(NOTES.read_text())
    one.wait_running(notes["again"])
    state = one.task(notes["again"])
    assert state["Restarts"] == 1
    assert [e["DisplayMessage"] for e in state["Events"] if "machine was restarted" in e["DisplayMessage"]]
    state = one.wait_dead(notes["never"])
    assert state["Failed"] and state["Restarts"] == 0


def test_before_the_restart():
    one = service()
    one.call("PUT", "/v1/system/stop-all")
    again = keep(one, "quit:INT:7", id="polite", attempts=3)
    wait_for(lambda: one.output(again) == "up\n", "the task to be ready")
    note(again=again)


def test_after_the_restart():
    """Its stop sequence ran, and that was not its end."""
    one = service()
    again = json.loads(NOTES.read_text())["again"]
    one.wait_running(again)
    state = one.task(again)
    assert state["Restarts"] == 1
    assert [e["ExitCode"] for e in events(state, "Terminated")] == [7]


def test_after_the_restart_removal_stops_the_tasks():
    one = service()
    again = json.loads(NOTES.read_text())["again"]
    pid = one.wait_running(again)
    sh("dpkg", "--remove", "cleat")
    assert not Path(f"/proc/{pid}").exists() and Path("/var/lib/cleat/state").exists()
    assert (show(UNIT, "LoadState"), show(TASKS, "ActiveState")) == ("not-found", "inactive")
    sh("dpkg", "--purge", "cleat")
    assert not Path("/var/lib/cleat").exists() and not Path("/etc/cleat/cleat.hcl").exists()
    assert "/var/lib/cleat" not in Path("/proc/self/mountinfo").read_text()
    assert subprocess.run(["dpkg", "-s", "cleat"], capture_output=True).returncode != 0
