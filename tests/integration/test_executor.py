# SPDX-License-Identifier: MIT
"""The executor alone: its contract with any manager, of any release."""
import os
import signal
import struct
import subprocess
from pathlib import Path

import msgpack
import pytest

import leftovers
import records
from bare import EVT_HELLO, HELLO, PING, RESTART, SIGNAL, STOP, TERMS, Events
from harness import BUILD, HIDE_CGROUP2, has_v1, process_gone, wait_for


def test_runs_a_task_to_its_end(executor):
    one = executor("print:hello", "env", "exit:7").start()
    code, status = one.end()
    assert code == 0
    assert (status["state"], status["exit_code"], status["failed"]) == ("dead", 7, True)
    assert one.output() == "hello\nA=1\n"


def test_sleeps_until_something_happens(executor):
    """Not for a minute or an hour: an idle task costs no wake-up at all."""
    one = executor("print:x", "pause").start()
    wait_for(lambda: one.output() == "x\n", "the task's line")

    def waits_for_days():
        words = Path(f"/proc/{one.process.pid}/syscall").read_text().split()
        return len(words) > 4 and int(words[4], 16) > 24 * 3600 * 1000  # epoll_wait's time limit

    wait_for(waits_for_days, "the executor to be idle")


def test_keys_of_a_newer_manager_are_skipped(executor):
    one = executor("print:x", new_list=[1, {"deep": [2]}], new_text="later").start()
    assert one.end()[0] == 0
    assert one.output() == "x\n"


@pytest.mark.parametrize("key", ["args", "env", "task_dir", "restart", "logs", "kill_signal"])
def test_a_missing_key_is_named(executor, key):
    one = executor("print:x")
    del one.spec[key]
    one.start()
    _, text = one.process.communicate(timeout=20)
    assert one.process.returncode == 65
    assert key in text


def test_a_damaged_spec_is_refused(executor):
    one = executor("print:x")
    one.write_spec()
    path = one.state_dir / "spec"
    data = path.read_bytes()
    for damage in (data[:-1], data[:-1] + b"\xff", b"", b"CLEAT-STATE 1 99999999 0\n", os.urandom(99)):
        path.write_bytes(damage)
        done = one.spawn()
        _, text = done.communicate(timeout=20)
        assert done.returncode == 65 and "spec" in text, damage


def test_a_spec_of_a_newer_format_is_refused(executor):
    one = executor("print:x")
    one.write_spec()
    path = one.state_dir / "spec"
    path.write_bytes(path.read_bytes().replace(b"CLEAT-STATE 1 ", b"CLEAT-STATE 2 ", 1))
    done = one.spawn()
    _, text = done.communicate(timeout=20)
    assert done.returncode == 65 and "format 2" in text


@pytest.mark.parametrize("arguments", [[], ["supervise"], ["supervise", "/nonexistent"], ["fly"]])
def test_wrong_arguments(arguments):
    done = subprocess.run([BUILD / "bin/cleat-executor", *arguments], capture_output=True, text=True)
    assert done.returncode in (64, 65) and done.stderr


def test_only_one_executor_per_task(executor):
    one = executor("pause").start()
    pid = one.wait_pid()
    other = one.spawn()
    _, text = other.communicate(timeout=20)
    assert other.returncode == 66 and "another executor" in text
    assert one.status()["pid"] == pid and not process_gone(pid)


@pytest.mark.parametrize("given, own", [("a", "b"), ("a", None), (None, "b")])
def test_an_order_is_for_one_executor(executor, given, own):
    one = executor("pause")
    if given:
        one.spec["order"] = given
    one.write_spec()
    other = one.spawn(own)
    _, text = other.communicate(timeout=20)
    assert other.returncode == 66 and "another executor" in text
    one.process = one.spawn(given)
    one.wait_pid()


def test_hello_then_every_change_once_and_in_order(executor):
    one = executor("wait:50", "exit:1")
    one.spec["restart"]["attempts"] = 4
    one.start()
    events = Events(one)
    hello = events.next()
    assert hello["type"] == EVT_HELLO and hello["version"] == 2
    _, status = one.end()
    seen = []
    while message := events.next():
        if message["type"] != EVT_HELLO:
            seen.append(message)
    numbers = [m["seq"] for m in seen if m["seq"] > hello["seq"]]
    assert numbers == list(range(hello["seq"] + 1, status["seq"] + 1))
    assert all(m["failed"] for m in seen if m["state"] == 2)
    events.close()


def test_each_manager_gets_a_hello(executor):
    one = executor("pause").start()
    one.wait_pid()
    for _ in range(20):
        events = Events(one)
        assert events.next()["pid"] == one.status()["pid"]
        events.close()


def test_nobody_reading_never_blocks_it(executor):
    """A manager that attaches and then reads nothing: the pipe fills, the executor goes on."""
    one = executor("exit:1")
    one.spec["restart"].update(attempts=2000)
    one.start()
    events = Events(one)
    wait_for(lambda: one.status()["restarts"] > 600, "600 restarts", timeout=40)
    last = None
    while (message := events.next(timeout=1)) and (not last or last["restarts"] < 600):
        last = message
    assert last
    events.close()


def terms(one, terms_id, **changed):
    """Those of its order, but for what is changed."""
    keys = ("restart", "kill_signal", "kill_timeout_ns", "shutdown_delay_ns", "logs")
    return {"id": terms_id, **{k: one.spec[k] for k in keys}, **changed}


def test_other_terms_under_a_running_task(executor):
    """Restart policy, stop and log limits change, and are on record; the task runs on."""
    one = executor("quit:TERM:9", "print:up", "pause", terms_id=1).start()
    wait_for(lambda: one.output() == "up\n", "the task to be up")
    pid = one.wait_pid()
    assert one.status()["terms_id"] == 1
    policy = {**one.spec["restart"], "attempts": 1}
    logs = {**one.spec["logs"], "max_file_size": 3}
    one.command(TERMS, terms=terms(one, 2, restart=policy, logs=logs, kill_signal=signal.SIGTERM))
    wait_for(lambda: one.status()["terms_id"] == 2, "the record")
    assert one.status()["pid"] == pid and one.status()["attempt"] == 0
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: one.output() == "up\n" * 2, "the restart it is allowed now")
    assert [p.read_bytes() for p in sorted(one.log_dir.glob("t.stdout.*"))] == [b"up\n"] * 2
    one.command(TERMS, terms=terms(one, 3, kill_signal=99))  # no signal: nothing changes
    one.command(STOP, reason="asked")
    code, status = one.end()
    assert code == 0 and status["exit_code"] == 9 and status["terms_id"] == 2


def test_signal_stop_and_restart(executor):
    one = executor("handle:USR1", "quit:INT:3", "print:ready", *["pause"] * 3).start()
    pid = one.wait_pid()
    wait_for(lambda: one.output() == "ready\n", "the task to be ready")
    one.command(SIGNAL, signal=signal.SIGUSR1)
    wait_for(lambda: "caught=USR1" in one.output(), "the signal")
    one.command(RESTART, reason="asked")
    new = wait_for(lambda: (p := one.status()["pid"]) and p != pid and p, "a new process")
    assert one.status()["restarts"] == 1
    wait_for(lambda: one.output().count("ready") == 2, "the task to be ready")
    one.command(STOP, reason="enough")
    code, status = one.end()
    assert code == 0 and process_gone(new)
    assert (status["exit_code"], status["failed"]) == (3, False)
    assert "enough" in (one.task_dir / "executor.out").read_text()


def test_commands_of_a_newer_manager_are_skipped(executor):
    one = executor("pause").start()
    pid = one.wait_pid()
    one.command(99, what="is this")
    one.command(PING, version=7, extra=[1, 2])
    one.command(HELLO, version=7)
    one.command(STOP)
    assert one.end()[0] == 0 and process_gone(pid)


# The head of a frame that is as long as the stop behind it, longer, shorter; and less than a head.
@pytest.mark.parametrize("foreign", ["exact", b"\x40\0\0\0", b"\7\0\0\0", b"\1\0\0"])
def test_a_stop_behind_foreign_bytes_is_heard(executor, foreign):
    stop = msgpack.packb({"type": STOP, "reason": "enough"})
    stop = struct.pack("<I", len(stop)) + stop
    if foreign == "exact":
        foreign = struct.pack("<I", len(stop))
    one = executor("quit:INT:3", "print:ready", "pause").start()
    wait_for(lambda: one.output() == "ready\n", "the task to be ready")
    ctl = wait_for(one.open_control, "the executor's control pipe")
    os.write(ctl, foreign + stop)
    os.close(ctl)
    code, status = one.end()
    assert (code, status["exit_code"]) == (0, 3)


def test_signals_of_a_shutdown_do_not_touch_it(executor):
    one = executor("pause").start()
    pid = one.wait_pid()
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        one.process.send_signal(sig)
    one.command(PING)
    events = Events(one)
    assert events.next()["pid"] == pid
    events.close()
    assert one.process.poll() is None and not process_gone(pid)


def test_a_successor_goes_on_where_a_killed_executor_stopped(executor):
    one = executor("print:start", "pause").start()
    pid = one.wait_pid()
    wait_for(lambda: one.output() == "start\n", "the first line")
    seq = one.status()["seq"]
    one.process.kill()
    one.process.wait()
    wait_for(lambda: process_gone(pid), "the task to die with its executor")
    one.process = one.spawn()
    wait_for(lambda: one.output() == "start\n" * 2, "the second line")
    status = one.status()
    assert status["seq"] > seq and status["restarts"] == 1


# A log directory that cannot take what the task writes

def tmpfs(path, options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)


def test_full_log_disk(executor, box):
    """The task goes on, the loss is on record, and writing resumes by itself."""
    one = executor("lines:0:2:20000")
    tmpfs(one.log_dir, "size=256k")
    try:
        one.start()
        pid = one.wait_pid()
        wait_for(lambda: one.status()["log_lost_bytes"] > 0, "the disk to be full")
        assert not process_gone(pid)
        kinds = [e["type"] for e in one.status()["events"]]
        assert 10 in kinds  # log lost
        subprocess.run(["mount", "-o", "remount,size=64m", one.log_dir], check=True)
        size = len(one.output())
        wait_for(lambda: len(one.output()) > size + 100000, "the log to grow again")
        wait_for(lambda: [e["type"] for e in one.status()["events"]].count(10) == 2, "the report")
        assert "lost" in (one.task_dir / "executor.out").read_text()
    finally:
        one.stop()
        subprocess.run(["umount", one.log_dir], check=True)


def test_read_only_log_directory(executor, box):
    one = executor("lines:20:10")
    tmpfs(one.log_dir, "ro")
    try:
        code, status = one.start().end()
        assert code == 0 and status["exit_code"] == 0
        assert status["log_lost_bytes"] == sum(len(f"{i}\n") for i in range(20))
    finally:
        one.stop()
        subprocess.run(["umount", one.log_dir], check=True)


def test_exit_is_on_record_though_the_disk_is_full(executor, box):
    one = executor("once:go:0", "exit:9")
    tmpfs(one.state_dir, "size=256k")
    try:
        one.spec["args"] = [one.spec["args"][0], "quit:INT:9", "print:ready", "pause"]
        one.start()
        one.wait_pid()
        wait_for(lambda: one.output() == "ready\n", "the task to be ready")
        with open(one.state_dir / "ballast", "wb", buffering=0) as f:
            with pytest.raises(OSError):
                while True:
                    f.write(bytes(4096))
        one.command(STOP)
        _, status = one.end()
        assert (status["state"], status["exit_code"]) == ("dead", 9)
    finally:
        one.stop()
        subprocess.run(["umount", one.state_dir], check=True)


def test_hostile_links_in_the_task_directory(executor):
    victim = executor("print:x")
    target = victim.box.dir / "precious"
    target.write_text("precious")
    (victim.task_dir / "executor.out").symlink_to(target)
    (victim.log_dir / "t.stdout.0").symlink_to(target)
    victim.start()
    victim.process.wait(timeout=20)
    assert target.read_text() == "precious"


def test_a_removed_executor_out_is_made_again(executor):
    one = executor("pause").start()
    one.wait_pid()
    out = one.task_dir / "executor.out"
    precious = one.box.dir / "precious"
    precious.write_text("precious")
    out.unlink()
    out.symlink_to(precious)
    one.command(SIGNAL, signal=signal.SIGCONT, reason="first")
    wait_for(lambda: "first" in str(one.status()["events"]), "the signal")
    out.unlink()
    one.command(SIGNAL, signal=signal.SIGCONT, reason="second")
    wait_for(lambda: out.exists() and "second" in out.read_text(), "the new file")
    assert "first" not in out.read_text() and precious.read_text() == "precious"


def test_the_record_survives_a_torn_slot(executor):
    one = executor("pause").start()
    one.wait_pid()
    one.process.kill()
    one.process.wait()
    path = one.state_dir / "status"
    newest = one.status()
    data = bytearray(path.read_bytes())
    at = (newest["seq"] % 2) * records.SLOT_BYTES
    data[at + 20] ^= 0xFF
    path.write_bytes(data)
    older = one.status()
    assert older["seq"] == newest["seq"] - 1
    one.process = one.spawn()
    wait_for(lambda: one.status()["seq"] > newest["seq"], "the successor to go on")


def run_alone(*arguments, **options):
    return subprocess.run([BUILD / "bin/cleat-executor", "run", *arguments], capture_output=True,
                          text=True, timeout=60, **options)  # fmt: skip


@pytest.mark.parametrize("isolation", ["exec", "none"])
def test_run_in_the_foreground(isolation):
    """Standard input, output, bare names and exit codes are those of any program."""
    done = run_alone("-isolation", isolation, "--", "cat", input="through\n")
    assert (done.returncode, done.stdout) == (0, "through\n")
    assert run_alone("-isolation", isolation, "--", "/bin/sh", "-c", "exit 7").returncode == 7
    assert run_alone("-isolation", isolation, "--", "/bin/sh", "-c", "kill -9 $$").returncode == 137
    done = run_alone("-isolation", isolation, "--", "/no/such")
    assert done.returncode == 127 and "/no/such" in done.stderr
    assert run_alone("-isolation", isolation, "--", "/etc/passwd").returncode == 126


LIMITS = ["-memory", "20MiB", "-cpu", "100", "-pids", "5", "-cpus", "0"]


def groups_of_runs(pid):
    """The leaves of `cleat-executor run` by that process."""
    return [leaf for root in leftovers.cgroup_roots() for leaf in root.glob(f"run-{pid}.*")]


@pytest.fixture
def alone():
    """Starts `cleat-executor run`; afterwards neither it nor a cgroup of it may be left."""
    made = []

    def start(*arguments, wrapper=()):
        made.append(subprocess.Popen([*wrapper, BUILD / "bin/cleat-executor", "run", *arguments],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))  # fmt: skip
        return made[-1]

    yield start
    for one in made:
        one.kill()
        one.communicate()
        assert not groups_of_runs(one.pid)


@pytest.mark.parametrize("wrapper", [[], HIDE_CGROUP2] if has_v1() else [[]])
def test_run_keeps_its_limits(alone, wrapper):
    """It makes a cgroup of its own, and takes it away at the end."""
    one = alone(*LIMITS, "-name", "web", "--", "/bin/sh", "-c", "echo; exec sleep 100", wrapper=wrapper)
    one.stdout.readline()
    leaves = groups_of_runs(one.pid)
    assert leaves and {leaf.name for leaf in leaves} == {f"run-{one.pid}.web.0"}

    def values(*names):
        return {(leaf / name).read_text().strip() for leaf in leaves for name in names if (leaf / name).exists()}

    assert values("memory.max", "memory.limit_in_bytes") == {str(20 << 20)}
    assert values("pids.max") == {"5"}
    assert values("cpuset.cpus") == {"0"}
    assert values("cpu.weight", "cpu.shares") in ({"4"}, {"100"})
    one.send_signal(signal.SIGTERM)
    assert one.wait(timeout=20) > 128
    assert not groups_of_runs(one.pid)


@pytest.mark.parametrize("command", [["/no/such"], ["/bin/true"], ["/bin/sh", "-c", "exit 3"]])
def test_run_leaves_no_cgroup(alone, command):
    one = alone(*LIMITS, "-isolation", "none", "-restart", "1", "--", *command)
    assert one.wait(timeout=20) == {"/no/such": 127, "/bin/true": 0}.get(command[0], 3)
    assert not groups_of_runs(one.pid)


@pytest.mark.parametrize("limit", ["-memory=20MiB", "-cpu=100", "-pids=5", "-cpus=0"])
def test_run_does_not_ignore_a_limit(alone, limit):
    """Who may not make a cgroup is told so, and what to do."""
    one = alone(limit, "--", "/bin/true", wrapper=["setpriv", "--reuid=65534", "--clear-groups"])
    _, text = one.communicate(timeout=20)
    assert one.returncode == 125 and "cgroup" in text and "left to" in text and "denied" in text
