# SPDX-License-Identifier: MIT
"""The units and the package: what happens to tasks when things are done to the service."""
import os
import signal
import subprocess
from pathlib import Path

import pytest

import jobs
import records
from harness import kill_hard, process_gone, wait_for
from service import CONFIG, GROUP, TASKS, UNIT, Service, group_of, install, journal, sh, show

DROP_IN = Path(f"/run/systemd/system/{UNIT}.d/test.conf")


@pytest.fixture(scope="module")
def installed():
    install("0.1.0")
    service = Service()
    service.configure()
    sh("systemctl", "reload", UNIT)
    return service


@pytest.fixture
def service(installed):
    """The running service; after the test no job is left."""
    sh("systemctl", "start", UNIT)
    yield installed
    sh("systemctl", "start", UNIT)
    installed.call("PUT", "/v1/system/stop-all")
    installed.call("PUT", "/v1/system/gc")
    installed.configure()
    sh("systemctl", "reload", UNIT)


def run(service, *steps, id="job", policy=None, **fields):
    """A service task that stays; returns (allocation, pid)."""
    job = jobs.simple(*steps, "pause", id=id, type="service",
                      policy=policy or jobs.restart(attempts=5), **fields)  # fmt: skip
    alloc = service.run_one(job)
    return alloc, service.wait_running(alloc)


def executor_of(service, alloc):
    return records.task_status(service, alloc)["executor_pid"]


def wait_placed(service, alloc):
    executor = executor_of(service, alloc)
    wait_for(lambda: group_of(executor) == Path("executors"), "the executor to move")
    return executor


def test_installed_and_started(installed):
    assert (show(UNIT, "ActiveState"), show(TASKS, "ActiveState")) == ("active", "active")
    assert (show(UNIT, "UnitFileState"), show(UNIT, "Type")) == ("enabled", "notify")
    assert sh("systemd-analyze", "--man=no", "verify", UNIT, TASKS) == ""
    assert "/etc/cleat/cleat.hcl" in sh("dpkg-query", "-W", "-f", "${Conffiles}", "cleat")
    assert "/usr/sbin/nologin" in sh("getent", "passwd", "cleat-fetch")
    assert installed.version() == "0.1.0"


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_everything_is_in_its_place(service, driver):
    alloc, pid = run(service, driver=driver, command=None)
    node = service.get("/v1/nodes")[0]["ID"]
    executor = wait_placed(service, alloc)
    assert group_of(pid).parts[0] == node
    assert group_of(service.pid()) is None
    assert not Path("/sys/fs/cgroup/cleat").exists()
    attributes = service.get(f"/v1/node/{node}")["Attributes"]
    assert attributes["unique.cgroup.version"] == "v2"
    assert attributes["unique.cgroup.controllers"] == "cpu,cpuset,io,memory,pids"

    def proc(which, name):
        return Path(f"/proc/{which}/{name}").read_text()

    assert [int(proc(p, "oom_score_adj")) for p in (executor, pid)] == [-900, 0]
    files = [line.split()[3:5] for line in proc(pid, "limits").splitlines() if "open files" in line]
    assert files == [["1024", "524288"]]


def test_limits_and_oom(service):
    alloc, pid = run(service, Resources={"CPU": 100, "MemoryMB": 64, "MemoryMaxMB": 128, "Pids": 20})
    leaf = GROUP / group_of(pid)
    assert (leaf / "memory.max").read_text().strip() == str(128 << 20)
    assert (leaf / "pids.max").read_text().strip() == "20"
    _, state = service.run_to_end(jobs.simple("hog:64", id="hog", Resources={"CPU": 100, "MemoryMB": 16}))
    assert state["OOMKilled"]
    assert service.wait_running(alloc) == pid
    assert (show(UNIT, "SubState"), show(TASKS, "SubState")) == ("running", "running")


def restart(service):
    sh("systemctl", "restart", UNIT)


def stop_and_start(service):
    sh("systemctl", "stop", UNIT)
    sh("systemctl", "start", UNIT)


def kill(service):
    old = service.pid()
    os.kill(old, signal.SIGKILL)
    service.wait_next(old)


def hang(service):
    """The watchdog ends a manager whose loop stands still; until then it is fed."""
    DROP_IN.parent.mkdir(exist_ok=True)
    DROP_IN.write_text("[Service]\nWatchdogSec=3\nTimeoutAbortSec=1\n")
    sh("systemctl", "daemon-reload")
    restart(service)
    old = service.pid()
    os.kill(old, signal.SIGSTOP)
    service.wait_next(old)
    DROP_IN.unlink()
    sh("systemctl", "daemon-reload")
    assert "watchdog" in journal().lower()
    restart(service)


def reload_systemd(service):
    sh("systemctl", "daemon-reload")
    sh("systemctl", "daemon-reexec")
    restart(service)


def kill_holder(service):
    """Nobody holds the tasks' group but the tasks."""
    sh("systemctl", "kill", "--signal=KILL", "--kill-who=main", TASKS)
    wait_for(lambda: show(TASKS, "SubState") == "exited", "the holder to be gone")
    restart(service)


def upgrade(service):
    install("0.2.0")
    assert service.version() == "0.2.0"
    results = service.call("PUT", "/v1/system/upgrade-executors")
    assert [(r["Before"], r["After"], r["Error"]) for r in results] == [("0.1.0", "0.2.0", "")]


def downgrade(service):
    """Executors stay what they are: 0.2.0 under a manager of 0.1.0."""
    install("0.1.0")
    assert service.version() == "0.1.0"


@pytest.mark.timeout(120)
def test_tasks_outlive_what_happens_to_the_manager(service):
    """One task through all of it, one after the other, and another that runs to its end each time."""
    alloc, pid = run(service, "lines:0:20")
    executor = wait_placed(service, alloc)
    for what in (restart, stop_and_start, kill, hang, reload_systemd, upgrade, downgrade, kill_holder):
        what(service)
        wait_for(service.responds, f"the manager after {what.__name__}\n{journal()}")
        assert service.wait_running(alloc) == pid, what
        assert (executor_of(service, alloc), service.task(alloc)["Restarts"]) == (executor, 0), what
        _, state = service.run_to_end(jobs.simple("exit:3", id=what.__name__))
        assert 3 in [e["ExitCode"] for e in state["Events"]], what
    numbers = [int(line.split()[0]) for line in service.output(alloc).splitlines()[:-1]]
    assert numbers == list(range(len(numbers)))
    sh("systemctl", "restart", TASKS)  # with a holder again
    wait_for(service.responds, "the manager after its tasks' unit")
    assert service.wait_running(alloc) != pid and service.task(alloc)["Restarts"] == 1


def test_stopping_the_tasks_unit(service):
    """Stops every task as its job wants it, and the manager; they start again with it."""
    alloc, pid = run(service, "quit:INT:7", "print:up")
    stubborn, stubborn_pid = run(service, "ignore:INT", "print:up", id="stubborn", KillTimeout=jobs.SECOND)
    for one in (alloc, stubborn):
        wait_for(lambda one=one: service.output(one) == "up\n", "the task to be ready")
        wait_placed(service, one)
    sh("systemctl", "stop", TASKS)
    assert (show(UNIT, "ActiveState"), show(TASKS, "ActiveState")) == ("inactive", "inactive")
    assert process_gone(pid) and process_gone(stubborn_pid) and not GROUP.exists()
    sh("systemctl", "start", UNIT)
    for one, old, code in ((alloc, pid, 7), (stubborn, stubborn_pid, 137)):
        assert service.wait_running(one) != old
        state = service.task(one)
        assert state["Restarts"] == 1
        assert code in [e["ExitCode"] for e in state["Events"] if e["Type"] == "Terminated"]


def test_reload(service):
    alloc, pid = run(service)
    old = service.pid()
    service.configure(name="another", data_dir="/srv/elsewhere")
    sh("systemctl", "reload", UNIT)
    wait_for(lambda: service.get("/v1/nodes")[0]["Name"] == "another", "the new name")
    wait_for(lambda: "data_dir is another now" in journal(), "what cannot change to be named")
    CONFIG.write_text("data_dir = [")
    sh("systemctl", "reload", UNIT)
    wait_for(lambda: "the configuration stays as it was" in journal(), "the refusal")
    assert service.get("/v1/nodes")[0]["Name"] == "another"
    assert (service.pid(), service.wait_running(alloc)) == (old, pid)
    assert (show(UNIT, "ActiveState"), show(UNIT, "SubState")) == ("active", "running")


def test_an_executor_killed(service):
    """Its task dies with it, and starts again."""
    alloc, pid = run(service)
    kill_hard(executor_of(service, alloc))
    wait_for(lambda: process_gone(pid), "the task to die with its executor")
    wait_for(lambda: service.task(alloc)["Restarts"] == 1 and service.wait_running(alloc) != pid, "it to run again")
