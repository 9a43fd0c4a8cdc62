# SPDX-License-Identifier: MIT
"""Logs that cannot be written, and finished ones: what a task notices of it, what is lost, what is told."""
import errno
import gzip
import os
import re
import resource
import select
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from bare import STOP
from harness import BUILD, PAYLOAD, pass_gate, process_gone, sleeps_on, switches, wait_for
from jobs import simple
from test_upgrade import UPGRADE_FAILED, upgrade

LOST, BLOCKED = 10, 22
DROP, BLOCK = 0, 1
MIB = 1 << 20


@contextmanager
def mounted(one, *arguments):
    """The log directory of an executor is another file system; the executor ends before that goes."""
    subprocess.run(["mount", *arguments, one.log_dir], check=True)
    try:
        yield
    finally:
        one.stop()
        subprocess.run(["umount", one.log_dir], check=True)


def remount(path, options):
    subprocess.run(["mount", "-o", f"remount,{options}", path], check=True)


@contextmanager
def small_disk(one, mib, options="defaults"):
    """A real file system with room for so much, on a loop device."""
    image = one.box.dir / "disk"
    image.write_bytes(b"")
    os.truncate(image, mib * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    with mounted(one, "-o", f"loop,{options}", image):
        yield


def fill(path):
    """Takes all the room there is; returns the file that has it."""
    ballast = path / "ballast"
    with open(ballast, "wb", buffering=0) as f, pytest.raises(OSError):
        while True:
            f.write(bytes(4096))
    return ballast


def messages(one, *kinds):
    return [e["message"] for e in one.status()["events"] if e["type"] in kinds]


def numbers(text):
    return [int(re.match(r"\d+", line)[0]) for line in text.splitlines()]


def output(one, name="t.stdout"):
    """What the segments hold, compressed or not."""
    pieces = {}
    for path in one.log_dir.iterdir():
        found = re.fullmatch(re.escape(name) + r"\.(\d+)(\.gz)?", path.name)
        if found:
            data = gzip.decompress(path.read_bytes()) if found[2] else path.read_bytes()
            assert pieces.setdefault(int(found[1]), data) == data  # in both forms: the same
    return b"".join(pieces[n] for n in sorted(pieces)).decode()


@contextmanager
def follower(one, shown):
    """A reader that is there all the time; what it says goes to the files shown[0] and shown[1]."""
    with open(shown[0], "wb") as out, open(shown[1], "wb") as told, subprocess.Popen(
        [BUILD / "bin/cleat", "logcat", "-f", one.log_dir, "t"], stdout=out, stderr=told
    ) as reader:
        try:
            yield
        finally:
            reader.kill()


@pytest.mark.parametrize("on_full", [DROP, BLOCK], ids=["drop", "block"])
def test_a_full_disk(executor, box, on_full):
    """The task is left alone; what is there, and what is said to be lost, is all it wrote, in order."""
    lines, width, later = 80000, 100, 250  # the latter for longer than two tries are apart
    one = executor()
    go = box.dir / "go"
    os.mkfifo(go)
    one.spec["args"] = ["/bin/sh", "-c", f"{PAYLOAD} lines:2000:0:100; cat {go}; "
                        f"{PAYLOAD} lines:{lines}:0:{width}; cat {go}; "
                        f"{PAYLOAD} lines:{later}:10:{width}; exit 3"]  # fmt: skip
    one.spec["logs"].update(on_full=on_full, max_files=1000)
    followed = [box.dir / "followed", box.dir / "told"]
    with small_disk(one, 16), follower(one, followed):
        one.start()
        pid = one.wait_pid()
        wait_for(lambda: followed[0].stat().st_size >= 2000 * width, "the first lines")
        ballast = fill(one.log_dir)
        pass_gate(go)
        wait_for(lambda: messages(one, LOST, BLOCKED), "the full disk to be told")
        assert "No space left" in messages(one, LOST, BLOCKED)[0]
        assert not process_gone(pid)
        ballast.unlink()
        if on_full == BLOCK:
            wait_for(lambda: "nothing was lost" in messages(one, BLOCKED)[-1], "the end of it")
        pass_gate(go)
        code, status = one.end()
        assert (code, status["exit_code"]) == (0, 3)
        segments = sorted(one.log_dir.glob("t.stdout.*"), key=lambda p: int(p.suffix[1:]))
        size = sum(p.stat().st_size for p in segments)
        assert size + status["log_lost_bytes"] == (2000 + lines + later) * width
        if on_full == BLOCK:
            assert status["log_lost_bytes"] == 0
            assert numbers(one.output()) == [*range(2000), *range(lines), *range(later)]
        else:
            said = re.search(r"(\d+) bytes were lost from (\S+Z) to (\S+Z)", messages(one, LOST)[-1])
            assert said and said[2] <= said[3]
            assert said[0] in (one.task_dir / "executor.out").read_text()
            shown = subprocess.run([BUILD / "bin/cleat", "logcat", one.log_dir, "t"],
                                   capture_output=True, text=True, check=True)  # fmt: skip
            shown_lines = shown.stdout.splitlines()
            assert shown_lines[-1].startswith(str(later - 1))
            torn = [i for i, line in enumerate(shown_lines) if len(line) != width - 1]
            # Two never make one: a line that was cut is shown so, and why.
            assert all(len(shown_lines[i]) < width - 1 for i in torn)
            assert len(torn) <= 1  # none where the last byte with room ended a line
            assert shown.stderr.count("is missing here") == 1
            wait_for(lambda: followed[0].stat().st_size >= len(shown.stdout), "the follower")
            assert [path.read_text() for path in followed] == [shown.stdout, shown.stderr]


@contextmanager
def traced(pid, *options):
    """The process is under strace, where each system call costs it two switches."""
    tracer = subprocess.Popen(["strace", "-o", "/dev/null", *options, "-p", str(pid)],
                              stderr=subprocess.PIPE, text=True)  # fmt: skip
    try:
        while "attached" not in tracer.stderr.readline():
            assert tracer.poll() is None
        yield
    finally:
        tracer.terminate()
        tracer.communicate()


def does_not_spin(pid):
    """For traced processes whose task prints a line each 20 ms, which needs a few system calls."""
    before = switches(pid)
    select.select([], [], [], 1)  # the time that is measured
    return switches(pid) - before < 600


def check_missing(one, width):
    """What is not in the segments of a task that was stopped is what is said to be lost."""
    one.command(STOP)
    _, status = one.end()
    seen = numbers(one.output())
    missing = seen[-1] + 1 - len(seen)
    assert seen == sorted(set(seen)) and status["log_lost_bytes"] == missing * width
    return missing


@pytest.mark.parametrize("on_full", [DROP, BLOCK], ids=["drop", "block"])
@pytest.mark.parametrize("error", ["EIO", "EDQUOT"])
def test_writes_that_fail(executor, error, on_full):
    """A disk that breaks, a quota that is used up. (Root has no quota, so it is made up.)"""
    one = executor("ignore:INT", "ignore:TERM", "lines:0:20:100", kill_timeout_ns=10**7)
    one.spec["logs"].update(on_full=on_full)
    one.start()
    pid = one.wait_pid()
    wait_for(lambda: one.output(), "the first lines")
    fault = ("-e", f"inject=write:error={error}", "-P", one.log_dir / "t.stdout.0")
    with traced(one.process.pid, *fault):
        told = wait_for(lambda: messages(one, LOST, BLOCKED), "the fault to be told")
        assert os.strerror(getattr(errno, error)) in told[0]
        assert told[0] in (one.task_dir / "executor.out").read_text()
        assert does_not_spin(one.process.pid)
        assert (one.status()["log_lost_bytes"] > 0) == (on_full == DROP)
    end = "is written again; " + (r"\d+ bytes were lost" if on_full == DROP else "nothing was lost")
    wait_for(lambda: re.search(end, messages(one, LOST, BLOCKED)[-1]), "the end of it to be told")
    assert not process_gone(pid) and one.status()["restarts"] == 0
    assert (check_missing(one, 100) > 0) == (on_full == DROP)


def test_a_disk_that_turns_read_only(executor, box):
    """As ext4 does after an error, under the open segment; and another one in its place."""
    one = executor("ignore:INT", "lines:0:20:100", kill_timeout_ns=10**7)
    with small_disk(one, 16, "errors=remount-ro"):
        one.start()
        pid = one.wait_pid()
        wait_for(lambda: one.output(), "the first lines")
        number = one.log_dir.stat().st_dev
        device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve().name
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1")
        wait_for(lambda: messages(one, LOST), "the fault to be told")
        assert "Read-only" in messages(one, LOST)[0]
        with traced(one.process.pid):
            assert does_not_spin(one.process.pid)
        before = one.output()
        with mounted(one, "-t", "tmpfs", "tmpfs"):
            wait_for(lambda: "is written again" in messages(one, LOST)[-1], "the end of it to be told")
            wait_for(lambda: one.output(), "lines on the other disk")
            assert not process_gone(pid)
            one.command(STOP)
            _, status = one.end()
            seen = numbers(before) + numbers(one.output())
            missing = seen[-1] + 1 - len(seen)
            assert seen == sorted(set(seen)) and status["log_lost_bytes"] == missing * 100 > 0


def test_a_read_only_disk(executor, box):
    """With on_full = "block" the task waits, over its own restart, and nothing is missing afterwards."""
    flag = box.dir / "flag"
    one = executor("print:attempt", f"once:{flag}:1", "pause")
    one.spec["logs"].update(on_full=BLOCK)
    one.spec["restart"].update(attempts=1)
    with mounted(one, "-t", "tmpfs", "-o", "ro", "tmpfs"):
        one.start()
        wait_for(lambda: one.has_status() and one.status()["restarts"] == 1 and one.status()["pid"],
                 "the second attempt")  # fmt: skip
        assert "Read-only" in messages(one, BLOCKED)[0]
        upgrade(one)  # what is held goes along
        remount(one.log_dir, "rw")
        wait_for(lambda: one.output() == "attempt\nattempt\n", "what was held")
        wait_for(lambda: "nothing was lost" in messages(one, BLOCKED)[-1], "the end of it to be told")
        assert one.status()["log_lost_bytes"] == 0


def test_a_refused_upgrade_holds_on(executor):
    one = executor("print:held", "pause")
    one.spec["logs"].update(on_full=BLOCK)
    with mounted(one, "-t", "tmpfs", "-o", "ro", "tmpfs"):
        one.start()
        wait_for(lambda: one.has_status() and messages(one, BLOCKED), "the output to be held")
        upgrade(one, "/bin/false", UPGRADE_FAILED)
        remount(one.log_dir, "rw")
        wait_for(lambda: one.output() == "held\n", "what was held")


def test_a_task_that_ends_while_nothing_can_be_written(executor):
    one = executor("print:a", "print:b", "exit:4")
    one.spec["logs"].update(on_full=BLOCK)
    with mounted(one, "-t", "tmpfs", "-o", "ro", "tmpfs"):
        _, status = one.start().end()
        assert (status["exit_code"], status["log_lost_bytes"]) == (4, 4)
        assert "4 bytes were lost" in messages(one, LOST)[-1]


def test_the_directory_is_removed_and_made_again(executor):
    one = executor("lines:0:20").start()
    pid = one.wait_pid()
    wait_for(lambda: one.output(), "the first lines")
    shutil.rmtree(one.log_dir)
    wait_for(lambda: one.status()["log_lost_bytes"], "the loss")
    assert "No such file" in messages(one, LOST)[0]
    one.log_dir.mkdir()
    wait_for(lambda: one.output(), "lines in the new one")
    seen = numbers(one.output())
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert not process_gone(pid)
    names = {p.name for p in one.log_dir.iterdir()}
    assert "t.stdout.0" not in names  # numbers do not go back


@pytest.mark.parametrize("mode", [0o755, 0o2755])
def test_a_removed_directory_is_made_again(executor, box, mode):
    """In the directory that a task shares with others: as it was, and a link in its place is no place."""
    shared = box.dir / "shared"
    one = executor("lines:0:20", shared_dir=str(shared), log_dir=str(shared / "logs"))
    one.log_dir = shared / "logs"
    one.log_dir.mkdir(parents=True)
    shutil.chown(one.log_dir, 65534, 65534)
    one.log_dir.chmod(0o777)
    shared.chmod(mode)  # what is made below has the bit of the group, too
    one.start()
    pid = one.wait_pid()
    for number in 1, 2:
        wait_for(lambda: one.output(), "lines")
        shutil.rmtree(one.log_dir)
        wait_for(lambda: one.log_dir.is_dir(), "the directory")
        name = f"t.stdout.{number}"
        wait_for(lambda: (one.log_dir / name).exists(), "a segment of the next number")
    wait_for(lambda: one.output(), "lines")
    there = one.log_dir.stat()
    assert (there.st_uid, there.st_gid, there.st_mode & 0o7777) == (65534, 65534, 0o777)
    seen = numbers(one.output())
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert len(messages(one, LOST)) == 2 and "made again" in messages(one, LOST)[0]
    assert not process_gone(pid)
    one.log_dir.rename(shared / "moved")
    one.log_dir.symlink_to(box.dir / "logs")
    shutil.rmtree(shared / "moved")
    wait_for(lambda: one.status()["log_lost_bytes"], "what cannot be written to be lost")
    assert not list((box.dir / "logs").iterdir())


def test_a_link_in_the_place_of_the_directory(executor, box):
    """It is not followed; what is open goes on where it was."""
    one = executor("lines:0:20", shared_dir=str(box.dir)).start()
    one.wait_pid()
    wait_for(lambda: one.output(), "the first lines")
    victim, moved = box.dir / "victim", box.dir / "moved"
    victim.mkdir()
    one.log_dir.rename(moved)
    one.log_dir.symlink_to(victim)
    path = moved / "t.stdout.0"
    size = path.stat().st_size
    wait_for(lambda: path.stat().st_size > size + 600, "more lines")
    assert not list(victim.iterdir())
    assert one.status()["log_lost_bytes"] == 0
    seen = numbers(path.read_text())
    assert seen == list(range(len(seen)))


def test_hostile_names(executor, box):
    """Whatever has the names of the next segments, the log goes on under others."""
    precious = box.dir / "precious"
    precious.write_text("precious")
    one = executor("lines:3000:0:100")
    one.spec["logs"].update(max_file_size=MIB // 10, compress=1)
    (one.log_dir / "t.stdout.1").mkdir()
    (one.log_dir / "t.stdout.2").symlink_to(precious)
    (one.log_dir / "t.stdout.2.gz").symlink_to(precious)
    os.mkfifo(one.log_dir / "t.stdout.3")
    os.link(precious, one.log_dir / "t.stdout.4")
    _, status = one.start().end()
    assert status["log_lost_bytes"] == 0
    assert precious.read_text() == "precious"
    (one.log_dir / "t.stdout.1").rmdir()
    for odd in ("2", "2.gz", "3", "4"):
        (one.log_dir / f"t.stdout.{odd}").unlink()
    assert numbers(output(one)) == list(range(3000))


def test_a_limit_on_the_size_of_files_does_not_kill():
    done = subprocess.run(
        [BUILD / "bin/cleat-executor", "run", "-isolation", "none", "-log-dir", "/tmp", "--",
         "/bin/true"], preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


# Finished segments


def test_compression_keeps_every_byte(executor):
    """Through upgrades of the executor and with the plain files there until the others are."""
    lines = 60000
    one = executor(f"lines:{lines}:0:100", "pause")
    one.spec["logs"].update(max_files=1000, max_file_size=MIB // 4, compress=1, compress_after_ns=1)
    one.start()
    one.wait_pid()
    for _ in range(5):
        upgrade(one)
    wait_for(lambda: len(list(one.log_dir.glob("*.gz"))) >= 22, "the segments to be compressed")
    assert numbers(output(one)) == list(range(lines))
    assert not list(one.log_dir.glob(".*"))
    live = max(int(p.suffix[1:]) for p in one.log_dir.glob("t.stdout.*[0-9]"))
    assert (one.log_dir / f"t.stdout.{live}").exists()


def test_compression_begins_again_after_a_kill(executor):
    """Killed with everything it runs, an executor leaves no half file for its successor."""
    one = executor("lines:100000:0:100", "pause")
    one.spec["logs"].update(max_files=1000, max_file_size=5 * MIB, compress=1)
    one.start()
    wait_for(lambda: list(one.log_dir.glob(".t.stdout.*.tmp")), "the compressor to be at work")
    one.stop()
    wait_for(lambda: process_gone(one.process.pid), "its end")
    before = output(one)
    one.spec["args"] = one.spec["args"][:1] + ["pause"]
    one.start()
    wait_for(lambda: (one.log_dir / "t.stdout.0.gz").exists() and
             not (one.log_dir / "t.stdout.0").exists(), "the successor's compressor")  # fmt: skip
    wait_for(lambda: not list(one.log_dir.glob(".*")), "it to be done")
    assert output(one) == before


def test_options_of_a_job(manager):
    config = {"MaxFiles": 10, "MaxFileSizeMB": 1, "Compress": "gzip", "CompressAfter": 0}
    alloc_id = manager.run_one(simple("lines:30000:0:100", "pause", LogConfig=config))
    directory = Path(manager.alloc_dir(alloc_id)) / "alloc/logs"
    wait_for(lambda: (directory / "t.stdout.1.gz").exists() and
             not (directory / "t.stdout.1").exists(), "compressed segments")  # fmt: skip
    text = b"".join(gzip.decompress((directory / f"t.stdout.{n}.gz").read_bytes()) for n in (0, 1))
    assert numbers((text + (directory / "t.stdout.2").read_bytes()).decode()) == list(range(30000))


def test_total_size_and_age(executor):
    one = executor("lines:10000:0:100", "pause")
    one.spec["logs"].update(max_files=1000, max_file_size=MIB // 10, max_total_bytes=MIB // 2)
    one.start()
    wait_for(lambda: len(list(one.log_dir.glob("t.stdout.*"))) == 5 and
             (one.log_dir / "t.stdout.9").exists(), "the size to be kept")  # fmt: skip
    seen = numbers(one.output())
    assert seen == list(range(seen[0], 10000))
    one.stop()
    one.spec["args"] = one.spec["args"][:1] + ["print:x", "pause"]
    one.spec["logs"].update(max_age_ns=10**9)
    one.start()
    wait_for(lambda: len(list(one.log_dir.glob("t.stdout.*"))) == 1, "the old ones to go")
    assert one.output().endswith("x\n")


def test_nothing_wakes_an_idle_executor(executor):
    """Not with rules either, as long as nothing is due."""
    one = executor("lines:5000:0:100", "print:ready", "pause")
    one.spec["logs"].update(max_file_size=MIB // 10, max_age_ns=10**13, compress=1,
                            compress_after_ns=10**12, max_total_bytes=10**9)  # fmt: skip
    one.start()
    wait_for(lambda: one.output().endswith("ready\n"), "the output")
    wait_for(lambda: sleeps_on(one.process.pid), "the buffers to be given back")
    assert sleeps_on(one.process.pid)
