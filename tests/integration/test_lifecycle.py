# SPDX-License-Identifier: MIT
"""Prestart, poststart and poststop tasks, sidecars, leaders: what starts and stops when, told by recorded
events; the manager killed in each stage."""
from pathlib import Path

import pytest

import records
from harness import SLOW, kill_hard, process_gone, wait_for
from jobs import MS, SECOND, group, job, restart, task

TOP = Path(__file__).parents[2]
UNTIL_SIGINT = ("quit:INT:0", "print:ready", "pause")


def hooked(hook, *steps, sidecar=False, **fields):
    return task(*steps, Lifecycle={"Hook": hook, "Sidecar": sidecar}, **fields)


def light(*steps, **fields):
    """Without isolation: the order is the same for all drivers."""
    return task(*steps, driver="raw_exec", **fields)


def raw(hook, *steps, **fields):
    return hooked(hook, *steps, driver="raw_exec", **fields)


def kinds(manager, alloc_id, name):
    return [e["Type"] for e in manager.task(alloc_id, name)["Events"]]


def when(manager, alloc_id, name, kind):
    """Of the first such event."""
    return next(e["Time"] for e in manager.task(alloc_id, name)["Events"] if e["Type"] == kind)


def wait_all_dead(manager, alloc_id):
    names = manager.alloc(alloc_id)["TaskStates"]
    for name in names:
        manager.wait_dead(alloc_id, name)
    return {name: manager.task(alloc_id, name) for name in names}


def whole_group(*main_steps):
    """One of each kind; the poststop task is written first, so that no order comes by chance."""
    return group(
        raw("poststop", "wait:50", name="cleanup"),
        raw("poststart", "wait:50", name="announce"),
        light(*(main_steps or UNTIL_SIGINT), name="main"),
        raw("poststart", *UNTIL_SIGINT, sidecar=True, name="exporter"),
        raw("prestart", *UNTIL_SIGINT, sidecar=True, name="proxy"),
        raw("prestart", "wait:100", name="init"),
        raw("prestart", "wait:50", name="migrate"),
    )


def check_order(manager, alloc_id):
    """What holds of a whole group once it is dead, however it ended."""

    def at(name, kind):
        return when(manager, alloc_id, name, kind)

    ready = max(at("init", "Terminated"), at("migrate", "Terminated"), at("proxy", "Started"))
    assert ready <= at("main", "Started")
    assert at("main", "Started") <= at("announce", "Started")
    assert at("main", "Started") <= at("exporter", "Started")
    last = max(at(name, "Terminated") for name in ("main", "proxy", "exporter", "announce"))
    assert last <= at("cleanup", "Started")
    for sidecar in ("proxy", "exporter"):
        assert at("main", "Terminated") <= at(sidecar, "Killing")
    for name in ("init", "migrate", "announce", "cleanup"):
        assert kinds(manager, alloc_id, name).count("Started") == 1


def test_start_and_stop_order(manager):
    alloc_id = manager.run_one(job(whole_group(), type="service"))
    manager.wait_dead(alloc_id, "announce")
    for name in ("main", "proxy", "exporter"):
        manager.wait_running(alloc_id, name)
    assert manager.alloc(alloc_id)["ClientStatus"] == "running"
    assert manager.task(alloc_id, "cleanup")["State"] == "pending"
    said = manager.cli("alloc", "status", alloc_id).stdout
    shown = [line[5:] for line in said.splitlines() if line.startswith("Task \"")]
    assert shown == [
        '"proxy" (prestart sidecar) is running', '"init" (prestart) is dead',
        '"migrate" (prestart) is dead', '"main" is running', '"announce" (poststart) is dead',
        '"exporter" (poststart sidecar) is running', '"cleanup" (poststop) is pending',
    ]  # fmt: skip
    manager.stop("job")
    states = wait_all_dead(manager, alloc_id)
    check_order(manager, alloc_id)
    manager.wait_client(alloc_id, "complete")
    assert not any(state["Failed"] for state in states.values())


def test_main_tasks_dead(manager):
    """A batch group: the sidecars, which are restarted whenever they end, are stopped at its end."""
    alloc_id = manager.run_one(job(whole_group("wait:900")))
    wait_all_dead(manager, alloc_id)
    check_order(manager, alloc_id)
    for sidecar in ("proxy", "exporter"):
        assert "Main Tasks Dead" in kinds(manager, alloc_id, sidecar)
    manager.wait_client(alloc_id, "complete")


def test_poststop_after_a_failure(manager):
    alloc_id = manager.run_one(job(whole_group("wait:900", "exit:3")))
    states = wait_all_dead(manager, alloc_id)
    check_order(manager, alloc_id)
    assert "Sibling Task Failed" in kinds(manager, alloc_id, "proxy")
    assert "Sibling Task Failed" not in kinds(manager, alloc_id, "cleanup")
    assert not states["cleanup"]["Failed"]
    manager.wait_client(alloc_id, "failed")


def test_a_failed_prestart_task(manager):
    alloc_id = manager.run_one(
        job(group(raw("prestart", "exit:1", name="init"), light("pause", name="main"),
                  raw("poststop", "print:done", name="cleanup")))
    )  # fmt: skip
    states = wait_all_dead(manager, alloc_id)
    assert kinds(manager, alloc_id, "main") == ["Sibling Task Failed", "Killed"]
    assert states["init"]["Failed"] and not states["cleanup"]["Failed"]
    assert manager.output(alloc_id, "cleanup") == "done\n"
    manager.wait_client(alloc_id, "failed")


def test_prestart_tasks_follow_the_restart_policy(manager):
    """As in a batch job, though the job is a service: until they succeed."""
    alloc_id = manager.run_one(
        job(group(raw("prestart", "once:${NOMAD_ALLOC_DIR}/seen:7", "wait:20", name="init"),
                  light(*UNTIL_SIGINT, name="main"), policy=restart(2, 10 * MS)), type="service")
    )  # fmt: skip
    manager.wait_running(alloc_id, "main")
    assert manager.task(alloc_id, "init")["Restarts"] == 1
    assert manager.task(alloc_id, "init")["State"] == "dead"
    assert when(manager, alloc_id, "init", "Restarting") < when(manager, alloc_id, "main", "Started")


def test_a_sidecar_is_restarted_in_a_batch_job(manager):
    alloc_id = manager.run_one(
        job(group(raw("prestart", "once:${NOMAD_ALLOC_DIR}/seen:0", *UNTIL_SIGINT, sidecar=True,
                      name="proxy"),
                  light("wait:600", name="main"), policy=restart(2, 10 * MS)))
    )  # fmt: skip
    wait_all_dead(manager, alloc_id)
    assert manager.task(alloc_id, "proxy")["Restarts"] == 1
    manager.wait_client(alloc_id, "complete")


def test_the_leader_ends_the_group(manager):
    alloc_id = manager.run_one(
        job(group(light("wait:400", name="first", Leader=True), light(*UNTIL_SIGINT, name="second"),
                  raw("poststart", *UNTIL_SIGINT, sidecar=True, name="logs")))
    )  # fmt: skip
    states = wait_all_dead(manager, alloc_id)
    for name in ("second", "logs"):
        assert "Leader Task Dead" in kinds(manager, alloc_id, name)
        assert not states[name]["Failed"]
    assert when(manager, alloc_id, "second", "Terminated") <= when(manager, alloc_id, "logs", "Killing")
    manager.wait_client(alloc_id, "complete")


def test_the_leader_is_stopped_first(manager):
    alloc_id = manager.run_one(
        job(group(light(*UNTIL_SIGINT, name="second"),
                  light("ignore:INT", "print:ready", "pause", name="first", Leader=True,
                        KillTimeout=500 * MS)), type="service")
    )  # fmt: skip
    for name in ("first", "second"):
        wait_for(lambda: manager.output(alloc_id, name), "the tasks to be ready")
    manager.stop("job")
    wait_all_dead(manager, alloc_id)
    first = when(manager, alloc_id, "first", "Terminated")
    assert first - when(manager, alloc_id, "first", "Killing") >= 500 * MS
    assert first <= when(manager, alloc_id, "second", "Killing")
    manager.wait_client(alloc_id, "complete")


@pytest.mark.parametrize("crash", [False, True])
def test_the_groups_shutdown_delay(manager, crash):
    """Once, also if the manager dies meanwhile."""
    alloc_id = manager.run_one(
        job(group(light(*UNTIL_SIGINT, name="main"), ShutdownDelay=SECOND), type="service")
    )
    manager.wait_running(alloc_id, "main")
    manager.stop("job")
    manager.wait_event(alloc_id, "Waiting for shutdown delay", "main")
    if crash:
        manager.kill9()
        manager.start()
    manager.wait_dead(alloc_id, "main")
    said = when(manager, alloc_id, "main", "Waiting for shutdown delay")
    assert kinds(manager, alloc_id, "main").count("Waiting for shutdown delay") == 1
    assert SECOND <= when(manager, alloc_id, "main", "Killing") - said <= (2 + SLOW) * SECOND


STAGES = {
    "prestart": ("init", "Started"),
    "main": ("main", "Started"),
    "poststart": ("announce", "Started"),
    "stop": ("main", "Killing"),
    "sidecars": ("proxy", "Killing"),
    "poststop": ("cleanup", "Started"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_the_manager_dies_in_a_stage(manager, stage):
    """It is killed as soon as it tells of the stage, and finds its way from the records."""
    name, kind = STAGES[stage]
    alloc_id = manager.run_one(job(whole_group(), type="service"))
    if stage in ("stop", "sidecars", "poststop"):
        wait_for(lambda: manager.task(alloc_id, "announce")["State"] == "dead", "all to be started")
        manager.wait_running(alloc_id, "exporter")
        manager.stop("job")
    manager.wait_event(alloc_id, kind, name)
    manager.kill9()
    manager.start()
    if stage in ("prestart", "main", "poststart"):
        manager.wait_dead(alloc_id, "announce")
        manager.wait_running(alloc_id, "exporter")
        manager.stop("job")
    states = wait_all_dead(manager, alloc_id)
    check_order(manager, alloc_id)
    manager.wait_client(alloc_id, "complete")
    assert not any(state["Restarts"] for state in states.values())


@pytest.mark.parametrize("stage", ["prestart", "poststop"])
def test_stopped_in_a_stage(manager, stage):
    """A stop ends what has not started; a poststop task is waited for."""
    alloc_id = manager.run_one(
        job(group(raw("prestart", *(UNTIL_SIGINT if stage == "prestart" else ["wait:10"]), name="init"),
                  light("wait:50", name="main"), raw("poststop", "wait:300", name="cleanup")))
    )  # fmt: skip
    manager.wait_event(alloc_id, "Started", "init" if stage == "prestart" else "cleanup")
    manager.stop("job")
    states = wait_all_dead(manager, alloc_id)
    assert kinds(manager, alloc_id, "cleanup") == ["Received", "Task Setup", "Started", "Terminated"]
    assert states["cleanup"]["ExitCode"] == 0
    if stage == "prestart":
        assert "Started" not in kinds(manager, alloc_id, "main")
    manager.wait_client(alloc_id, "complete")


def test_a_poststop_task_whose_executor_dies_is_restarted(manager):
    """It is not one of those that are to stop."""
    alloc_id = manager.run_one(
        job(group(light(*UNTIL_SIGINT, name="main"), raw("poststop", "wait:600", name="cleanup"),
                  policy=restart(1, 10 * MS)))
    )  # fmt: skip
    manager.wait_running(alloc_id, "main")
    manager.stop("job")
    pid = manager.wait_running(alloc_id, "cleanup")
    kill_hard(records.task_status(manager, alloc_id, "cleanup")["executor_pid"])
    wait_for(lambda: process_gone(pid), "the task to die with its executor")
    states = wait_all_dead(manager, alloc_id)
    assert states["cleanup"]["Restarts"] == 1 and not states["cleanup"]["Failed"]
    manager.wait_client(alloc_id, "complete")


def test_the_example(manager):
    manager.cli("run", "-detach", TOP / "tools/examples/lifecycle.hcl")
    (alloc,) = manager.get("/v1/job/lifecycle/allocations")
    states = wait_all_dead(manager, alloc["ID"])
    assert not any(state["Failed"] for state in states.values())
    assert manager.output(alloc["ID"], "report") == "42\n"
    assert not (manager.alloc_dir(alloc["ID"]) / "alloc/data/input").exists()
