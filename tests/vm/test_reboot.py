# SPDX-License-Identifier: MIT
"""The power is cut under tasks, then the machine is restarted in order. tests/vm/guest runs each part in its boot."""
import json
import os
import subprocess
from pathlib import Path

import jobs
from harness import UnixConnection, wait_for
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


def cut():
    """The machine resets at once: what its memory held and its disk did not is gone."""
    Path("/proc/sysrq-trigger").write_text("b")


def test_before_the_power_cut():
    """Under tasks of every kind; it does not come back unless something is wrong before. Only that two of
    them run is made durable by us; of the rest, what was told must be so already."""
    one = service()
    keep(one, id="again", attempts=3)
    keep(one, id="never", attempts=0)
    os.sync()
    for code in (0, 3):
        alloc = one.run_one(jobs.simple(f"exit:{code}", id=f"ends-{code}"))
        one.wait_client(alloc, "complete", "failed")
    restarts = jobs.restart(attempts=2, delay=8 * jobs.SECOND, interval=3600 * jobs.SECOND)
    one.wait_event(one.run_one(jobs.simple("exit:4", id="restarts", policy=restarts)), "Restarting")
    request = UnixConnection(one.socket, 60)
    request.connect()
    one.run(new_job("accepted"))
    request.request("PUT", "/v1/jobs", json.dumps({"Job": new_job("asked")}))
    cut()


def new_job(id):
    return jobs.job(jobs.group(jobs.task("pause"), count=3, policy=jobs.restart(attempts=3)), id=id, type="service")


def of_job(one, id):
    """The allocations, and the state of the task of each."""
    allocs = one.get(f"/v1/job/{id}/allocations")
    return [(a["ID"], a["TaskStates"]["t"]) for a in allocs]


def test_after_the_power_cut():
    """What ran is lost with the old boot, and the restart policy decides; what had ended has; what waits for
    its next try goes on waiting, and its tries are counted; what was accepted runs."""
    one = service()
    ((again, _),) = of_job(one, "again")
    one.wait_running(again)
    state = one.task(again)
    assert state["Restarts"] == 1
    assert [e["DisplayMessage"] for e in state["Events"] if "machine was restarted" in e["DisplayMessage"]]
    ((never, _),) = of_job(one, "never")
    state = one.wait_dead(never)
    assert state["Failed"] and state["Restarts"] == 0
    for code in (0, 3):
        ((_, state),) = of_job(one, f"ends-{code}")
        assert (state["State"], state["Failed"], state["Restarts"]) == ("dead", code != 0, 0)
        assert [e["ExitCode"] for e in events(state, "Terminated")] == [code]
    ((restarts, state),) = of_job(one, "restarts")
    assert [e["ExitCode"] for e in events(state, "Terminated")][0] == 4
    state = one.wait_dead(restarts, timeout=60)
    # One before the cut, one for it, and as many as are left of the policy's attempts then.
    assert state["Failed"] and state["Restarts"] == 3
    assert {e["ExitCode"] for e in events(state, "Terminated")} == {4}
    known = [j["ID"] for j in one.get("/v1/jobs")]
    assert "accepted" in known
    for id in {"accepted", "asked"} & set(known):
        found = of_job(one, id)
        assert len(found) == 3
        for alloc, _ in found:
            one.wait_running(alloc)
    assert not list(one.data_dir.rglob("*.damaged"))


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
