# SPDX-License-Identifier: MIT
"""The manager dies, at any moment: no task, no line, no exit code may be lost."""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import leftovers
import records
from harness import SLOW, kill_hard, process_gone, wait_for
from jobs import MS, group, job, restart, simple, task

TASKS = 50
KILLS = 100


def fifty():
    """50 groups, exec and raw_exec by turns; task i prints lines until SIGTERM, then exits with i."""
    return job(
        *(
            group(
                task(f"quit:TERM:{i}", "lines:0:20", driver=("exec", "raw_exec")[i % 2],
                     KillSignal="SIGTERM"),
                name=f"g{i}",
            )
            for i in range(TASKS)
        ),
        type="service",
    )  # fmt: skip


def index(alloc):
    return int(alloc["TaskGroup"][1:])


@pytest.mark.timeout(180)
def test_killed_a_hundred_times_under_fifty_tasks(manager):
    ids = manager.run(fifty())
    assert len(ids) == TASKS
    pids = {a: manager.wait_running(a) for a in ids}
    starts = {a: records.start_time(pid) for a, pid in pids.items()}
    for i in range(KILLS):
        if i % 2:
            manager.kill9()
            manager.spawn()
            try:  # a moment of its start, a later one each time
                manager.process.wait(timeout=i / 1000)
            except subprocess.TimeoutExpired:
                pass
            manager.kill9()
            manager.spawn()
        else:
            manager.kill9()
            manager.start()
    wait_for(manager.answers, "the manager to answer")
    for alloc_id, pid in pids.items():
        assert manager.wait_running(alloc_id) == pid
        assert records.start_time(pid) == starts[alloc_id]
        assert manager.task(alloc_id)["Restarts"] == 0
    manager.stop("job")
    for alloc_id in ids:
        state = manager.wait_dead(alloc_id)
        (event,) = [e for e in state["Events"] if e["Type"] == "Terminated"]
        assert event["ExitCode"] == index(manager.alloc(alloc_id))
        *lines, last = manager.output(alloc_id).splitlines()
        assert last == "end"
        assert lines == [str(n) for n in range(len(lines))]
        assert [e["Type"] for e in state["Events"]].count("Started") == 1


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_tasks_that_end_meanwhile(manager, driver):
    ids = {
        manager.run_one(simple("print:x", "wait:500", step, id=f"j{i}", driver=driver)): expected
        for i, (step, expected) in enumerate(
            [("exit:0", (0, 0)), ("exit:17", (17, 0)), ("die:ABRT", (134, 6))]
        )
    }
    for alloc_id in ids:
        manager.wait_running(alloc_id)
    manager.kill9()
    for alloc_id in ids:
        wait_for(lambda: records.task_status(manager, alloc_id)["state"] == "dead", "the record")
    manager.start()
    for alloc_id, expected in ids.items():
        alloc = manager.wait_client(alloc_id, "complete" if expected == (0, 0) else "failed")
        (event,) = [e for e in alloc["TaskStates"]["t"]["Events"] if e["Type"] == "Terminated"]
        assert (event["ExitCode"], event["Signal"]) == expected
        assert manager.output(alloc_id) == "x\n"


def test_restarts_go_on_meanwhile(manager):
    alloc_id = manager.run_one(simple("print:try", "wait:100", "exit:1", policy=restart(2, MS)))
    manager.wait_event(alloc_id, "Started")
    manager.kill9()
    wait_for(lambda: records.task_status(manager, alloc_id)["state"] == "dead", "the record")
    assert manager.output(alloc_id) == "try\n" * 3
    manager.start()
    state = manager.wait_client(alloc_id, "failed")["TaskStates"]["t"]
    kinds = [e["Type"] for e in state["Events"]]
    assert state["Restarts"] == 2
    assert kinds.count("Restarting") == 2 and kinds.count("Not Restarting") == 1
    assert kinds[-1] == "Not Restarting"


def test_a_killed_task_is_restarted_meanwhile(manager):
    alloc_id = manager.run_one(simple("pause", type="service", policy=restart(3)))
    pid = manager.wait_running(alloc_id)
    manager.kill9()
    kill_hard(pid)
    new = wait_for(
        lambda: (s := records.task_status(manager, alloc_id))["restarts"] == 1
        and s["state"] == "running"
        and s["pid"],
        "the executor to restart its task",
    )
    manager.start()
    assert manager.wait_running(alloc_id) == new != pid


def test_sigterm_leaves_tasks_running(manager):
    alloc_id = manager.run_one(simple("lines:0:10", type="service"))
    pid = manager.wait_running(alloc_id)
    assert manager.terminate() == 0
    assert not manager.socket.exists()
    before = len(manager.output(alloc_id))
    wait_for(lambda: len(manager.output(alloc_id)) > before, "lines without a manager")
    manager.start()
    assert manager.wait_running(alloc_id) == pid


# Leads a session, whose terminal is argv[1], and becomes what follows.
IN_TERMINAL = """import os, sys
if os.fork():
    os.wait()
    sys.exit()
os.setsid()
os.open(sys.argv[1], os.O_RDWR)
os.execv(sys.argv[2], sys.argv[2:])"""


@pytest.mark.parametrize("terminal", [True, False])
def test_what_goes_to_a_session_or_its_groups_does_not_reach_executors(box, terminal):
    """Ctrl-C, a terminal that hangs up, and what the kernel sends to stopped groups when the parent
    of one dies. Without a terminal executors stay in the manager's session."""
    ours, theirs = os.openpty()
    wrapper = [sys.executable, "-c", IN_TERMINAL, os.ttyname(theirs)] if terminal else ["setsid"]
    manager = box.manager().start(wrapper)
    alloc_id = manager.run_one(simple("lines:0:10", type="service"))
    pid = manager.wait_running(alloc_id)
    executor = records.task_status(manager, alloc_id)["executor_pid"]
    parent = int(Path(f"/proc/{executor}/stat").read_text().split()[3])
    assert os.getpgid(executor) == executor
    assert (os.getsid(executor) == os.getsid(parent)) != terminal
    if terminal:
        os.write(ours, b"\x03")
        manager.process.wait()
    else:
        os.kill(executor, signal.SIGSTOP)
        kill_hard(parent)
        os.kill(executor, signal.SIGCONT)
    os.close(theirs)
    os.close(ours)
    before = len(manager.output(alloc_id))
    wait_for(lambda: len(manager.output(alloc_id)) > before, "lines without a manager")
    manager.start()
    assert manager.wait_running(alloc_id) == pid
    assert records.task_status(manager, alloc_id)["executor_pid"] == executor


@pytest.mark.timeout(120)
def test_an_accepted_job_is_there_after_a_crash(manager):
    """Killed right after the answer: the job is known, and its task runs, once."""
    for i in range(15):
        job_id = f"job{i}"
        manager.call("PUT", "/v1/jobs", {"Job": simple("pause", id=job_id, type="service")})
        manager.kill9()
        manager.start()
        (alloc,) = manager.get(f"/v1/job/{job_id}/allocations")
        manager.wait_running(alloc["ID"])
        assert [e["Type"] for e in manager.task(alloc["ID"])["Events"]].count("Started") == 1


@pytest.mark.timeout(120)
def test_a_job_not_acknowledged_is_whole_or_absent(manager):
    """Killed while it works on the request, a little later each time."""
    for i in range(15):
        job_id = f"job{i}"
        request = subprocess.Popen(
            ["/usr/bin/python3", "-c", REGISTER, str(manager.socket), job_id],
            stderr=subprocess.DEVNULL,
        )
        try:
            request.wait(timeout=(20 + i * 3) / 1000 * SLOW)
        except subprocess.TimeoutExpired:
            pass
        manager.kill9()
        request.wait()
        manager.start()
        if job_id in [j["ID"] for j in manager.get("/v1/jobs")]:
            (alloc,) = manager.get(f"/v1/job/{job_id}/allocations")
            manager.wait_client(alloc["ID"], "complete")


REGISTER = """
import json, socket, sys
task = {"Name": "t", "Driver": "raw_exec", "Config": {"command": "/bin/true"}}
job = {"ID": sys.argv[2], "Name": sys.argv[2], "Type": "batch", "Datacenters": ["dc1"],
       "TaskGroups": [{"Name": "g", "Tasks": [task]}]}
body = json.dumps({"Job": job})
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(f"PUT /v1/jobs HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n{body}".encode())
s.recv(1)
"""


def test_a_task_may_outlive_many_managers_and_still_be_stopped(manager):
    alloc_id = manager.run_one(simple("quit:INT:3", "print:ready", "pause", type="service"))
    pid = manager.wait_running(alloc_id)
    wait_for(lambda: manager.output(alloc_id), "the task to be ready")
    for _ in range(3):
        manager.kill9()
        manager.start()
    manager.stop("job")
    state = manager.wait_dead(alloc_id)
    assert process_gone(pid)
    assert [e for e in state["Events"] if e["Type"] == "Terminated"][0]["ExitCode"] == 3


# What manager and executors leave when they die at certain points, put there by hand


@pytest.mark.parametrize("job_is_aside", [False, True])
def test_between_the_records_of_a_collected_job(manager, job_is_aside):
    """Its own record is gone, one of its allocations and a half-written one are left: they go, but not
    where the job's record was damaged and a person may put it back."""
    alloc_id = manager.run_one(simple("print:x"))
    manager.wait_client(alloc_id, "complete")
    state = manager.data_dir / "state"
    # "complete" is told before the executor is gone; only what is tidied up can have been collected
    wait_for(lambda: json.loads(records.read_statefile(state / "allocs" / alloc_id))["Tidy"],
             "the allocation to be tidied up")
    manager.terminate()
    (state / "jobs/job").rename(state / ("jobs/job.damaged" if job_is_aside else "jobs/other.tmp"))
    (state / f"allocs/{alloc_id}.tmp").write_bytes(b"half")
    manager.start()
    assert (state / "allocs" / alloc_id).exists() == job_is_aside
    assert (state / "tasks" / alloc_id).exists() == job_is_aside
    assert not list(state.glob("*/*.tmp"))
    assert manager.get("/v1/jobs") == []


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_before_another_executor_has_its_lock(manager, driver):
    """An executor died, the restart was noted, and the manager died when it had just started another
    executor: that is the same loss, not a second one that the policy does not allow."""
    job = simple("print:start", "pause", type="service", driver=driver, policy=restart(1))
    alloc_id = manager.run_one(job)
    pid = manager.wait_running(alloc_id)
    wait_for(lambda: manager.output(alloc_id) == "start\n", "the first line")
    manager.kill9()
    status = records.task_status(manager, alloc_id)
    kill_hard(status["executor_pid"])
    wait_for(lambda: process_gone(pid), "the task to die with its executor")
    for cgroup in leftovers.cgroups(manager.box.token):
        os.rmdir(cgroup)
    path = manager.data_dir / "state/allocs" / alloc_id
    record = json.loads(records.read_statefile(path))
    record["Tasks"]["t"] |= {"Seq": status["seq"], "Attempt": status["attempt"], "StartedAt": status["started_ns"],
                             "Unheard": True, "WindowCount": 1, "Window": time.time_ns()}  # fmt: skip
    records.write_statefile(path, json.dumps(record).encode())
    manager.start()
    wait_for(lambda: manager.output(alloc_id) == "start\n" * 2, "the task to run again")
    assert manager.wait_running(alloc_id) != pid


def reboot(manager):
    """Nobody can change the boot id but the kernel: the manager and its executors see a file mounted over it, in a
    mount namespace of their own. Returns the file."""
    boot_id = manager.dir / "boot_id"
    boot_id.write_text("01234567-89ab-cdef-0123-456789abcdef\n")
    boot_id.chmod(0o444)
    return manager.start([
        "unshare", "-m", "--propagation", "private", "sh", "-c",
        'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"', str(boot_id),
    ]) and boot_id  # fmt: skip


def test_the_power_is_cut_between_an_exit_and_the_last_record_of_it(manager):
    """What has done its work does not do it again."""
    alloc_id = manager.run_one(simple("print:start", "exit:0", policy=restart(3)))
    manager.wait_client(alloc_id, "complete")
    manager.kill9()
    (manager.data_dir / "state/allocs" / alloc_id).write_bytes(b"")  # it was not synced
    records.drop_newest_slot(records.task_dir(manager, alloc_id) / "status")
    status = records.task_status(manager, alloc_id)
    assert status["state"] != "dead" and [e["exit_code"] for e in status["events"] if e["type"] == 1] == [0]
    reboot(manager)
    alloc = manager.wait_client(alloc_id, "complete", "failed", "lost")
    state = alloc["TaskStates"]["t"]
    assert (alloc["ClientStatus"], state["ExitCode"], state["Restarts"]) == ("complete", 0, 0)
    assert manager.output(alloc_id) == "start\n"


@pytest.mark.parametrize("attempts", [0, 2])
def test_after_a_reboot(manager, attempts):
    """Everything that ran and was mounted is gone, and the boot id is another one. What ran is reported lost, and
    runs again if the policy says so."""
    job = simple("print:start", "pause", type="service", policy=restart(attempts, MS))
    alloc_id = manager.run_one(job)
    manager.wait_running(alloc_id)
    wait_for(lambda: manager.output(alloc_id) == "start\n", "the first line")
    manager.kill9()
    kill_hard(records.task_status(manager, alloc_id)["executor_pid"])
    leftovers.remove(manager.box.token, wait_for)
    boot_id = reboot(manager)
    if attempts:
        wait_for(lambda: manager.output(alloc_id) == "start\n" * 2, "the task to run again")
        manager.wait_running(alloc_id)
        status = records.task_status(manager, alloc_id)
        assert status["boot_id"] == boot_id.read_text().strip()
    else:
        assert manager.wait_client(alloc_id, "lost")["TaskStates"]["t"]["Failed"]
    state = manager.task(alloc_id)
    assert [e["Type"] for e in state["Events"]].count("Lost") == 1
    assert state["Restarts"] == min(attempts, 1)
