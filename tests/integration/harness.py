# SPDX-License-Identifier: MIT
"""A manager under test, in a directory of its own, and how to talk to it."""
import contextlib
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import leftovers

TOP = Path(__file__).resolve().parents[2]
BUILD = (TOP / os.environ.get("CLEAT_BUILD", "build")).resolve()
PAYLOAD = BUILD / "payload/cleat-payload"  # as the host and raw_exec see it
PAYLOAD_IN_ROOT = "/payload/cleat-payload"  # as exec tasks see it
SANITIZED = "asan" in BUILD.name
SLOW = int(os.environ.get("CLEAT_SLOW", 4 if SANITIZED else 1))  # factor for every limit of time
SOAK = "CLEAT_SOAK" in os.environ  # tools/bench/soak: the full size of tests that have a small one
SANITIZER_OPTIONS = ("ASAN_OPTIONS", "UBSAN_OPTIONS")
DEFAULT_CHROOT = (
    "/bin /etc /lib /lib32 /lib64 /run/resolvconf /run/systemd/resolve /sbin /usr".split()
)

# Puts a command on a host without cgroup v2, by hiding it.
HIDE_CGROUP2 = [
    "unshare", "-m", "--propagation", "private", "sh", "-c",
    'for m in $(awk \'/ - cgroup2 / {print $5}\' /proc/self/mountinfo); do umount "$m"; done; exec "$@"',
    "sh",
]  # fmt: skip

# Puts a command where there is no inotify instance, or watch, to be had.
WITHOUT_INOTIFY = [sys.executable, Path(__file__).with_name("without_inotify.py")]


def has_v1():
    return any(root.name == "freezer" for root in leftovers.cgroup_roots())


def waiting(signo):
    """For preexec_fn: a program that finds this signal waiting for it, as one that comes right at its start does."""

    def send():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signo})
        signal.raise_signal(signo)

    return send


def wait_for(condition, what, timeout=20):
    """Polls until condition() is true, and returns its value. For what has no event to wait for."""
    deadline = time.monotonic() + timeout * SLOW
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout * SLOW} s in vain for {what}"
        select.select([], [], [], 0.01)


def pass_gate(fifo):
    """Lets the task go on that waits, or is going to wait, for the end of what it reads from this FIFO. (One that
    went on after a byte could come to its next gate before this end is closed, and find that open, too.)"""

    def reader_is_there():
        with contextlib.suppress(OSError):
            return [os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)]

    os.close(wait_for(reader_is_there, "the task to come to its gate", 60)[0])


def process_gone(pid):
    """True when the process has ended (a zombie has)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def switches(pid):
    """How often the process has gone to sleep."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def sleeps_on(pid):
    """Whether nothing wakes the process for longer than what it does after an answer or a line takes:
    it gives memory back two seconds later."""
    before = switches(pid)
    select.select([], [], [], 2.5)  # the time that is measured
    return switches(pid) == before


class ApiError(Exception):
    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def free_port():
    """On loopback; two runs of the tests on one machine do not meet."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Manager:
    """One data directory and the manager processes that serve it, one after the other."""

    def __init__(self, box, name="m", config="", args=(), raw_exec=True, chroot_env=None, exec_plugin="",
                 user=None):
        self.box = box
        self.dir = box.dir / name
        self.dir.mkdir()
        self.programs = BUILD / "bin"
        self.payload = PAYLOAD
        self.as_user = []
        if user:
            self._belong_to(user)
        self.data_dir = self.dir / "data"
        self.socket = self.dir / "sock"
        self.log_path = self.dir / "manager.log"
        self.config_path = self.dir / "agent.hcl"
        # What root in a task can do is tested with the driver exec, which Nomad keeps root from;
        # earlier releases do not, and do not know the option.
        self.users_path = self.dir / "users.hcl"
        self.users_path.write_text('client {\n  options {\n    "user.denylist" = ""\n  }\n}\n')
        self.args = list(args)
        self.process = None
        chroot = chroot_env or {d: d for d in DEFAULT_CHROOT}
        chroot[str(self.payload.parent)] = str(Path(PAYLOAD_IN_ROOT).parent)
        binds = "\n".join(f'    "{source}" = "{target}"' for source, target in chroot.items())
        self.config_path.write_text(
            f'data_dir = "{self.data_dir}"\nexecutor = "{self.executor()}"\n'
            f'plugin "raw_exec" {{\n  config {{\n    enabled = {str(raw_exec).lower()}\n  }}\n}}\n'
            f'plugin "exec" {{\n  config {{\n{exec_plugin}\n  }}\n}}\n'
            f'client {{\n  cgroup_parent = "{box.token}"\n  chroot_env {{\n{binds}\n  }}\n{config}}}\n'
        )

    def _belong_to(self, user):
        """To an ordinary user, who may not be able to reach the build: gets programs of its own."""
        self.programs = self.dir / "bin"
        self.payload = self.dir / "payload" / PAYLOAD.name
        shutil.copytree(BUILD / "bin", self.programs)
        self.payload.parent.mkdir()
        shutil.copy(PAYLOAD, self.payload)
        shutil.chown(self.dir, user)
        self.box.dir.chmod(0o1777)  # for sanitizers' reports
        self.as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"]

    def executor(self):
        """The executor to configure. A manager gives it no environment, sanitizers want theirs."""
        program = self.programs / "cleat-executor"
        if not SANITIZED:
            return program
        script = self.dir / "executor"
        options = "\n".join(f"export {k}='{self.box.env[k]}'" for k in SANITIZER_OPTIONS)
        script.write_text(f'#!/bin/sh\n{options}\nexec {program} "$@"\n')
        script.chmod(0o755)
        return script

    def wrap_executor(self, script):
        """What of sh(1) each executor runs first, with its arguments; before the start."""
        program, path = self.executor(), self.box.dir / "executor"
        path.write_text(f'#!/bin/sh\n{script}\nexec {program} "$@"\n')
        path.chmod(0o755)
        self.config_path.write_text(self.config_path.read_text().replace(f'"{program}"', f'"{path}"'))

    # The process

    def command(self):
        return [
            *self.as_user, str(self.programs / "cleat-manager"),
            "-config", str(self.users_path), "-config", str(self.config_path),
            "-address", f"unix://{self.socket}", *self.args,
        ]  # fmt: skip

    def spawn(self, wrapper=()):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, *self.command()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.box.env,
            )  # fmt: skip

    def start(self, wrapper=()):
        """Starts the manager and waits until it answers."""
        self.spawn(wrapper)
        wait_for(self.answers, f"the manager to answer; its log:\n{self.log()}")
        return self

    def answers(self):
        assert self.process.poll() is None, f"manager ended:\n{self.log()}"
        return self.responds()

    def responds(self):
        """True when some process answers, whoever started it."""
        try:
            return self.get("/v1/agent/health") is not None
        except (ConnectionError, FileNotFoundError):
            return False

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def terminate(self):
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=20 * SLOW)

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    # The API and the command line

    def request(self, method, path, body=None, timeout=30):
        """Returns (status, headers, bytes)."""
        connection = UnixConnection(self.socket, timeout * SLOW)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, body=data)
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            connection.close()

    def stream(self, path, timeout=30):
        """An open reply, to be read as it comes; the caller closes it."""
        connection = UnixConnection(self.socket, timeout * SLOW)
        connection.request("GET", path)
        return connection.getresponse()

    def call(self, method, path, body=None):
        status, headers, data = self.request(method, path, body)
        if status >= 400:
            raise ApiError(status, data.decode(errors="replace"))
        return json.loads(data) if "json" in headers.get("Content-Type", "") else data

    def get(self, path):
        return self.call("GET", path)

    def cli(self, *args, check=True, stdin=None, timeout=60, address=True):
        """Runs cleat and returns the finished process; its output is text."""
        env = dict(self.box.env)
        if address:
            env["CLEAT_ADDR"] = f"unix://{self.socket}"
        done = subprocess.run(
            [*self.as_user, str(self.programs / "cleat"), *map(str, args)],
            input=stdin, capture_output=True, text=True, env=env, timeout=timeout * SLOW,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{done.args}: {done.returncode}\n{done.stderr}"
        return done

    # Jobs, allocations, tasks

    def run(self, job):
        """Registers a job; returns the ids of its allocations, by name."""
        self.call("PUT", "/v1/jobs", {"Job": job})
        allocs = self.get(f"/v1/job/{job['ID']}/allocations")
        live = [a for a in allocs if a["DesiredStatus"] == "run"]
        return [a["ID"] for a in sorted(live, key=lambda a: a["Name"])]

    def run_one(self, job):
        (alloc_id,) = self.run(job)
        return alloc_id

    def stop(self, job_id):
        self.call("DELETE", f"/v1/job/{job_id}")

    def alloc(self, alloc_id):
        return self.get(f"/v1/allocation/{alloc_id}")

    def task(self, alloc_id, name="t"):
        return (self.alloc(alloc_id).get("TaskStates") or {}).get(name) or {}

    def wait_client(self, alloc_id, *statuses, timeout=20):
        """Waits for a ClientStatus; returns the allocation."""
        last = {}

        def reached():
            last.update(self.alloc(alloc_id))
            return last["ClientStatus"] in statuses

        try:
            wait_for(reached, f"allocation {alloc_id} to be {' or '.join(statuses)}", timeout)
        except AssertionError as e:
            raise AssertionError(f"{e}: {json.dumps(last, indent=1)}\n{self.log()}") from None
        return last

    def wait_running(self, alloc_id, name="t"):
        """Waits until the task has a pid; returns it."""
        return wait_for(
            lambda: (s := self.task(alloc_id, name)).get("State") == "running" and s.get("Pid"),
            f"task {name} of {alloc_id} to run\n{self.log()}",
        )

    def wait_dead(self, alloc_id, name="t", timeout=20):
        """Waits until the task is dead; returns its state."""

        def dead():
            state = self.task(alloc_id, name)
            return state if state.get("State") == "dead" else None

        return wait_for(dead, f"task {name} of {alloc_id} to be dead", timeout)

    def wait_event(self, alloc_id, kind, name="t", count=1, timeout=20):
        """Waits for the count-th event of that type; returns it."""

        def seen():
            events = [e for e in self.task(alloc_id, name).get("Events", []) if e["Type"] == kind]
            return events[count - 1] if len(events) >= count else None

        return wait_for(seen, f"event {count} of {kind} of {name} of {alloc_id}", timeout)

    def alloc_dir(self, alloc_id):
        return self.data_dir / "allocs" / alloc_id

    def segments(self, alloc_id, name="t", stream="stdout"):
        """The log segments on disk, oldest first."""
        prefix = f"{name}.{stream}."
        found = [
            p for p in (self.alloc_dir(alloc_id) / "alloc/logs").glob(prefix + "*")
            if p.name[len(prefix):].isdigit()
        ]  # fmt: skip
        return sorted(found, key=lambda p: int(p.name[len(prefix):]))

    def output(self, alloc_id, name="t", stream="stdout"):
        """All of the task's output that is on disk, read without any help of the manager."""
        return b"".join(p.read_bytes() for p in self.segments(alloc_id, name, stream)).decode()

    def run_to_end(self, job):
        """Runs a job of one task named t to its end; returns (output, task state)."""
        alloc_id = self.run_one(job)
        state = self.wait_dead(alloc_id)
        return self.output(alloc_id), state

    def stop_all(self):
        """Stops every task, then the manager."""
        if not self.alive():
            self.start()
        self.call("PUT", "/v1/system/stop-all")
        self.terminate()


# What the leak check, which is the last act of a process, says when that is killed meanwhile: this, or
# nothing in a file that it has just made.
KILLED_AT_EXIT = re.compile(r"(==\d+==Unable to get registers from thread \d+\.\n)*")


class Box:
    """A test's directory under /tmp and everything started in it."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="cleat-test-", dir="/tmp"))
        self.dir.chmod(0o755)  # tasks run as nobody
        self.token = self.dir.name
        self.managers = []
        report = f"log_path={self.dir}/sanitizer:print_stacktrace=1"
        self.env = {**os.environ, **{name: report for name in SANITIZER_OPTIONS}}
        self.env.pop("CLEAT_ADDR", None)

    def expect_continue(self):
        """For processes that get SIGCONT when they end. The leak check, which is the last act of a process, has it
        stopped by a tracer; a SIGCONT just then takes the stop away, and both wait for ever."""
        self.env["ASAN_OPTIONS"] += ":detect_leaks=0"

    def manager(self, *args, **options):
        manager = Manager(self, *args, **options)
        self.managers.append(manager)
        return manager

    def close(self):
        """Stops everything, removes what is left by force, and fails if anything was left."""
        problems = []
        for manager in self.managers:
            if manager.process is None:
                continue
            try:
                manager.stop_all()
            except Exception as e:  # the clean-up below is still due
                problems.append(f"stopping the manager: {e}\n{manager.log()}")
                if manager.alive():
                    manager.kill9()
        try:
            wait_for(lambda: not leftovers.find(self.token), "nothing to be left", timeout=5)
        except AssertionError:
            problems += leftovers.find(self.token)
        reports = [p.read_text() for p in self.dir.glob("sanitizer.*")]
        problems += [text for text in reports if not KILLED_AT_EXIT.fullmatch(text)]
        leftovers.remove(self.token, wait_for)
        shutil.rmtree(self.dir)
        assert not problems, "left behind:\n" + "\n".join(problems)


def kill_hard(pid):
    """SIGKILL to a process of the test, then waits until it is gone."""
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: process_gone(pid), f"process {pid} to be gone")
