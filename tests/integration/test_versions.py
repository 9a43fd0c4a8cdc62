# SPDX-License-Identifier: MIT
"""An earlier release and this one, together on one host: the one's manager over the other's executors
and records, in both directions, under tasks that must not notice (releases.py builds it)."""
import json

import pytest

import records
import releases
from harness import BUILD, kill_hard, wait_for
from jobs import MS, restart, simple

NEW = BUILD / "bin"
POLICY = restart(2, MS)
DRIVERS = ["exec", "raw_exec"]


@pytest.fixture(scope="module")
def old():
    return releases.programs()


def use(manager, programs=None, executor=None):
    """What is started from now on."""
    manager.users_path.write_text("")
    if programs:
        manager.programs = programs
        manager.users_path.write_text("")  # with an option the earlier release does not know
    if executor:
        text = manager.config_path.read_text()
        (line,) = [line for line in text.splitlines() if line.startswith("executor = ")]
        manager.config_path.write_text(text.replace(line, f'executor = "{executor}/cleat-executor"'))
    return manager


def account(manager, alloc_id):
    return (manager.alloc_dir(alloc_id) / "t/local/account").read_text().split("\n")[:-1]


def stays(driver):
    """Fails once, then stays until it is stopped."""
    steps = ["quit:TERM:7", "account:local/account", "once:local/ran:3", "print:up", "pause"]
    return simple(*steps, id=f"stays-{driver}", type="service", driver=driver, policy=POLICY,
                  KillSignal="SIGTERM")  # fmt: skip


def start_all(manager):
    """{alloc id: pid} of tasks that stay, and have been restarted once."""
    ids = [manager.run_one(stays(driver)) for driver in DRIVERS]
    for alloc_id in ids:
        wait_for(lambda: "up" in manager.output(alloc_id), "the second run")
    return {alloc_id: manager.wait_running(alloc_id) for alloc_id in ids}


def check_untouched(manager, pids):
    for alloc_id, pid in pids.items():
        assert manager.wait_running(alloc_id) == pid
        assert manager.task(alloc_id)["Restarts"] == 1
        assert account(manager, alloc_id) == ["start", "exit 3", "start"]


def check_stop(manager, pids):
    """Every exit is told as it was."""
    for driver in DRIVERS:
        manager.stop(f"stays-{driver}")
    for alloc_id in pids:
        state = manager.wait_dead(alloc_id)
        codes = [e["ExitCode"] for e in state["Events"] if e["Type"] == "Terminated"]
        assert codes == [3, 7] and state["Restarts"] == 1 and not state["Failed"]
        assert account(manager, alloc_id) == ["start", "exit 3", "start", "exit 7"]


@pytest.mark.timeout(240)  # the earlier release is built first
@pytest.mark.parametrize("newer", ["manager", "executor"])
def test_one_of_them_is_newer(box, old, newer):
    """A whole life, one program of this release, the other of the earlier one."""
    both = (NEW, old) if newer == "manager" else (old, NEW)
    manager = use(box.manager(), *both).start()
    pids = start_all(manager)
    check_untouched(manager, pids)
    lost = manager.run_one(simple("print:again", "pause", id="lost", policy=POLICY))
    wait_for(lambda: manager.output(lost) == "again\n", "the first run")
    manager.kill9()
    manager.start()
    check_untouched(manager, pids)
    kill_hard(records.task_status(manager, lost)["executor_pid"])
    wait_for(lambda: manager.output(lost) == "again\n" * 2, "the run after the loss of its executor")
    check_stop(manager, pids)


@pytest.mark.timeout(240)
def test_upgrade_and_downgrade_of_the_manager(box, old):
    """Each takes over what the other wrote; tasks that end between the two are told by the next."""
    manager = use(box.manager(), old, old).start()
    pids = start_all(manager)
    ended = {}
    for i, programs in enumerate((NEW, old, NEW)):
        ends = manager.run_one(simple("wait:300", f"exit:{i + 1}", id=f"ends-{i}"))
        manager.wait_running(ends)
        manager.kill9()
        ended[ends] = i + 1
        wait_for(lambda: records.task_status(manager, ends)["state"] == "dead", "the record")
        use(manager, programs, programs).start()
        check_untouched(manager, pids)
        for alloc_id, code in ended.items():
            assert manager.wait_dead(alloc_id)["ExitCode"] == code
        assert not list(manager.data_dir.rglob("*.damaged"))
    check_stop(manager, pids)


@pytest.mark.timeout(240)
def test_executors_become_the_other_release_under_their_tasks(box, old):
    manager = use(box.manager(), NEW, old).start()
    pids = start_all(manager)
    for programs in (NEW, old, NEW):
        manager.kill9()
        use(manager, executor=programs).start()
        results = manager.call("PUT", "/v1/system/upgrade-executors")
        assert len(results) == len(pids) and not any(r["Error"] for r in results), results
        check_untouched(manager, pids)
    check_stop(manager, pids)


@pytest.mark.timeout(240)
def test_an_executor_that_takes_no_changed_terms(box, old):
    """It is told of, and has them as soon as it is upgraded."""
    manager = use(box.manager(), NEW, old).start()
    job = simple("quit:TERM:7", "quit:INT:8", "print:up", "pause", type="service")
    alloc_id = manager.run_one(job)
    wait_for(lambda: manager.output(alloc_id) == "up\n", "the task to be up")
    pid = manager.wait_running(alloc_id)
    job["TaskGroups"][0]["Tasks"][0]["KillSignal"] = "SIGTERM"
    manager.run(job)
    assert "cleat system upgrade-executors" in manager.wait_event(alloc_id, "Not Updated")["DisplayMessage"]
    manager.kill9()
    use(manager, executor=NEW).start()
    assert manager.wait_running(alloc_id) == pid
    assert [e["Type"] for e in manager.task(alloc_id)["Events"]].count("Not Updated") == 1
    manager.call("PUT", "/v1/system/upgrade-executors")
    wait_for(lambda: records.task_status(manager, alloc_id).get("terms_id"), "the terms")
    manager.stop("job")
    assert manager.wait_dead(alloc_id)["ExitCode"] == 7


def test_records_of_a_newer_release_stop_the_start(manager):
    """Of a format this release does not know, or a job it cannot run: nothing at all is changed."""
    alloc_id = manager.run_one(simple("pause", type="service"))
    pid = manager.wait_running(alloc_id)
    manager.kill9()
    state = manager.data_dir / "state"
    for path, change in [
        (state / "jobs/job", lambda data: data.replace(b"CLEAT-STATE 1 ", b"CLEAT-STATE 2 ", 1)),
        (state / "allocs" / alloc_id, lambda data: data.replace(b"CLEAT-STATE 1 ", b"CLEAT-STATE 9 ", 1)),
        (state / "jobs/job", of_a_newer_release),
    ]:
        (state / "jobs/other").write_bytes(b"damaged, and yet not touched")
        data = path.read_bytes()
        path.write_bytes(change(data))
        before = contents(manager.data_dir)
        manager.spawn()
        assert manager.process.wait(timeout=20) == 1
        assert "start that one again" in manager.log().splitlines()[-1]
        assert contents(manager.data_dir) == before
        path.write_bytes(data)
        (state / "jobs/other").unlink()
    manager.start()
    assert manager.wait_running(alloc_id) == pid


def of_a_newer_release(data):
    record = json.loads(data.partition(b"\n")[2])
    record["Release"] = "99.1.0"
    record["Versions"][0]["Job"]["TaskGroups"][0]["Tasks"][0]["Driver"] = ""
    return records.statefile(json.dumps(record).encode())


def contents(top):
    """Every file below, by path, but pipes; what executors write meanwhile is their own."""
    return {p: p.read_bytes() for p in sorted(top.rglob("*")) if p.is_file()}
