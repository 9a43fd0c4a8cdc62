# SPDX-License-Identifier: MIT
"""cleat-executor run: what people give it, and what it tells them."""
import os
import signal
import subprocess
from pathlib import Path

import pytest

from harness import BUILD, SANITIZED, SLOW, wait_for, waiting

USER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def run(*arguments, wrapper=(), **options):
    return subprocess.run([*wrapper, BUILD / "bin/cleat-executor", "run", *arguments], text=True,
                          capture_output=True, timeout=60 * SLOW, **options)  # fmt: skip


@pytest.mark.parametrize("isolation", ["exec", "none"])
def test_want_of_memory_is_told(isolation):
    done = run("-isolation", isolation, "-memory", "20MiB", "--", "tail", "/dev/zero")
    assert done.returncode == 137
    assert done.stderr.endswith("Terminated: exit code 137, signal 9, out of memory\n")
    assert run("-isolation", isolation, "--", "/bin/sh", "-c", "kill -9 $$").stderr == ""


def test_a_memory_limit_that_nothing_could_start_with_is_refused():
    for words in (["1"], ["32", "MB"], ["1023KiB"]):
        done = run("-memory", *words, "--", "/bin/true")
        assert done.returncode == 125 and "less than 1MiB" in done.stderr
    assert run("-memory", "0", "--", "/bin/true").returncode == 0


def test_ends_are_told_where_restarts_may_follow():
    done = run("-restart", "1", "--", "/bin/sh", "-c", "exit 3")
    assert done.returncode == 3
    told = [line.split(": ", 1)[1] for line in done.stderr.splitlines()]
    assert told == [
        "Terminated: exit code 3, signal 0",
        "Restarting: within the restart policy",
        "Terminated: exit code 3, signal 0",
        "Not Restarting: the attempts of the restart policy are used up",
    ]
    assert run("--", "/bin/sh", "-c", "exit 3").stderr == ""


@pytest.mark.parametrize("wrapper", [[], USER])
@pytest.mark.parametrize("option", [["-root", "/nonexist"], ["-mount", "/tmp:/x"], ["-seccomp", "default"]])
def test_a_plain_process_is_not_taken_for_an_isolated_one(wrapper, option):
    words = ["-isolation", "none"] if not wrapper else []
    done = run(*words, *option, "--", "/bin/echo", "ran", wrapper=wrapper)
    assert (done.returncode, done.stdout) == (125, "")
    assert f"{option[0]} needs -isolation exec" in done.stderr


@pytest.fixture
def start():
    """Starts a run whose task says "ready" when it is."""
    made = []

    def start(*arguments, wrapper=()):
        made.append(subprocess.Popen([*wrapper, BUILD / "bin/cleat-executor", "run", *arguments],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True))  # fmt: skip
        return made[-1]

    yield start
    for one in made:
        one.terminate()  # SIGKILL would leave the directory its root is on
        one.communicate(timeout=60 * SLOW)


@pytest.mark.parametrize("user, ids", [
    ("65534", "65534 65534 65534"),
    ("nobody:daemon", "65534 1 1"),
    ("4711:12", "4711 12 12"),
    ("0:0", "0 0 0"),
])  # fmt: skip
def test_users_and_groups(user, ids):
    done = run("-user", user, "--", "/bin/sh", "-c", "echo $(id -u) $(id -g) $(id -G)")
    assert done.stdout.split() == ids.split(), done.stderr


@pytest.mark.parametrize("user, told", [
    ("4711", "add a group, as in 4711:4711"),
    ("nosuch", "not in /etc/passwd"),
    ("nobody:nosuch", 'group "nosuch" is not in /etc/group'),
    ("4294967295:0", "not in /etc/passwd"),
])  # fmt: skip
def test_users_that_are_not_there(user, told):
    done = run("-user", user, "--", "/bin/true")
    assert done.returncode == 125 and told in done.stderr


def test_the_last_value_of_a_variable_counts():
    done = run("-env", "A=1", "-env", "AB=3", "-env", "A=2", "-env", "PATH=/bin", "--", "/usr/bin/env")
    assert sorted(done.stdout.split()) == ["A=2", "AB=3", "PATH=/bin"]


@pytest.mark.parametrize("options, told", [
    (["-max-files", "3"], "-max-files needs -log-dir"),
    (["-compress", "gzip"], "-compress needs -log-dir"),
    (["-on-full", "block"], "-on-full needs -log-dir"),
    (["-log-dir", "/tmp", "-max-file-size", "1"], "less than 1KiB"),
    (["-log-dir", "/tmp", "-max-file-size", "1.5MiB"], "no size such as 512KiB"),
    (["-log-dir", "/tmp", "-max-log-size", "5MiB"], "-max-log-size is less than one file"),
    (["-log-dir", "/tmp", "-max-files", "0"], "-max-files: 0 keeps no log"),
    (["-log-dir", "/tmp", "-max-age", "1d"], "no duration such as 90s"),
    (["-log-dir", "/tmp", "-max-age", "10ms"], "less than 1s"),
    (["-log-dir", "/tmp", "-compress", "zstd"], "neither none nor gzip"),
    (["-log-dir", "/tmp", "-compress", "none", "-compress-after", "5s"], "needs -compress gzip"),
    (["-log-dir", "/tmp", "-on-full", "x"], "neither drop nor block"),
    (["-log-dir", "/tmp", "-name", "a/b"], 'cannot begin the name of a log file'),
    (["-log-dir", "/tmp", "-name", ".."], 'cannot begin the name of a log file'),
    (["-log-dir", "/nonexistent"], "write to -log-dir /nonexistent: No such file"),
    (["-log-dir", "/proc/1"], "write to -log-dir /proc/1"),
])  # fmt: skip
def test_log_options_that_cannot_work(options, told):
    done = run(*options, "--", "/bin/true")
    assert done.returncode == 125 and told in done.stderr


def test_a_log_directory_of_somebody_else(tmp_path):
    done = run("-log-dir", tmp_path, "--", "/bin/true", wrapper=USER)
    assert done.returncode == 125 and "Permission denied" in done.stderr


def test_two_runs_do_not_share_log_files(start, tmp_path):
    words = ["-log-dir", tmp_path, "-isolation", "none"]
    first = start(*words, "--", "/bin/sh", "-c", "echo ready; exec sleep 1000")
    wait_for(lambda: (tmp_path / "task.stdout.0").exists(), "the first to write")
    done = run(*words, "--", "/bin/true")
    assert done.returncode == 125 and "another run writes task.stdout.N" in done.stderr
    assert run(*words, "-name", "other", "--", "/bin/true").returncode == 0
    first.kill()
    first.wait()
    assert run(*words, "--", "/bin/true").returncode == 0
    assert not (tmp_path / ".task.lock").exists()


def test_log_files_that_another_user_may_write_are_not_touched(box):
    logs = box.dir / "logs"
    lock = logs / ".task.lock"
    words = ["-log-dir", logs, "--", "/bin/true"]
    logs.mkdir()
    os.chown(logs, 65534, 65534)
    lock.touch(0o644)
    done = run(*words, wrapper=USER)
    assert done.returncode == 125 and f"{lock} is another user's" in done.stderr
    assert lock.exists()
    lock.unlink()
    assert run(*words, wrapper=USER).returncode == 0


def test_log_files_of_a_killed_run_are_free_at_once(start, tmp_path):
    """Also while what was to become its task still has its descriptors."""
    words = ["-log-dir", tmp_path, "-isolation", "none", "--", "/bin/true"]
    trace = tmp_path / "trace"
    first = start(*words, wrapper=["strace", "-D", "-f", "-qq", "-o", trace, "-e", "trace=execve",
                                   "-e", "inject=execve:delay_enter=5000000"])  # fmt: skip
    wait_for(lambda: trace.exists() and 'execve("/bin/true"' in trace.read_text(), "the task to be at its exec")
    first.kill()
    first.wait()
    done = run(*words)
    assert done.returncode == 0, done.stderr


TRAP = "trap 'echo caught; exit 4' INT"


def start_shell(start, prepare, *options, wrapper=()):
    """A plain process that goes on for ever; its executor may still have to hear of its start."""
    script = f"{prepare}; echo ready; while :; do sleep 0.02; done"
    one = start("-isolation", "none", "-kill-timeout", "100ms", *options,
                "--", "/bin/sh", "-c", script, wrapper=wrapper)  # fmt: skip
    assert one.stdout.readline() == "ready\n"
    return one


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_that_comes_before_the_task(signo):
    """It is not lost, and what is started later has no signal blocked."""
    assert run("--", "/bin/sleep", "1000", preexec_fn=waiting(signo)).returncode == 137
    done = run("--", "/bin/grep", "SigBlk", "/proc/self/status")
    assert int(done.stdout.split()[1], 16) == 0


def test_a_hangup_stops_the_task(start):
    one = start_shell(start, TRAP)
    one.send_signal(signal.SIGHUP)
    assert one.wait(timeout=30) == 4 and one.stdout.read() == "caught\n"


def test_a_hangup_under_nohup_does_not(start):
    one = start_shell(start, "trap 'echo caught' INT; trap 'echo still here' USR1", wrapper=["nohup"])
    shell = int(Path(f"/proc/{one.pid}/task/{one.pid}/children").read_text())
    one.send_signal(signal.SIGHUP)
    wait_for(lambda: Path(f"/proc/{one.pid}/stat").read_text().split()[2] == "S", "it to idle")
    os.kill(shell, signal.SIGUSR1)
    assert one.stdout.readline() == "still here\n"


def test_a_second_interrupt_kills(start):
    one = start_shell(start, "trap 'echo caught' INT", "-kill-timeout", "1h")
    one.send_signal(signal.SIGINT)
    assert one.stdout.readline() == "caught\n"
    one.send_signal(signal.SIGTERM)
    one.send_signal(signal.SIGINT)
    assert one.wait(timeout=30) == 137


@pytest.mark.parametrize("cpus", ["4000", "a-b"])
def test_cpus_that_are_not_there(cpus):
    done = run("-cpus", cpus, "--", "/bin/true")
    assert done.returncode == 125 and f'CPUs "{cpus}" are not all among those there are' in done.stderr


def test_hints_are_those_of_run_and_are_not_cut():
    done = run("--", "/no/such/" + "long" * 40)
    assert "…" in done.stderr and "longlong: No such file" in done.stderr
    assert done.stderr.endswith("in its own root)\n") and "chroot_env" not in done.stderr
    done = run("-work-dir", "/no/such", "--", "/bin/true")
    assert done.stderr.endswith("(make the directory, or mend -work-dir)\n")


def test_the_first_process_of_an_isolated_task_has_a_name(start):
    one = start("--", "/bin/sh", "-c", "echo ready; exec sleep 1000")
    assert one.stdout.readline() == "ready\n"
    init = int(Path(f"/proc/{one.pid}/task/{one.pid}/children").read_text())
    wait_for(lambda: Path(f"/proc/{init}/comm").read_text() == "cleat-init\n", "its name")
    # ps(1) shows that name where there is no command line; sanitized builds keep the executor's.
    wait_for(lambda: bool(Path(f"/proc/{init}/cmdline").read_bytes()) == SANITIZED, "it to be shed")
