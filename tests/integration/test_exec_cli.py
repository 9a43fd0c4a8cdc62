# SPDX-License-Identifier: MIT
"""cleat alloc exec."""
import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import termios

import pytest

from harness import BUILD, SLOW, free_port, process_gone, wait_for
from jobs import group, job, simple, task
from test_exec import alloc, commands_of  # noqa: F401 (alloc is a fixture)


def test_exit_code_output_and_input(manager, alloc):
    done = manager.cli("alloc", "exec", alloc[:8], "sh", "-c", "cat; echo err >&2; exit 9",
                       stdin="in\n", check=False)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (9, "in\n", "err\n")
    assert manager.cli("exec", alloc, "sh", "-c", "kill $$", check=False).returncode == 143


def test_what_follows_the_command_is_the_commands(manager, alloc):
    done = manager.cli("alloc", "exec", alloc, "echo", "-n", "-task", "x", "", "-h")
    assert done.stdout == "-task x  -h"


def test_without_stdin(manager, alloc):
    assert manager.cli("alloc", "exec", "-i=false", alloc, "cat", stdin="ignored").stdout == ""


def test_of_several_tasks_one_is_named(manager):
    (alloc_id,) = manager.run(job(group(task("pause", name="a"), task("pause", name="b"))))
    manager.wait_running(alloc_id, "a")
    manager.wait_running(alloc_id, "b")
    done = manager.cli("alloc", "exec", alloc_id, "true", check=False)
    assert done.returncode == 2 and "several tasks" in done.stderr
    done = manager.cli("alloc", "exec", "-task", "b", alloc_id, "printenv", "NOMAD_TASK_NAME")
    assert done.stdout == "b\n"
    done = manager.cli("alloc", "exec", "-task", "c", alloc_id, "true", check=False)
    assert done.returncode == 4


def test_failures_say_why(manager, alloc):
    done = manager.cli("alloc", "exec", alloc, "no-such-program", check=False)
    assert done.returncode == 127 and "no-such-program" in done.stderr
    done = manager.cli("alloc", "exec", alloc, check=False)
    assert done.returncode == 2 and "COMMAND" in done.stderr
    done = manager.cli("alloc", "exec", "-t", "-i=false", alloc, "true", check=False)
    assert done.returncode == 2
    manager.stop("job")
    manager.wait_dead(alloc)
    done = manager.cli("alloc", "exec", alloc, "true", check=False)
    assert done.returncode == 1 and done.stderr == 'cleat: task "t" is not running\n'
    manager.terminate()
    assert manager.cli("alloc", "exec", alloc, "true", check=False).returncode == 3
    manager.start()


def test_json_prints_the_messages(manager, alloc):
    done = manager.cli("alloc", "exec", "-json", "-i=false", alloc, "echo", "hi")
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"stdout": {"data": "aGkK"}} in messages
    assert messages[-1] == {"exited": True, "result": {"exit_code": 0}}


def test_much_data(manager, alloc):
    data = "0123456789abcdef" * (1 << 18)  # 4 MiB
    assert manager.cli("alloc", "exec", alloc, "cat", stdin=data).stdout == data


def test_a_closed_output_ends_it(manager, alloc):
    script = f"{BUILD}/bin/cleat -address unix://{manager.socket} exec {alloc} yes | head -1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20 * SLOW,
                          env=manager.box.env, stdin=subprocess.DEVNULL)  # fmt: skip
    assert done.stdout == "y\n"
    wait_for(lambda: not commands_of(manager, alloc), "the command to be killed")


def test_over_tcp(box):
    base = f"http://127.0.0.1:{free_port()}"
    manager = box.manager(args=["-address", base]).start()
    alloc_id = manager.run_one(simple("pause"))
    manager.wait_running(alloc_id)
    for address in (base, f"{base}/"):
        done = manager.cli("-address", address, "exec", alloc_id, "echo", "hi")
        assert done.stdout == "hi\n"


class Terminal:
    """cleat on a terminal of its own, which controls it."""

    def __init__(self, manager, *args):
        self.master, slave = os.openpty()
        self.resize(24, 80)
        self.before = termios.tcgetattr(slave)
        self.slave = slave

        def adopt():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [BUILD / "bin/cleat", "-address", f"unix://{manager.socket}", *args],
            stdin=slave, stdout=slave, stderr=slave, preexec_fn=adopt, env=manager.box.env,
        )  # fmt: skip
        self.seen = b""

    def resize(self, height, width):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def type(self, text):
        os.write(self.master, text)

    def wait_for(self, text):
        def seen():
            if select.select([self.master], [], [], 0)[0]:
                self.seen += os.read(self.master, 65536)
            return text in self.seen

        wait_for(seen, f"{text} on the terminal")

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def end(self):
        code = self.process.wait(timeout=20 * SLOW)
        restored = termios.tcgetattr(self.slave) == self.before
        os.close(self.master)
        os.close(self.slave)
        return code, restored


def test_a_terminal_is_passed_on_and_given_back(manager, alloc):
    terminal = Terminal(manager, "exec", alloc, "sh")
    terminal.wait_for(b"$ ")
    assert terminal.is_raw()
    terminal.type(b"stty size; test -t 0 && echo tty-$((1 + 1))\r")
    terminal.wait_for(b"24 80")
    terminal.wait_for(b"tty-2")
    terminal.resize(50, 132)
    terminal.type(b"until stty size | grep '50 132'; do :; done\r")
    terminal.wait_for(b"50 132\r\n")
    terminal.type(b"sh -c 'echo sleeping; exec sleep 1000'\r")
    terminal.wait_for(b"sleeping\r\n")
    terminal.type(b"\x03")
    terminal.wait_for(b"^C")
    terminal.type(b"echo caught-$?\r")
    terminal.wait_for(b"caught-130")
    terminal.type(b"exit 6\r")
    assert terminal.end() == (6, True)


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_the_terminal_is_given_back_after_a_signal(manager, alloc, signo):
    terminal = Terminal(manager, "exec", alloc, "sh")
    terminal.wait_for(b"$ ")
    assert terminal.is_raw()
    terminal.process.send_signal(signo)
    assert terminal.end() == (-signo, True)
    wait_for(lambda: not commands_of(manager, alloc), "the command to be killed")


def test_the_terminal_is_given_back_when_the_manager_dies(manager, alloc):
    terminal = Terminal(manager, "exec", alloc, "sh")
    terminal.wait_for(b"$ ")
    manager.kill9()
    assert terminal.end() == (3, True)
    manager.start()


def test_no_terminal_for_those_who_do_not_want_one(manager, alloc):
    terminal = Terminal(manager, "exec", "-t=false", alloc, "sh", "-c", "test -t 0; echo is-$?")
    terminal.wait_for(b"is-1")
    assert terminal.end() == (0, True)
