# SPDX-License-Identifier: MIT
"""Jobs from start to end: output, exit codes, signals, memory, status, files."""
import pytest

import records
from harness import ApiError, process_gone, wait_for
from jobs import group, job, simple, task

DRIVERS = ["exec", "raw_exec"]


def ended(state):
    """The task's only Terminated event."""
    (event,) = [e for e in state["Events"] if e["Type"] == "Terminated"]
    return event


@pytest.mark.parametrize("driver", DRIVERS)
def test_output_of_both_streams(manager, driver):
    alloc_id = manager.run_one(simple("print:hello", "err", "print:oops", driver=driver))
    manager.wait_client(alloc_id, "complete")
    assert manager.output(alloc_id) == "hello\n"
    assert manager.output(alloc_id, stream="stderr") == "oops\n"


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("code", [0, 1, 7, 127, 255])
def test_exit_code(manager, driver, code):
    alloc_id = manager.run_one(simple(f"exit:{code}", driver=driver))
    alloc = manager.wait_client(alloc_id, "failed" if code else "complete")
    state = alloc["TaskStates"]["t"]
    event = ended(state)
    assert (event["ExitCode"], event["Signal"]) == (code, 0)
    assert state["Failed"] == (code != 0)
    assert f"Exit Code: {code}" in event["DisplayMessage"]
    record = records.task_status(manager, alloc_id)
    assert (record["state"], record["exit_code"], record["exit_signal"]) == ("dead", code, 0)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name,number", [("KILL", 9), ("TERM", 15), ("SEGV", 11)])
def test_death_by_signal(manager, driver, name, number):
    _, state = manager.run_to_end(simple(f"die:{name}", driver=driver))
    event = ended(state)
    assert (event["ExitCode"], event["Signal"]) == (128 + number, number)
    assert state["Failed"]


def test_out_of_memory_is_reported(manager):
    _, state = manager.run_to_end(
        simple("hog:300", "print:survived", Resources={"CPU": 100, "MemoryMB": 20})
    )
    event = ended(state)
    assert (event["ExitCode"], event["Signal"]) == (137, 9)
    assert "OOM" in event["DisplayMessage"]
    assert event["Details"]["oom_killed"] == "true"


def test_memory_within_the_limit_is_fine(manager):
    output, _ = manager.run_to_end(
        simple("hog:20", "print:fine", Resources={"CPU": 100, "MemoryMB": 64})
    )
    assert output == "fine\n"


@pytest.mark.parametrize("driver", DRIVERS)
def test_arguments_arrive_as_written(manager, driver):
    arguments = ["argv:", "", "two words", "$HOME", "a'b\"c", "äöü", "*", "-x", "back\\slash"]
    output, _ = manager.run_to_end(simple(*arguments, driver=driver))
    assert output == "".join(f"argv={a}\n" for a in arguments)


def test_running_task_shows_its_pid_and_times(manager):
    alloc_id = manager.run_one(simple("pause", type="service"))
    pid = manager.wait_running(alloc_id)
    alloc = manager.alloc(alloc_id)
    state = alloc["TaskStates"]["t"]
    assert alloc["ID"] == alloc_id and alloc["JobID"] == "job"
    assert alloc["ClientStatus"] == "running" and alloc["DesiredStatus"] == "run"
    assert state["StartedAt"].startswith("20") and not state["Failed"]
    assert [e["Type"] for e in state["Events"]] == ["Received", "Task Setup", "Started"]
    assert records.task_status(manager, alloc_id)["pid"] == pid
    manager.stop("job")
    state = manager.wait_dead(alloc_id)
    assert process_gone(pid)
    assert state["FinishedAt"] > state["StartedAt"]
    assert manager.alloc(alloc_id)["ClientStatus"] == "complete"
    assert manager.get("/v1/job/job")["Status"] == "dead"


def test_groups_counts_and_tasks(manager):
    two = group(task("pause", name="a"), task("pause", name="b", driver="raw_exec"), name="two")
    many = group(task("pause"), name="many", count=3)
    ids = manager.run(job(two, many, type="service"))
    names = {}
    for alloc_id in ids:
        alloc = manager.wait_client(alloc_id, "running")
        names[alloc["Name"]] = sorted(alloc["TaskStates"])
    assert names == {
        "job.two[0]": ["a", "b"],
        "job.many[0]": ["t"],
        "job.many[1]": ["t"],
        "job.many[2]": ["t"],
    }


def test_a_failed_task_takes_its_siblings_down(manager):
    both = group(task("pause", name="steady"), task("wait:200", "exit:3", name="failing"))
    alloc_id = manager.run_one(job(both))
    alloc = manager.wait_client(alloc_id, "failed")
    wait_for(lambda: manager.task(alloc_id, "steady")["State"] == "dead", "the sibling's end")
    kinds = [e["Type"] for e in manager.task(alloc_id, "steady")["Events"]]
    assert "Sibling Task Failed" in kinds
    assert alloc["TaskStates"]["failing"]["Failed"]


def test_the_same_job_again_changes_nothing(manager):
    alloc_id = manager.run_one(simple("pause", type="service"))
    pid = manager.wait_running(alloc_id)
    assert manager.run_one(simple("pause", type="service")) == alloc_id
    assert manager.get("/v1/job/job")["Version"] == 0
    assert manager.wait_running(alloc_id) == pid


def test_a_changed_job_replaces_its_allocations(manager):
    old = manager.run_one(simple("pause", type="service"))
    pid = manager.wait_running(old)
    new = manager.run_one(simple("print:new", "pause", type="service"))
    assert new != old
    manager.wait_running(new)
    wait_for(lambda: process_gone(pid), "the old version's task to end")
    assert manager.wait_client(old, "complete")["DesiredStatus"] == "stop"
    assert manager.get("/v1/job/job")["Version"] == 1


def test_a_stopped_job_runs_again(manager):
    first = manager.run_one(simple("pause", type="service"))
    manager.wait_running(first)
    manager.stop("job")
    manager.wait_dead(first)
    second = manager.run_one(simple("pause", type="service"))
    assert second != first
    manager.wait_running(second)


def test_lists(manager):
    manager.run(simple("pause", id="one", type="service"))
    manager.run(simple("pause", id="two", type="service"))
    assert sorted(j["ID"] for j in manager.get("/v1/jobs")) == ["one", "two"]
    with pytest.raises(ApiError) as e:
        manager.get("/v1/job/three")
    assert e.value.status == 404
    with pytest.raises(ApiError) as e:
        manager.get("/v1/allocation/00000000-0000-0000-0000-000000000000")
    assert e.value.status == 404


def test_files_of_an_allocation(manager):
    alloc_id = manager.run_one(simple("write:/local/made", "print:done"))
    manager.wait_client(alloc_id, "complete")
    base = f"/v1/client/fs/{{}}/{alloc_id}?path="
    names = [f["Name"] for f in manager.get(base.format("ls") + "/")]
    assert sorted(names) == ["alloc", "t"]
    stat = manager.get(base.format("stat") + "/t/local/made")
    assert (stat["Name"], stat["Size"], stat["IsDir"]) == ("made", 20, False)
    assert manager.get(base.format("cat") + "/t/local/made") == b"written by the task\n"
    assert manager.get(base.format("cat") + "/alloc/logs/t.stdout.0").endswith(b"done\n")


def test_many_short_tasks(manager):
    ids = manager.run(simple("print:x", "exit:0", count=200))
    for alloc_id in ids:
        manager.wait_client(alloc_id, "complete")
    assert [manager.output(a) for a in ids] == ["x\n"] * 200
