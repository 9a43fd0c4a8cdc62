# SPDX-License-Identifier: MIT
"""cleat-executor run: what people give it, and what it tells them."""
import subprocess

import pytest

from harness import BUILD, SLOW

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
