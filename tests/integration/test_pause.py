# SPDX-License-Identifier: MIT
"""cleat alloc pause: all of a task is frozen, and goes on."""
import time

import pytest

import leftovers
import records
from bare import Events
from harness import HIDE_CGROUP2, ApiError, has_v1, kill_hard, process_gone, wait_for
from jobs import MS, group, job, restart, simple, task

PAUSE, RESUME = 6, 7
PAUSE_FAILED = 21
HIDE_CGROUPS = [
    "unshare", "-m", "--propagation", "private", "sh", "-c",
    'for m in $(awk \'/ - cgroup2? / {print $5}\' /proc/self/mountinfo); do umount "$m"; done; exec "$@"',
    "sh",
]  # fmt: skip


@pytest.fixture(params=[[], HIDE_CGROUP2] if has_v1() else [[]])
def wrapper(request):
    return request.param


@pytest.fixture
def manager(box, wrapper):
    return box.manager().start(wrapper=wrapper)


def pause(manager, alloc_id, state="pause", name="t"):
    manager.call("PUT", f"/v1/client/allocation/{alloc_id}/pause", {"Task": name, "ScheduleState": state})
    wanted = "force_pause" if state == "pause" else ""
    wait_for(lambda: manager.task(alloc_id, name)["Paused"] == wanted, f"the task to {state}")


def is_frozen(box, alloc_id):
    states = [leaf / "cgroup.events" for root in leftovers.cgroup_roots()
              for leaf in root.glob(f"{box.token}/**/{alloc_id}.t.*")]  # fmt: skip
    states += [path.with_name("freezer.state") for path in states]
    return any(s in path.read_text() for path in states if path.exists() for s in ("frozen 1", "FROZEN"))


def started(manager, *steps, **fields):
    alloc_id = manager.run_one(simple(*steps, **fields))
    manager.wait_running(alloc_id)
    wait_for(lambda: manager.output(alloc_id), "the task to write")
    return alloc_id


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_it_stands_still_and_goes_on(box, manager, wrapper, driver):
    """… whatever becomes of the manager and of the executor's binary meanwhile."""
    alloc_id = started(manager, "lines:0:1", driver=driver)
    pid = manager.task(alloc_id)["Pid"]
    done = manager.cli("alloc", "pause", alloc_id[:8])
    assert done.stdout == f'Task "t" of {alloc_id[:8]} is paused\n'
    wait_for(lambda: is_frozen(box, alloc_id), "the task to be frozen")
    output = manager.output(alloc_id)
    manager.kill9()
    manager.start(wrapper=wrapper)
    manager.cli("system", "upgrade-executors")
    assert "is running (paused)" in manager.cli("alloc", "status", alloc_id).stdout
    assert manager.get(f"/v1/client/allocation/{alloc_id}/pause?task=t") == {"ScheduleState": "force_pause"}
    assert manager.cli("alloc", "exec", alloc_id, "true", check=False).stderr.count("is paused") == 1
    assert manager.output(alloc_id) == output and is_frozen(box, alloc_id)
    done = manager.cli("alloc", "pause", "-state=run", "-json", alloc_id, "t")
    assert '"ScheduleState": ""' in done.stdout
    wait_for(lambda: len(manager.output(alloc_id)) > len(output), "the task to go on")
    state = manager.task(alloc_id)
    assert (state["Pid"], state["Restarts"], state["Paused"]) == (pid, 0, "")
    kinds = [e["Type"] for e in state["Events"]]
    assert kinds.index("Pausing") < kinds.index("Executor Upgraded") < kinds.index("Running")


def test_twice_is_once(manager):
    alloc_id = started(manager, "print:ready", "pause")
    pause(manager, alloc_id, "run")
    pause(manager, alloc_id)
    pause(manager, alloc_id)
    assert "is paused" in manager.cli("alloc", "pause", "-status", alloc_id).stdout
    pause(manager, alloc_id, "run")
    kinds = [e["Type"] for e in manager.task(alloc_id)["Events"]]
    assert (kinds.count("Pausing"), kinds.count("Running")) == (1, 1)


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_stopped_while_paused(box, manager, driver):
    """It gets its signal, and can act on it."""
    alloc_id = started(manager, "quit:INT:5", "fork:3", "print:ready", "pause", driver=driver)
    pause(manager, alloc_id)
    wait_for(lambda: is_frozen(box, alloc_id), "the task to be frozen")
    manager.stop("job")
    state = manager.wait_dead(alloc_id)
    assert (state["ExitCode"], state["Paused"]) == (5, "")


def test_stubborn_while_paused(box, manager):
    """Its kill_timeout holds."""
    alloc_id = started(manager, "ignore:INT", "fork:3", "print:ready", "pause", KillTimeout=700 * MS)
    pause(manager, alloc_id)
    wait_for(lambda: is_frozen(box, alloc_id), "the task to be frozen")
    start = time.monotonic()
    manager.stop("job")
    state = manager.wait_dead(alloc_id)
    assert state["Signal"] == 9 and 0.7 <= time.monotonic() - start


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_its_executor_dies(box, manager, driver):
    """The frozen task dies with it, and the next attempt is not paused."""
    alloc_id = manager.run_one(simple("fork:3", "pause", driver=driver, policy=restart(1)))
    pid = manager.wait_running(alloc_id)
    pause(manager, alloc_id)
    wait_for(lambda: is_frozen(box, alloc_id), "the task to be frozen")
    kill_hard(records.task_status(manager, alloc_id)["executor_pid"])
    manager.wait_event(alloc_id, "Started", count=2)
    wait_for(lambda: manager.task(alloc_id)["Paused"] == "", "the new one to be known")
    assert process_gone(pid)


def test_one_task_of_several(manager):
    (alloc_id,) = manager.run(job(group(task("pause", name="a"), task("pause", name="b"))))
    manager.wait_running(alloc_id, "a")
    manager.wait_running(alloc_id, "b")
    assert "several tasks" in manager.cli("alloc", "pause", alloc_id, check=False).stderr
    manager.cli("alloc", "pause", "-task", "b", alloc_id)
    assert (manager.task(alloc_id, "a")["Paused"], manager.task(alloc_id, "b")["Paused"]) == ("", "force_pause")


@pytest.mark.parametrize("body, text", [
    ({"Task": "t", "ScheduleState": "scheduled"}, "must be"),
    ({"Task": "t"}, "must be"),
    ({"ScheduleState": "pause"}, "Task"),
    ({"Task": "x", "ScheduleState": "pause"}, "unknown task"),
    ({"Task": "t", "ScheduleState": "pause"}, "not running"),
])  # fmt: skip
def test_refused(manager, body, text):
    alloc_id = manager.run_one(simple("exit:0"))
    manager.wait_dead(alloc_id)
    with pytest.raises(ApiError, match=text) as refusal:
        manager.call("PUT", f"/v1/client/allocation/{alloc_id}/pause", body)
    assert refusal.value.status == (409 if text == "not running" else 400)
    assert manager.cli("alloc", "pause", "-state=on", alloc_id, check=False).returncode == 2


def test_without_a_freezer(box):
    manager = box.manager().start(wrapper=HIDE_CGROUPS)
    alloc_id = started(manager, "print:ready", "pause", driver="raw_exec")
    done = manager.cli("alloc", "pause", alloc_id, check=False)
    assert done.returncode == 1 and "no cgroup freezer" in done.stderr and "mount" in done.stderr


def test_the_executor_says_that_it_cannot(executor):
    """For a task without a cgroup; what it does not know how to undo changes nothing."""
    one = executor("print:ready", "pause").start()
    wait_for(lambda: one.output() == "ready\n", "the task to be ready")
    events = Events(one)
    one.command(RESUME)
    one.command(PAUSE)
    while (event := events.next()).get("event", {}).get("type") != PAUSE_FAILED:
        pass
    assert "freezer" in event["event"]["message"]
    assert not one.status().get("paused")
    events.close()
