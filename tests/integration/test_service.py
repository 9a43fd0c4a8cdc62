# SPDX-License-Identifier: MIT
"""The manager as a service: what it tells its init system, SIGHUP, and the place for all tasks."""
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

import jobs
import records
from harness import BUILD, SLOW, process_gone, wait_for, waiting


class InitSystem:
    """The socket that services report to, and what came over it, as a list of {name: value}."""

    def __init__(self, path, abstract):
        self.name = f"@{path}" if abstract else str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{path}" if abstract else self.name)
        self.socket.settimeout(20 * SLOW)

    def next(self):
        lines = self.socket.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)


@pytest.fixture(params=[False, True], ids=["path", "abstract"])
def init(box, request):
    system = InitSystem(box.dir / "notify", request.param)
    box.env["NOTIFY_SOCKET"] = system.name
    yield system
    system.socket.close()


def test_ready_reload_stop(box, init):
    manager = box.manager().start()
    assert init.next() == {"READY": "1"}
    alloc = manager.run_one(jobs.simple("env", "pause"))
    manager.wait_running(alloc)
    manager.process.send_signal(signal.SIGHUP)
    assert init.next()["RELOADING"] == "1"
    assert init.next() == {"READY": "1"}
    assert manager.terminate() == 0
    assert init.next() == {"STOPPING": "1"}
    assert "NOTIFY_SOCKET" not in manager.output(alloc)


def test_watchdog_is_fed(box, init):
    box.env["WATCHDOG_USEC"] = str(200_000)
    box.manager().start()
    assert [init.next() for _ in range(4)] == [{"READY": "1"}] + 3 * [{"WATCHDOG": "1"}]


def test_watchdog_of_another_process(box, init):
    """With the pid of its starter the manager is not meant."""
    box.env.update(WATCHDOG_USEC="1000", WATCHDOG_PID=str(os.getpid()))
    manager = box.manager().start()
    manager.process.send_signal(signal.SIGHUP)
    assert [list(init.next())[0] for _ in range(3)] == ["READY", "RELOADING", "READY"]


def test_nobody_listens(box):
    box.env["NOTIFY_SOCKET"] = str(box.dir / "nothing")
    assert "over NOTIFY_SOCKET: No such file" in box.manager().start().log()


def change(manager, old, new):
    text = manager.config_path.read_text()
    assert old in text
    manager.config_path.write_text(text.replace(old, new))


def reload(manager, says):
    seen = manager.log().count(says)
    manager.process.send_signal(signal.SIGHUP)
    wait_for(lambda: manager.log().count(says) > seen, says)


READ, REFUSED = "the configuration is read again", "the configuration stays as it was"


def test_reload(manager):
    """New settings count for what starts from now on; what runs goes on."""
    alloc = manager.run_one(jobs.simple("pause", driver="raw_exec"))
    pid = manager.wait_running(alloc)
    change(manager, "enabled = true", "enabled = false")
    change(manager, "client {", 'name = "another"\nclient {\n  meta {\n    rack = "r9"\n  }\n')
    reload(manager, READ)
    node = manager.get("/v1/node/" + manager.get("/v1/nodes")[0]["ID"])
    assert (node["Name"], node["Meta"]) == ("another", {"rack": "r9"})
    assert "driver.raw_exec" not in node["Attributes"]
    assert manager.cli("run", "-", check=False, stdin='job "x" { group "g" { task "t" { driver = "raw_exec" '
                       'config { command = "/bin/true" } } } }').returncode != 0  # fmt: skip
    output, _ = manager.run_to_end(jobs.simple("env", id="env"))
    assert "NOMAD_DC=dc1" in output
    assert manager.wait_running(alloc) == pid


def test_reload_of_what_cannot_change(manager, box):
    change(manager, f'data_dir = "{manager.data_dir}"', f'data_dir = "{box.dir}/other"')
    change(manager, f'cgroup_parent = "{box.token}"', f'cgroup_parent = "{box.token}/deeper"')
    reload(manager, READ)
    assert "data_dir is another now" in manager.log()
    assert "cgroup_parent is another now" in manager.log()
    assert not (box.dir / "other").exists()
    _, state = manager.run_to_end(jobs.simple("exit:0"))
    assert not state["Failed"]


def test_reload_of_nonsense(manager):
    good = manager.config_path.read_text()
    manager.config_path.write_text(good + "nonsense = 1\n")
    reload(manager, REFUSED)
    assert "nonsense" in manager.log()
    _, state = manager.run_to_end(jobs.simple("exit:0"))
    assert not state["Failed"]
    manager.config_path.write_text(good)
    reload(manager, READ)


# An executor that is to leave


def test_leaving(executor):
    """SIGPWR: the stop sequence; then the task is not dead, and the next executor starts it again."""
    one = executor("quit:INT:7", "print:up", "pause").start()
    pid = one.wait_pid()
    wait_for(lambda: one.output() == "up\n", "the task to be ready")
    one.process.send_signal(signal.SIGPWR)
    code, status = one.end()
    assert (code, status["state"], status["failed"], status["exit_code"]) == (0, "pending", False, 7)
    assert process_gone(pid)
    one.process = one.spawn()
    wait_for(lambda: one.output() == "up\nend\nup\n", "the second start")
    assert one.status()["restarts"] == 1


def test_leaving_before_the_task(executor):
    one = executor("pause").start(preexec_fn=waiting(signal.SIGPWR))
    code, status = one.end()
    assert (code, status["state"]) == (0, "pending")


def test_leaving_between_two_attempts(executor):
    one = executor("exit:1", restart={"attempts": 5, "interval_ns": 10**12, "delay_ns": 10**12, "mode": 0,
                                      "on_success": False}).start()  # fmt: skip
    wait_for(lambda: one.has_status() and one.status()["exit_code"] == 1, "the first end")
    wait_for(lambda: one.process.send_signal(signal.SIGPWR) or one.process.poll() is not None, "the end")
    assert one.end()[1]["state"] == "pending"


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_stop_is_the_end_though_it_was_to_leave(executor, order):
    one = executor("ignore:INT", "print:up", "pause", kill_timeout_ns=10**9).start()
    one.wait_pid()
    wait_for(lambda: one.output() == "up\n", "the task to be ready")
    for step in (0, 1) if order == "before" else (1, 0):
        if step == 0:
            one.command(2, reason="enough")
            wait_for(lambda: "enough" in (one.task_dir / "executor.out").read_text() or order == "after", "the stop")
        else:
            one.process.send_signal(signal.SIGPWR)
            wait_for(lambda: "machine" in (one.task_dir / "executor.out").read_text() or order == "before", "leaving")
    assert one.end()[1]["state"] == "dead"


# The place for all tasks

ROOT = next(
    Path(line.split()[4])
    for line in Path("/proc/self/mountinfo").read_text().splitlines()
    if " - cgroup2 " in line
)


@pytest.fixture
def holder(box):
    """`cleat-executor hold` in a group as an init system would make it for its unit."""
    group = ROOT / box.token
    group.mkdir()
    enter = f'echo $$ >{group}/cgroup.procs && exec "$0" hold'
    process = subprocess.Popen(["sh", "-c", enter, BUILD / "bin/cleat-executor"], env=box.env)
    wait_for((group / "executors").exists, "the place for executors")
    yield process
    if process.poll() is None:
        process.kill()
        process.wait()
    for name in ("executors", "hold"):
        wait_for(lambda name=name: not (group / name / "cgroup.procs").read_text(), f"{name} to be empty")
        (group / name).rmdir()


def group_of(pid):
    return ROOT / Path(records.cgroups_of(pid)[""].lstrip("/"))


def test_executors_go_where_they_are_held(box, holder):
    manager = box.manager().start()
    alloc = manager.run_one(jobs.simple("quit:INT:7", "print:up", "pause", type="service", policy=jobs.restart(3)))
    pid = manager.wait_running(alloc)
    wait_for(lambda: manager.output(alloc) == "up\n", "the task to be ready")
    executor = records.task_status(manager, alloc)["executor_pid"]
    wait_for(lambda: group_of(executor) == ROOT / box.token / "executors", "the executor to move")
    assert group_of(holder.pid) == ROOT / box.token / "hold"
    manager.terminate()
    holder.terminate()
    assert holder.wait(timeout=20 * SLOW) == 0
    assert process_gone(pid) and process_gone(executor)
    manager.start()
    assert manager.wait_running(alloc) != pid
    state = manager.task(alloc)
    assert state["Restarts"] == 1
    assert 7 in [e["ExitCode"] for e in state["Events"] if e["Type"] == "Terminated"]
    manager.stop("job")
    manager.wait_dead(alloc)


def test_the_holder_is_not_needed(box, holder):
    """Killed, it takes nothing with it; and with nobody to hold, SIGTERM ends it at once."""
    manager = box.manager().start()
    alloc = manager.run_one(jobs.simple("pause"))
    pid = manager.wait_running(alloc)
    holder.kill()
    holder.wait()
    assert manager.wait_running(alloc) == pid and not process_gone(pid)
    manager.stop("job")
    manager.wait_dead(alloc)
