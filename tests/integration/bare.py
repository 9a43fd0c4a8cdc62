# SPDX-License-Identifier: MIT
"""An executor without any manager, driven over its files and pipes by code of our own."""
import os
import select
import struct
import subprocess
import time

import msgpack

import records
from harness import BUILD, PAYLOAD, process_gone, wait_for

HELLO, SIGNAL, STOP, RESTART, PING = range(5)
TERMS = 8
EVT_HELLO, EVT_STATUS = range(2)


class Executor:
    """One executor on a state directory below the box; it runs the payload as a plain process."""

    def __init__(self, box, *steps, **spec):
        self.box = box
        self.state_dir = box.dir / "state"
        self.task_dir = box.dir / "t"
        self.log_dir = box.dir / "logs"
        for path in (self.state_dir, self.task_dir, self.log_dir):
            path.mkdir(exist_ok=True)
        self.spec = {
            "alloc_id": box.token,
            "task": "t",
            "isolation": 0,
            "args": [str(PAYLOAD), *map(str, steps)],
            "env": ["A=1"],
            "task_dir": str(self.task_dir),
            "log_dir": str(self.log_dir),
            "uid": 0,
            "gid": 0,
            "groups": [],
            "set_user": False,
            "binds": [],
            "private_pid": False,
            "private_ipc": False,
            "no_new_privs": False,
            "cgroup": {"v2_controllers": False},
            "cpu_shares": 0,
            "memory_bytes": 0,
            "restart": {"attempts": 0, "interval_ns": 10**11, "delay_ns": 0, "mode": 0,
                        "on_success": False},
            "kill_signal": 2,
            "kill_timeout_ns": 2 * 10**9,
            "shutdown_delay_ns": 0,
            "logs": {"max_files": 10, "max_file_size": 1 << 20, "disabled": False},
            **spec,
        }  # fmt: skip
        self.process = None

    def write_spec(self):
        records.write_statefile(self.state_dir / "spec", msgpack.packb(self.spec))

    def start(self, **options):
        self.write_spec()
        self.process = self.spawn(**options)
        return self

    def spawn(self, order=None, **options):
        env = {**self.box.env, **({"CLEAT_ORDER": order} if order else {})}
        return subprocess.Popen(
            [BUILD / "bin/cleat-executor", "supervise", self.state_dir],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env, **options,
        )  # fmt: skip

    def end(self):
        """Waits for the executor's own end; returns (its exit code, the last record)."""
        code = self.process.wait(timeout=40)
        return code, self.status()

    def status(self):
        return records.read_status(self.state_dir / "status")

    def wait_pid(self):
        return wait_for(lambda: self.has_status() and self.status()["pid"], "the task to run")

    def has_status(self):
        path = self.state_dir / "status"
        try:
            return path.exists() and bool(records.read_status(path))
        except records.Damaged:
            return False

    def command(self, kind, **fields):
        self.send(wait_for(self.open_control, "the executor's control pipe"), kind, **fields)

    def send(self, fd, kind, **fields):
        payload = msgpack.packb({"type": kind, **fields})
        os.write(fd, struct.pack("<I", len(payload)) + payload)
        os.close(fd)

    def open_control(self):
        try:
            return os.open(self.state_dir / "ctl", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # not made yet, or not open for reading yet
            return None

    def output(self):
        """What is in the segments of stdout, in their order."""
        paths = sorted(self.log_dir.glob("t.stdout.*"), key=lambda p: int(p.suffix[1:]))
        return b"".join(p.read_bytes() for p in paths).decode()

    def stop(self):
        """For clean-up: by force, whatever state it is in."""
        if self.process and self.process.poll() is None:
            pid = self.status()["pid"] if self.has_status() else 0
            self.process.kill()
            self.process.wait()
            if pid:
                wait_for(lambda: process_gone(pid), "the task to die with its executor")


class Events:
    """The manager's end of an executor's event pipe."""

    def __init__(self, executor):
        self.executor = executor
        os.close(wait_for(executor.open_control, "the executor's pipes"))
        self.fd = os.open(executor.state_dir / "evt", os.O_RDONLY | os.O_NONBLOCK)
        self.data = b""
        executor.command(HELLO, version=1)

    def next(self, timeout=20):
        """The next message, or None when none came in time or nobody writes any more."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if len(self.data) >= 4:
                (size,) = struct.unpack("<I", self.data[:4])
                if len(self.data) >= 4 + size:
                    message = msgpack.unpackb(self.data[4:4 + size], raw=False)
                    self.data = self.data[4 + size:]
                    return message
            select.select([self.fd], [], [], timeout)
            try:
                piece = os.read(self.fd, 65536)
            except BlockingIOError:
                continue
            if not piece and self.executor.process.poll() is not None:
                return None
            self.data += piece  # empty: the executor is about to open its end
        return None

    def close(self):
        os.close(self.fd)
