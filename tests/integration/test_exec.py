# SPDX-License-Identifier: MIT
"""alloc exec: a command inside a running task, over the API and from the command line."""
import contextlib
import errno
import fcntl
import os
import select
import signal
import socket
import threading

import pytest

import records
from harness import PAYLOAD, PAYLOAD_IN_ROOT, SLOW, kill_hard, process_gone, wait_for
from jobs import group, job, simple, task
from test_isolation import proc_field
from websocket import Exec, Refused, WebSocket


@pytest.fixture
def alloc(manager):
    """A running task that does nothing."""
    alloc_id = manager.run_one(simple("pause"))
    manager.wait_running(alloc_id)
    return alloc_id


def run(manager, alloc_id, *command, stdin=None, **options):
    """Runs a command to its end; returns (exit code, stdout, stderr)."""
    session = Exec(manager, alloc_id, *command, **options)
    with contextlib.suppress(BrokenPipeError):  # a command that could not start has ended already
        session.write(stdin or b"", close=True)
    return session.finish()


def parent_of(pid):
    """0 for a process that is gone."""
    try:
        return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def cmdline(pid):
    return open(f"/proc/{pid}/cmdline").read().split("\0")


def sh(manager, alloc_id, script, **options):
    return run(manager, alloc_id, "/bin/sh", "-c", script, **options)


def commands_of(manager, alloc_id, name="t"):
    """Pids in the task's cgroup, but for its main process and the stub init above that."""
    pid = manager.task(alloc_id, name)["Pid"]
    path = records.cgroups_of(pid)[""]
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == pid:
            continue
        try:
            if records.cgroups_of(entry)[""] == path and not process_gone(entry):
                found.append(int(entry))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return [p for p in found if p != parent_of(pid)]


# What comes back


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_output_and_exit_code(manager, driver):
    alloc_id = manager.run_one(simple("pause", driver=driver))
    manager.wait_running(alloc_id)
    assert sh(manager, alloc_id, "echo out; echo err >&2; exit 7") == (7, "out\n", "err\n")
    assert sh(manager, alloc_id, "kill -9 $$")[0] == 128 + signal.SIGKILL
    assert run(manager, alloc_id, "true") == (0, "", "")


def test_both_ends_are_told_before_the_exit(manager, alloc):
    session = Exec(manager, alloc, "true")
    assert session.finish()[0] == 0
    assert sorted(session.ended) == ["stderr", "stdout"]
    assert session.closed_with == 1000


def test_stdin_reaches_the_command_and_its_end_too(manager, alloc):
    session = Exec(manager, alloc, "cat")
    session.write(b"one ")
    session.wait_output(b"one ")
    session.send({})
    session.write(b"two")
    session.write(close=True)
    assert session.finish() == (0, "one two", "")


def test_a_message_may_come_in_parts(manager, alloc):
    session = Exec(manager, alloc, "cat")
    session.send_raw(b'{"stdin":{"data":"', final=False)
    session.send_raw(b'aGVsbG8=","close":true}}', opcode=0)
    assert session.finish() == (0, "hello", "")


def test_a_command_that_cannot_be_run(manager, alloc):
    code, out, err = run(manager, alloc, "no-such-program")
    assert (code, out) == (127, "") and "no-such-program" in err and "No such file" in err
    code, out, err = run(manager, alloc, "/etc/passwd")
    assert (code, out) == (126, "") and "Permission denied" in err


def test_a_command_that_raw_exec_cannot_find(manager):
    alloc_id = manager.run_one(simple("pause", driver="raw_exec"))
    manager.wait_running(alloc_id)
    code, _, err = run(manager, alloc_id, "no-such-program")
    assert code == 127 and '"no-such-program" could not be found' in err


def test_children_that_keep_the_output_open_are_not_waited_for(manager, alloc):
    code, out, _ = sh(manager, alloc, "echo said; sleep 1000 & exit 3")
    assert (code, out) == (3, "said\n")


@pytest.mark.parametrize("with_tty", [False, True])
def test_a_child_that_floods_the_output_does_not_hold_up_the_end(manager, alloc, with_tty):
    code, out, _ = sh(manager, alloc, "echo first; yes & exit 3", tty=with_tty)
    assert code == 3 and out.startswith("first")


def test_much_data_both_ways(manager, alloc):
    data = bytes(range(256)) * (40 * 1024)  # 10 MiB
    session = Exec(manager, alloc, "cat", timeout=60)

    def feed():
        for at in range(0, len(data), 100_000):
            session.write(data[at:at + 100_000])
        session.write(close=True)

    feeder = threading.Thread(target=feed)
    feeder.start()
    parts = []
    while session.take():
        parts.append(session.output["stdout"])
        session.output["stdout"] = b""
    feeder.join()
    assert session.code == 0
    assert b"".join(parts) == data


def test_a_client_that_does_not_read_stops_the_command(manager, alloc):
    """… and the manager keeps nothing of what it would have read."""
    session = Exec(manager, alloc, "sh", "-c", "yes | tee /local/written >/dev/stderr")
    written = manager.alloc_dir(alloc) / "t/local/written"
    sizes = []

    def stalled():
        sizes.append(written.stat().st_size if written.exists() else 0)
        select.select([], [], [], 0.1)
        return len(sizes) > 3 and sizes[-1] > 0 and sizes[-1] == sizes[-4]

    wait_for(stalled, "the writer to be stopped")
    assert sizes[-1] < 4 << 20
    session.close()
    wait_for(lambda: not commands_of(manager, alloc), "the command to be killed")


# Where it runs


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
@pytest.mark.parametrize("user", [None, "daemon", "root"])
def test_it_is_where_the_task_is(manager, driver, user):
    fields = {"User": user} if user else {}
    alloc_id = manager.run_one(simple("pause", driver=driver, **fields))
    pid = manager.wait_running(alloc_id)
    payload = PAYLOAD_IN_ROOT if driver == "exec" else PAYLOAD
    session = Exec(manager, alloc_id, payload, "print:ready", "pause")
    session.wait_output(b"ready\n")
    (command,) = commands_of(manager, alloc_id)
    for kind in os.listdir(f"/proc/{pid}/ns"):
        assert records.namespace(pid, kind) == records.namespace(command, kind), kind
    for name in ("root", "cwd"):
        assert os.readlink(f"/proc/{pid}/{name}") == os.readlink(f"/proc/{command}/{name}"), name
        assert os.stat(f"/proc/{pid}/{name}/").st_ino == os.stat(f"/proc/{command}/{name}/").st_ino
    assert records.cgroups_of(pid) == records.cgroups_of(command)
    of_task, of_command = (open(f"/proc/{p}/status").read() for p in (pid, command))
    for name in ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
                 "NoNewPrivs", "Seccomp", "SigBlk", "SigIgn"):  # fmt: skip
        assert proc_field(of_task, name) == proc_field(of_command, name), name
    for name in ("environ", "oom_score_adj", "limits"):
        assert open(f"/proc/{pid}/{name}").read() == open(f"/proc/{command}/{name}").read(), name
    session.close()
    wait_for(lambda: process_gone(command), "the command to be killed")


def test_it_is_where_a_task_with_every_option_is(manager):
    config = {
        "userns": True, "hostname": "h", "cgroup_mode": "private", "network_mode": "none",
        "stdin": "/etc/passwd", "nice": 3, "oom_score_adj": 7, "ulimit": {"nofile": 100},
        "cap_drop": ["all"], "cap_add": ["chown"],
    }  # fmt: skip
    alloc_id = manager.run_one(simple("pause", User="root", config=config))
    pid = manager.wait_running(alloc_id)
    session = Exec(manager, alloc_id, "/bin/sh", "-c", "echo ready; read x; echo got $x; read x")
    session.wait_output(b"ready\n")
    (command,) = commands_of(manager, alloc_id)
    for kind in os.listdir(f"/proc/{pid}/ns"):
        assert records.namespace(pid, kind) == records.namespace(command, kind), kind
    of_task, of_command = (open(f"/proc/{p}/status").read() for p in (pid, command))
    for name in ("Uid", "Gid", "Groups", "CapPrm", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp"):
        assert proc_field(of_task, name) == proc_field(of_command, name), name
    for name in ("uid_map", "oom_score_adj", "limits"):
        assert open(f"/proc/{pid}/{name}").read() == open(f"/proc/{command}/{name}").read(), name
    session.write(b"its own input\n")
    session.wait_output(b"got its own input\n")
    session.close()
    wait_for(lambda: process_gone(command), "the command to be killed")


def test_nothing_of_the_host_is_open(manager, alloc):
    code, out, _ = run(manager, alloc, PAYLOAD_IN_ROOT, "fds")
    names = [line.partition("=") for line in out.splitlines()]
    assert code == 0 and [n[0] for n in names] == ["fd 0", "fd 1", "fd 2"]
    assert all(n[2].startswith("pipe:") for n in names)


def test_the_memory_limit_is_the_tasks(manager):
    alloc_id = manager.run_one(simple("pause", Resources={"CPU": 100, "MemoryMB": 32}))
    manager.wait_running(alloc_id)
    assert run(manager, alloc_id, PAYLOAD_IN_ROOT, "hog:128")[0] == 128 + signal.SIGKILL


def test_the_task_named_is_the_one(manager):
    tasks = [task("pause", name=name, Env={"WHO": name}) for name in ("a", "b")]
    (alloc_id,) = manager.run(job(group(*tasks)))
    for name in ("a", "b"):
        manager.wait_running(alloc_id, name)
        assert sh(manager, alloc_id, "echo $WHO $NOMAD_TASK_NAME", task=name)[1] == f"{name} {name}\n"


def test_after_a_restart_of_the_task_and_of_the_manager(manager):
    alloc_id = manager.run_one(simple("pause", type="service", policy={
        "Attempts": 5, "Delay": 0, "Interval": 60 * 10**9, "Mode": "fail"}))  # fmt: skip
    pid = manager.wait_running(alloc_id)
    kill_hard(pid)
    pid = wait_for(lambda: (p := manager.task(alloc_id).get("Pid")) and p != pid and p, "a restart")
    manager.kill9()
    manager.start()
    _, out, _ = sh(manager, alloc_id, "cat /proc/self/cgroup")
    assert records.cgroups_of(pid)[""] + "\n" in out


# With a terminal


def test_a_terminal_with_its_size(manager, alloc):
    session = Exec(manager, alloc, "sh", tty=True)
    session.resize(33, 101)
    session.write(b"tty; stty size; id -u; test -t 2 && echo yes-$((1 + 1))\n")
    session.wait_output(b"yes-2\r\n")
    session.resize(44, 55)
    session.write(b"stty size; exit 5\n")
    code, out, err = session.finish()
    lines = [line.removeprefix("$ ") for line in out.replace("\r", "").splitlines()]
    assert code == 5 and err == ""
    assert "/dev/pts/0" in lines and "33 101" in lines and "44 55" in lines and "65534" in lines


def test_a_change_of_size_is_signalled(manager, alloc):
    session = Exec(manager, alloc, "bash", "-c",
                   "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.1; done", tty=True)
    session.wait_output(b"ready\r\n")
    session.resize(12, 34)
    code, out, _ = session.finish()
    assert code == 0 and "12 34" in out


def test_control_c_and_end_of_file_on_a_terminal(manager, alloc):
    session = Exec(manager, alloc, "sh", "-c", "echo ready; exec sleep 1000", tty=True)
    session.wait_output(b"ready\r\n")
    session.write(b"\x03")
    assert session.finish()[0] == 128 + signal.SIGINT
    session = Exec(manager, alloc, "cat", tty=True)
    session.write(b"line\n", close=True)
    code, out, _ = session.finish()
    assert code == 0 and out.count("line\r\n") == 2  # its echo, and cat's


def test_a_raw_exec_task_gets_a_terminal_of_the_host(manager):
    alloc_id = manager.run_one(simple("pause", driver="raw_exec", User="daemon"))
    manager.wait_running(alloc_id)
    code, out, _ = sh(manager, alloc_id, "tty; stat -c %U $(tty)", tty=True)
    lines = out.replace("\r", "").splitlines()
    assert code == 0 and lines[0].startswith("/dev/pts/") and lines[1] == "daemon"


def test_the_end_of_the_output_of_a_terminal_is_not_lost(manager, alloc):
    for _ in range(10):
        code, out, _ = sh(manager, alloc, "seq 2000", tty=True)
        assert code == 0 and out.replace("\r", "").split() == [str(n) for n in range(1, 2001)]


# Ends


@pytest.mark.parametrize("with_tty", [False, True])
@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_the_command_is_killed_when_the_client_goes_away(manager, driver, with_tty):
    alloc_id = manager.run_one(simple("pause", driver=driver))
    pid = manager.wait_running(alloc_id)
    session = Exec(manager, alloc_id, "sh", "-c", "trap '' HUP INT TERM; echo ready; sleep 1000; :",
                   tty=with_tty)  # fmt: skip
    session.wait_output(b"ready")
    assert commands_of(manager, alloc_id)
    session.close()
    wait_for(lambda: not commands_of(manager, alloc_id), "the command and its child to be killed")
    assert not process_gone(pid)


def test_a_client_that_leaves_while_its_input_is_stuck(manager, alloc):
    session = Exec(manager, alloc, "sleep", "1000")
    session.sock.settimeout(1)
    with pytest.raises(TimeoutError):  # until every buffer on the way is full
        while True:
            session.write(bytes(60_000))
    assert commands_of(manager, alloc)
    session.close()
    wait_for(lambda: not commands_of(manager, alloc), "the command to be killed")


def test_the_command_dies_with_the_manager(manager, alloc):
    session = Exec(manager, alloc, "sh", "-c", "echo ready; exec sleep 1000")
    session.wait_output(b"ready\n")
    (command,) = commands_of(manager, alloc)
    pid = manager.task(alloc)["Pid"]
    manager.kill9()
    wait_for(lambda: process_gone(command), "the command to be killed")
    assert not process_gone(pid)
    session.close()


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_the_command_dies_with_the_task(manager, driver):
    alloc_id = manager.run_one(simple("pause", driver=driver))
    manager.wait_running(alloc_id)
    session = Exec(manager, alloc_id, "sh", "-c", "echo ready; exec sleep 1000")
    session.wait_output(b"ready\n")
    manager.stop("job")
    assert session.finish()[0] == 128 + signal.SIGKILL


def test_a_manager_ends_in_order_under_a_command(manager, alloc):
    session = Exec(manager, alloc, "sleep", "1000")
    assert manager.terminate() == 0
    session.close()


# Against a hostile task


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_the_task_gets_no_hold_of_a_process_that_joins(manager, user):
    alloc_id = manager.run_one(simple(command=f"{os.path.dirname(PAYLOAD_IN_ROOT)}/cleat-hunter",
                                      User=user))  # fmt: skip
    manager.wait_running(alloc_id)
    wait_for(lambda: "hunting" in manager.output(alloc_id), "the hunter to begin")

    def seen():
        assert run(manager, alloc_id, "true")[0] == 0
        return manager.output(alloc_id).count("saw\n") >= 5

    wait_for(seen, "the hunter to be in time for five of them", timeout=40)
    assert set(manager.output(alloc_id).split("\n")) == {"hunting", "saw", ""}


def test_the_program_that_joins_is_a_sealed_copy(manager, alloc):
    """Else root in the task could have a command execute /proc/self/exe, and overwrite that."""
    session = Exec(manager, alloc, "/bin/sh", "-c", "echo up; sleep 1000")
    session.wait_output(b"up")
    (outer,) = [
        pid for pid in os.listdir("/proc")
        if pid.isdigit() and manager.process.pid == parent_of(pid) and "-control" in cmdline(pid)
    ]  # fmt: skip
    assert os.readlink(f"/proc/{outer}/exe").startswith("/memfd:")
    fd = os.open(f"/proc/{outer}/exe", os.O_RDONLY)
    F_GET_SEALS, WRITE = 1034, 8
    assert fcntl.fcntl(fd, F_GET_SEALS) & WRITE
    os.close(fd)
    script = manager.alloc_dir(alloc) / "t/local/again"
    script.write_text("#!/proc/self/exe -version\n")
    script.chmod(0o755)
    assert run(manager, alloc, "again")[1].startswith("cleat-executor ")
    session.close()


# Refusals, in plain HTTP


def refusal(manager, path):
    with pytest.raises(Refused) as refused:
        WebSocket(manager, path)
    return refused.value.status, refused.value.text


def test_refusals(manager, alloc):
    base = f"/v1/client/allocation/{alloc}/exec"
    command = "command=%5B%22true%22%5D"
    status, text = refusal(manager, f"/v1/client/allocation/{'0' * 36}/exec?task=t&{command}")
    assert status == 404 and "alloc not found" in text
    assert refusal(manager, f"{base}?{command}")[0] == 400
    assert refusal(manager, f"{base}?task=nope&{command}") == (400, 'unknown task name "nope"')
    for bad in ("", "command=", "command=true", "command=%5B%5D", "command=%5B1%5D",
                "command=%5B%22%22%5D", "command=%7B%7D"):  # fmt: skip
        status, text = refusal(manager, f"{base}?task=t&{bad}")
        assert status == 400 and "JSON array" in text, bad
    assert refusal(manager, f"{base}?task=t&tty=maybe&{command}")[0] == 400
    assert refusal(manager, "/v1/jobs")[0] == 405
    status, _, text = manager.request("GET", f"{base}?task=t&{command}")
    assert status == 400 and b"WebSocket" in text
    assert sh(manager, alloc, "echo still here")[1] == "still here\n"


def test_a_handshake_that_is_none_leaves_nothing(manager, alloc):
    path = f"/v1/client/allocation/{alloc}/exec?task=t&command=%5B%22sleep%22,%221000%22%5D"
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(20 * SLOW)
    sock.connect(str(manager.socket))
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                 f"Connection: Upgrade\r\n\r\n".encode())  # without a key
    assert sock.recv(1000) == b""
    sock.close()
    wait_for(lambda: not commands_of(manager, alloc), "the command to be killed")


def test_an_agent_that_does_not_allow_it(box):
    manager = box.manager(config="disable_remote_exec = true\n").start()
    alloc_id = manager.run_one(simple("pause"))
    manager.wait_running(alloc_id)
    with pytest.raises(Refused) as refused:
        Exec(manager, alloc_id, "true")
    assert refused.value.status == 403 and "disable_remote_exec" in refused.value.text


def test_a_task_that_does_not_run_is_refused(manager):
    alloc_id = manager.run_one(simple("print:done"))
    manager.wait_dead(alloc_id)
    with pytest.raises(Refused) as refused:
        Exec(manager, alloc_id, "true")
    assert (refused.value.status, refused.value.text) == (409, 'task "t" is not running')


@pytest.mark.parametrize("message", [b"no json", b"[]", b'{"stdin":{"data":7}}', b'{"stdin":7}',
                                     b'{"tty_size":{"height":-1}}'])  # fmt: skip
def test_messages_that_make_no_sense_end_it(manager, alloc, message):
    session = Exec(manager, alloc, "sleep", "1000")
    session.send_raw(message)
    assert session.finish()[0] is None
    assert session.closed_with == 1007
    wait_for(lambda: not commands_of(manager, alloc), "the command to be killed")


def test_a_message_without_end_is_cut_off(manager, alloc):
    session = Exec(manager, alloc, "sleep", "1000")
    try:
        for _ in range(40):
            session.send_raw(b" " * 60_000, final=False)
    except OSError as e:
        assert e.errno in (errno.EPIPE, errno.ECONNRESET)
    wait_for(lambda: not commands_of(manager, alloc), "the command to be killed")
    session.close()


def test_only_so_many_at_a_time(manager, alloc):
    sessions = [Exec(manager, alloc, "sleep", "1000") for _ in range(64)]
    with pytest.raises(Refused) as refused:
        Exec(manager, alloc, "true")
    assert refused.value.status == 429
    sessions.pop().close()
    wait_for(lambda: _starts(manager, alloc), "room for one more")
    for session in sessions:
        session.close()


def _starts(manager, alloc):
    try:
        return run(manager, alloc, "true")[0] == 0
    except Refused:
        return False
