# SPDX-License-Identifier: MIT
"""A changed job: what is started anew, and what runs on."""
import os
import signal
import threading
import time
from contextlib import suppress
from http.client import HTTPException

import pytest

import records
from harness import process_gone, wait_for
from jobs import MS, SECOND, group, job, restart, task


def two(b="b", count=1, others=(), **fields):
    """A group "g" of tasks a and b; `b` is what the latter prints."""
    tasks = (task("print:a", "pause", name="a", driver="raw_exec"),
             task(f"print:{b}", "pause", name="b", driver="raw_exec"))  # fmt: skip
    return job(group(*tasks, count=count, **fields), *others, id="two", type="service")


def single(text="c", name="c"):
    return group(task(f"print:{text}", "pause", name="t", driver="raw_exec"), name=name)


def running(manager, job_id="two"):
    """The allocations that are to run: {(group, index): (id, {task: pid})}, once all do."""
    found = {}

    def all_run():
        found.clear()
        for stub in manager.get(f"/v1/job/{job_id}/allocations"):
            if stub["DesiredStatus"] != "run":
                continue
            pids = {n: s["Pid"] for n, s in stub["TaskStates"].items() if s["State"] == "running"}
            if len(pids) < len(stub["TaskStates"]) or not stub["TaskStates"] or not all(pids.values()):
                return False
            name = stub["Name"].rsplit("[", 1)
            found[stub["TaskGroup"], int(name[1][:-1])] = (stub["ID"], pids)
        return True

    wait_for(all_run, f"all of {job_id} to run")
    return dict(found)


def prints(manager, alloc_id, name, text):
    wait_for(lambda: manager.output(alloc_id, name).endswith(text + "\n"), f"{name} to print {text}")


def test_only_the_changed_task_is_started_anew(manager):
    manager.run(two("old", others=[single()]))
    before = running(manager)
    (alloc_id, pids), other = before["g", 0], before["c", 0]
    manager.run(two("new", others=[single()]))
    prints(manager, alloc_id, "b", "new")
    after = running(manager)
    assert after["c", 0] == other
    assert after["g", 0][0] == alloc_id and after["g", 0][1]["a"] == pids["a"]
    assert process_gone(pids["b"])
    assert [e["DisplayMessage"] for e in manager.task(alloc_id, "b")["Events"]
            if e["Type"] == "Restarting"] == ["The job's new version changes the task - Task restarting in 0s"]  # fmt: skip
    assert manager.alloc(alloc_id)["Job"]["Version"] == 1
    assert manager.alloc(alloc_id)["CreateTime"] < manager.alloc(alloc_id)["Job"]["SubmitTime"]


def test_a_group_whose_only_task_changed_is_placed_anew(manager):
    manager.run(two(others=[single("old")]))
    before = running(manager)
    manager.run(two(others=[single("new")]))
    after = running(manager)
    assert after["g", 0] == before["g", 0]
    assert after["c", 0][0] != before["c", 0][0]
    prints(manager, after["c", 0][0], "t", "new")
    manager.wait_client(before["c", 0][0], "complete")


def test_what_is_not_done_by_and_by_is_said(manager, tmp_path):
    path = tmp_path / "all.hcl"
    text = """job "all" {
      update {
        max_parallel = 1
        canary       = 1
        auto_revert  = true
      }
      group "g" {
        count = 3
        task "t" {
          driver = "raw_exec"
          config {
            command = "/bin/sleep"
            args    = ["1000"]
          }
        }
      }
    }"""
    path.write_text(text)
    told = 'Group "g": all 3 allocations that change are stopped and started at once, none is waited for'
    first = manager.cli("job", "run", path).stderr
    assert '"update" has no effect: a changed job stops all it replaces at once' in first and told not in first
    path.write_text(text.replace("1000", "1001"))
    assert told in manager.cli("job", "run", path).stderr
    assert told not in manager.cli("job", "run", path).stderr
    manager.cli("job", "stop", "all")


def test_a_count_adds_or_stops_the_difference(manager):
    manager.run(two(count=2))
    before = running(manager)
    manager.run(two(count=4))
    more = running(manager)
    assert {k: more[k] for k in before} == before and len(more) == 4
    manager.run(two(count=1))
    for index in (1, 2, 3):
        manager.wait_client(more["g", index][0], "complete")
    assert running(manager) == {("g", 0): before["g", 0]}


def terms_of(manager, alloc_id):
    """What the executors of tasks a and b say they act by."""
    return [records.task_status(manager, alloc_id, name)["terms_id"] for name in "ab"]


def plan_counts(manager, spec):
    answer = manager.call("PUT", f"/v1/job/{spec['ID']}/plan", {"Job": spec})
    return {k: n for k, n in answer["Annotations"]["DesiredTGUpdates"]["g"].items() if n}


def test_the_configuration_changes_what_needs_no_restart(manager):
    spec = two()
    manager.run(spec)
    before = running(manager)
    ((alloc_id, _),) = before.values()
    terms = terms_of(manager, alloc_id)
    text = manager.config_path.read_text()
    manager.config_path.write_text(text.replace("client {\n", 'client {\n  max_kill_timeout = "1s"\n'))
    manager.process.send_signal(signal.SIGHUP)
    wait_for(lambda: not set(terms) & set(terms_of(manager, alloc_id)), "the executors to know")
    assert running(manager) == before


def test_what_needs_no_restart_restarts_nothing(manager):
    spec = two()
    manager.run(spec)
    before = running(manager)
    spec["Priority"] = 70
    spec["TaskGroups"][0]["RestartPolicy"] = restart(1, 20 * MS)
    spec["TaskGroups"][0]["Tasks"][0]["KillTimeout"] = 9 * SECOND
    ((alloc_id, pids),) = before.values()
    terms = terms_of(manager, alloc_id)
    assert plan_counts(manager, spec) == {"InPlaceUpdate": 1}
    manager.run(spec)
    wait_for(lambda: not set(terms) & set(terms_of(manager, alloc_id)), "the executors to know")
    assert running(manager) == before
    assert manager.get("/v1/job/two")["Version"] == 1
    manager.kill9()
    manager.start()
    assert running(manager) == before
    os.kill(pids["b"], signal.SIGKILL)  # the one restart there is now, and at once
    wait_for(lambda: manager.task(alloc_id, "b")["Restarts"] == 1, "the restart", timeout=5)
    os.kill(manager.wait_running(alloc_id, "b"), signal.SIGKILL)
    assert manager.wait_dead(alloc_id, "b")["Failed"]


def test_the_type_cannot_change(manager):
    manager.run(two())
    status, _, text = manager.request("PUT", "/v1/jobs", {"Job": {**two(), "Type": "batch"}})
    assert status == 400 and b"of type service and cannot become one of type batch" in text


def ask(manager, spec):
    """Registers a job with a manager that may die of it."""
    with suppress(OSError, HTTPException):
        manager.request("PUT", "/v1/jobs", {"Job": spec})


@pytest.mark.timeout(120)
def test_killed_at_any_moment_of_an_update(manager):
    manager.run(two("0", count=2))
    alloc_ids = {k: v[0] for k, v in running(manager).items()}
    pids = {k: v[1]["a"] for k, v in running(manager).items()}
    for i in range(1, 13):
        wanted = two(str(i), count=2)
        request = threading.Thread(target=ask, args=(manager, wanted))
        request.start()
        time.sleep(i * 0.002)  # any moment will do, so there is no event of the update to wait for
        manager.kill9()
        request.join()
        manager.start()
        manager.run(wanted)
        for key, alloc_id in alloc_ids.items():
            prints(manager, alloc_id, "b", str(i))
        now = running(manager)
        assert {k: v[0] for k, v in now.items()} == alloc_ids
        assert {k: v[1]["a"] for k, v in now.items()} == pids
