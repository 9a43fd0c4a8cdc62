# SPDX-License-Identifier: MIT
"""Reading logs while what they are read from changes: compressed, trimmed, replaced, restarted."""
import contextlib
import fcntl
import gzip
import json
import os
import resource
import shutil
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

from harness import BUILD, SLOW, WITHOUT_INOTIFY, ApiError, pass_gate, sleeps_on, wait_for
from jobs import simple
from test_log_soak import SmallSegments, lines
from test_logs import count_fds, log_config, logs_path, numbered, read_lines


@pytest.fixture
def small(box):
    """A manager whose tasks rotate every 8 KiB."""
    manager = SmallSegments(box)
    box.managers.append(manager)
    return manager.start()


class Cli:
    """`cleat` as it runs, its output in files."""

    def __init__(self, manager, *args):
        self.out, self.err = (manager.dir / f"cli.{kind}.{time.monotonic_ns()}" for kind in "oe")
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                [str(BUILD / "bin/cleat"), *map(str, args)], stdout=out, stderr=err,
                env={**manager.box.env, "CLEAT_ADDR": f"unix://{manager.socket}"},
            )  # fmt: skip

    def wait_out(self, text):
        wait_for(lambda: text in self.out.read_text(), f"{text!r} of {self.err.read_text()}")

    def end(self):
        return self.process.wait(timeout=30 * SLOW)

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def cli():
    started = []

    def start(manager, *args):
        started.append(Cli(manager, *args))
        return started[-1]

    yield start
    for program in started:
        program.kill()


def frames(data):
    decoder, found, text = json.JSONDecoder(), [], data.decode()
    while text:
        frame, used = decoder.raw_decode(text)
        found.append(frame)
        text = text[used:]
    return found


def compress(path):
    """As the executor does: whole before it has its name, and the plain file goes last."""
    packed = path.with_name(f"{path.name}.gz")
    partial = path.with_name(f".{path.name}.tmp")
    partial.write_bytes(gzip.compress(path.read_bytes()))
    stat = path.stat()
    os.utime(partial, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    partial.rename(packed)
    path.unlink()
    return packed


def test_follow_over_restarts_of_the_manager(small, cli):
    """Not a byte lost or doubled of either stream, and an end."""
    logs = log_config(100000, 1)
    alloc_id = small.run_one(
        simple("both", *["lines:2000:1", "lines:4000:0:100"] * 2, driver="raw_exec", LogConfig=logs)
    )
    follower = cli(small, "alloc", "logs", "-f", alloc_id)
    kills = 0
    while small.alloc(alloc_id)["ClientStatus"] in ("pending", "running"):
        seen = follower.out.stat().st_size
        wait_for(
            lambda: follower.out.stat().st_size > seen
            or small.alloc(alloc_id)["ClientStatus"] == "complete",
            "the follower to go on",
        )
        small.kill9()
        kills += 1
        small.start()
    assert kills > 2
    assert follower.end() == 0
    expected = "".join(f"{i}\n" for i in range(2000)) + lines(4000, 100)
    told = "cleat: cleat-manager is gone; going on when it is back\n"
    assert follower.out.read_text() == expected * 2
    errors = follower.err.read_text()
    back = "cleat: cleat-manager is back\n"
    assert 0 < errors.count(back) <= errors.count(told)
    assert errors.replace(told, "").replace(back, "") == expected * 2


def test_a_reader_is_told_what_was_trimmed(small):
    """It comes back, and what it wants next is gone."""
    alloc_id = small.run_one(simple("lines:20000:0:100", LogConfig=log_config(3, 1)))
    small.wait_client(alloc_id, "complete")
    found = small.segments(alloc_id)
    kept = [int(p.suffix[1:]) for p in found]
    assert kept == list(range(kept[0], kept[0] + 3)) and kept[0] > 200
    told = frames(small.get(logs_path(alloc_id, plain="false", stdout="5:0")))
    assert told[0]["FileEvent"] == "file deleted"
    assert told[0]["LostSegments"] == kept[0] - 5
    assert told[0]["File"] == "alloc/logs/t.stdout.5"
    assert told[1]["File"] == f"alloc/logs/{found[0].name}"


def test_the_command_line_tells_what_is_missing(manager):
    alloc_id = manager.run_one(simple("lines:30000:0:100", LogConfig=log_config(10, 1)))
    manager.wait_client(alloc_id, "complete")
    packed = compress(manager.segments(alloc_id)[1])
    packed.write_bytes(packed.read_bytes()[:2000])
    done = manager.cli("logs", alloc_id)
    assert done.stderr == (
        "cleat: the rest of t.stdout.1 is missing here: the file is damaged\n"
    )
    numbers = numbered(done.stdout)
    assert numbers[0] == 0 and numbers[-1] == 29999 and len(numbers) < 30000
    found = manager.segments(alloc_id)
    found[0].unlink()
    packed.unlink()
    follow = ("logs", "-f", "-stdout", alloc_id)
    assert manager.cli(*follow).stdout == manager.output(alloc_id)


def test_compressed_segments_read_as_the_others(manager):
    alloc_id = manager.run_one(simple("both", "lines:40000:0:100", LogConfig=log_config(10, 1)))
    manager.wait_client(alloc_id, "complete")
    whole = manager.output(alloc_id)
    packed = [compress(p) for p in manager.segments(alloc_id)[:3]]
    (alone,) = manager.segments(alloc_id)
    assert manager.get(logs_path(alloc_id)).decode() == whole
    for offset in (1, 1 << 20, 3 << 20, len(whole) - 7):
        assert manager.get(logs_path(alloc_id, offset=offset)).decode() == whole[offset:]
        end = manager.get(logs_path(alloc_id, offset=offset, origin="end")).decode()
        assert end == whole[-offset:]
    assert manager.get(logs_path(alloc_id, stdout="1:1000")).decode() == (
        gzip.decompress(packed[1].read_bytes()).decode()[1000:]
        + gzip.decompress(packed[2].read_bytes()).decode() + alone.read_text()
    )  # fmt: skip
    got = manager.cli("logs", "-n", 35000, alloc_id).stdout
    assert numbered(got) == list(range(5000, 40000))
    # In the file system they are what they are.
    path = f"?path=alloc/logs/{packed[0].name}"
    raw = packed[0].read_bytes()
    assert manager.get(f"/v1/client/fs/cat/{alloc_id}{path}") == raw
    assert manager.get(f"/v1/client/fs/readat/{alloc_id}{path}&offset=10&limit=20") == raw[10:30]
    assert manager.get(f"/v1/client/fs/stat/{alloc_id}{path}")["Size"] == len(raw)


def test_compressed_under_a_follower(small, cli):
    alloc_id = small.run_one(
        simple("lines:3000:1:100", driver="raw_exec", LogConfig=log_config(100000, 1))
    )
    small.wait_event(alloc_id, "Started")
    follower = cli(small, "logs", "-f", alloc_id)
    packed = 0
    while small.alloc(alloc_id)["ClientStatus"] in ("pending", "running"):
        for path in small.segments(alloc_id)[:-1]:
            compress(path)
            packed += 1
    assert follower.end() == 0 and packed > 10
    assert follower.out.read_text() == lines(3000, 100) and follower.err.read_text() == ""


def test_both_streams_in_order_and_apart(manager, cli):
    steps = ["print:1", "err", "print:2", "out", "print:3", "err", "print:4"]
    steps = [s for step in steps for s in (["wait:50", step] if "print" in step else [step])]
    alloc_id = manager.run_one(simple("wait:500", *steps))
    with manager.stream(logs_path(alloc_id, follow="true", type="both")) as reply:
        assert reply.read() == b"1\n2\n3\n4\n"
    assert manager.cli("logs", alloc_id).stdout == "1\n3\n"
    for both in (("-f",), ("-stdout", "-stderr"), ("-f", "-stderr", "-stdout")):
        done = manager.cli("logs", *both, alloc_id)
        assert (done.stdout, done.stderr) == ("1\n3\n", "2\n4\n")
    done = manager.cli("logs", "-stderr", "-f", alloc_id)
    assert (done.stdout, done.stderr) == ("2\n4\n", "")


def test_since(manager):
    alloc_id = manager.run_one(simple("lines:30000:0:100", LogConfig=log_config(10, 1)))
    manager.wait_client(alloc_id, "complete")
    found = manager.segments(alloc_id)
    now = time.time()
    for age, path in zip((7200, 3600, 60), found):
        os.utime(path, (now - age, now - age))
    rest = [p.read_text() for p in found]

    def since(when):
        return manager.cli("logs", "-since", when, alloc_id).stdout

    assert since("3h") == "".join(rest)
    assert since("90m") == "".join(rest[1:])
    assert since("90s") == rest[2]
    assert since("1s") == ""
    at = time.gmtime(now - 3700)
    assert since(time.strftime("%Y-%m-%dT%H:%M:%SZ", at)) == "".join(rest[1:])
    assert since(time.strftime("%Y-%m-%dT%H:%M:%S.5+00:00", at)) == "".join(rest[1:])
    for wrong in ("x", "-5m", "2026-01-01", "2026-01-01T00:00:00"):
        assert manager.cli("logs", f"-since={wrong}", alloc_id, check=False).returncode == 2
    assert manager.cli("logs", "-since", "1h", "-n", 3, alloc_id, check=False).returncode == 2


def leave_half(logs, *numbers):
    """As a compressor does that was killed, and no other came after it."""
    for number in numbers:
        (logs / f".t.stdout.{number}.tmp").write_bytes(gzip.compress(b"half\n" * 1000)[:-10])


def test_half_compressed_segments_are_ignored(manager, cli):
    alloc_id = manager.run_one(simple("print:mine", "pause"))
    wait_for(lambda: manager.output(alloc_id) == "mine\n", "the output")
    leave_half(manager.alloc_dir(alloc_id) / "alloc/logs", 0, 1)
    assert manager.get(logs_path(alloc_id)) == b"mine\n"
    follower = cli(manager, "alloc", "logs", "-f", alloc_id)
    follower.wait_out("mine\n")
    manager.stop("job")
    assert follower.end() == 0 and follower.out.read_text() == "mine\n"


def test_hostile_entries_are_not_opened(manager):
    alloc_id = manager.run_one(simple("print:mine", "pause"))
    manager.wait_running(alloc_id)
    wait_for(lambda: manager.output(alloc_id) == "mine\n", "the output")
    logs = manager.alloc_dir(alloc_id) / "alloc/logs"
    secret = manager.dir / "secret"
    secret.write_text("secret\n")
    (logs / "t.stdout.1").symlink_to(secret)
    (logs / "t.stdout.3.gz").symlink_to(secret)
    os.mkfifo(logs / "t.stdout.2")
    os.mkfifo(logs / "t.stdout.4")
    (logs / "t.stdout.5").mkdir()
    # Nobody opens the FIFOs: a writer that does not wait would find the reader.
    with manager.stream(logs_path(alloc_id, follow="true")) as reply:
        assert read_lines(reply, 1) == "mine\n"
        for fifo in ("t.stdout.2", "t.stdout.4"):
            with pytest.raises(OSError):
                os.close(os.open(logs / fifo, os.O_WRONLY | os.O_NONBLOCK))
    assert manager.get(logs_path(alloc_id)) == b"mine\n"
    assert manager.cli("logcat", logs, "t").stdout == "mine\n"
    logs.rename(logs.with_name("moved"))
    logs.symlink_to(manager.dir)
    (manager.dir / "t.stdout.0").write_text("secret\n")
    with pytest.raises(ApiError, match="escapes"):
        manager.get(logs_path(alloc_id))
    logs.unlink()
    logs.with_name("moved").rename(logs)


def test_a_replaced_directory_is_followed(manager):
    alloc_id = manager.run_one(simple("print:one", "pause"))
    manager.wait_running(alloc_id)
    wait_for(lambda: manager.output(alloc_id) == "one\n", "the output")
    logs = manager.alloc_dir(alloc_id) / "alloc/logs"
    with manager.stream(logs_path(alloc_id, follow="true")) as reply:
        assert read_lines(reply, 1) == "one\n"
        shutil.rmtree(logs)
        logs.mkdir()
        (logs / "t.stdout.7").write_text("two\n")
        assert read_lines(reply, 1) == "two\n"
        logs.rename(logs.with_name("old"))
        logs.mkdir()
        (logs / "t.stdout.0").write_text("three\n")
        assert read_lines(reply, 1) == "three\n"


def test_where_streams_are_is_told_when_asked(manager):
    alloc_id = manager.run_one(simple("print:12345", "pause"))
    manager.wait_running(alloc_id)
    wait_for(lambda: manager.output(alloc_id) == "12345\n", "the output")
    path = logs_path(alloc_id, type="both", plain="false", origin="end", resumable="true")
    assert frames(manager.get(path)) == [
        {"File": "alloc/logs/t.stdout.0", "Offset": 6}, {"File": "alloc/logs/t.stderr.0"}
    ]  # fmt: skip


@pytest.mark.parametrize("query, text", [
    ({"type": ""}, "must provide log type (stdout/stderr)"),
    ({"type": "x"}, "must provide log type (stdout/stderr)"),
    ({"origin": "middle"}, "origin"),
    ({"offset": "-1"}, "offset"),
    ({"since": "yesterday"}, "since"),
    ({"stdout": "1"}, "SEGMENT:OFFSET"),
    ({"stdout": "-1:0"}, "SEGMENT:OFFSET"),
    ({"stdout": "1:2x"}, "SEGMENT:OFFSET"),
    ({"stdout": "1:-2"}, "SEGMENT:OFFSET"),
    ({"task": "none"}, "none"),
])  # fmt: skip
def test_wrong_queries(manager, query, text):
    alloc_id = manager.run_one(simple("print:x"))
    manager.wait_client(alloc_id, "complete")
    with pytest.raises(ApiError) as caught:
        manager.get(logs_path(alloc_id, **query))
    assert caught.value.status == 400 and text in caught.value.text


def test_idle_followers_cost_no_wakeup(manager, cli):
    alloc_id = manager.run_one(simple("print:x", "pause"))
    manager.wait_running(alloc_id)
    wait_for(lambda: manager.output(alloc_id) == "x\n", "the output")
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            reply = stack.enter_context(manager.stream(logs_path(alloc_id, follow="true")))
            assert read_lines(reply, 1) == "x\n"
        cli(manager, "logs", "-f", alloc_id).wait_out("x\n")
        pid = manager.process.pid
        wait_for(lambda: count_fds(pid, "[eventpoll]") > 21, "all to be pending")
        wait_for(lambda: sleeps_on(pid), "the manager to be done")
        assert sleeps_on(pid)


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def test_followers_that_do_not_read_cost_little_memory(manager):
    alloc_id = manager.run_one(simple("lines:200000:0:200", LogConfig=log_config(100, 1)))
    manager.wait_client(alloc_id, "complete")
    pid = manager.process.pid
    before = resident(pid)
    with contextlib.ExitStack() as stack:
        for plain in ["true", "false"] * 15:
            stack.enter_context(manager.stream(logs_path(alloc_id, plain=plain)))
        assert manager.get("/v1/agent/health")  # each has had its turn
        assert resident(pid) - before < 30 * 256 * 1024 * SLOW


@pytest.mark.parametrize("what", ["instances", "watches"])
def test_followers_with_nothing_to_wait_by(box, what):
    manager = box.manager().start([*WITHOUT_INOTIFY, what])
    go = box.dir / "go"
    os.mkfifo(go)
    script = f"echo one; cat {go}; echo two; cat {go}"
    alloc_id = manager.run_one(simple("-c", script, command="/bin/sh", driver="raw_exec"))
    manager.wait_running(alloc_id)
    with manager.stream(logs_path(alloc_id, follow="true")) as reply:
        assert read_lines(reply, 1) == "one\n"
        pass_gate(go)
        assert read_lines(reply, 1) == "two\n"
        pass_gate(go)
        assert reply.read() == b""  # it ends with the task
    said = manager.log().splitlines()
    assert len([line for line in said if f"raise fs.inotify.max_user_{what}" in line]) == 1


def test_logcat_with_nothing_to_wait_by(box):
    logs = box.dir / "logs"
    logs.mkdir()
    live = logs / "t.stdout.0"
    live.write_text("one\n")
    command = [*WITHOUT_INOTIFY, "instances", BUILD / "bin/cleat", "logcat", "-f", logs, "t"]
    follower = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert follower.stdout.readline() == "one\n"
        with open(live, "a") as f:
            f.write("two\n")
        assert follower.stdout.readline() == "two\n"
    finally:
        follower.kill()
        follower.communicate()


def test_logcat_into_a_pipe_that_does_not_block(box):
    logs = box.dir / "logs"
    logs.mkdir()
    (logs / "t.stdout.0").write_text("x" * 99 + "\n" * 5000 + "end\n" * 100000)
    ours, its = os.pipe()
    os.set_blocking(its, False)
    reader = subprocess.Popen([BUILD / "bin/cleat", "logcat", logs, "t"], stdout=its)
    os.close(its)
    try:
        wait_for(lambda: fcntl.ioctl(ours, termios.FIONREAD, bytes(4)) == struct.pack("i", 65536), "a full pipe")
        with open(ours) as pipe:
            assert pipe.read() == (logs / "t.stdout.0").read_text()
        assert reader.wait() == 0
    finally:
        reader.kill()
        reader.wait()


def test_logcat(manager, cli):
    alloc_id = manager.run_one(
        simple("lines:30000:0:100", "err", "print:bad", LogConfig=log_config(10, 1))
    )
    manager.wait_client(alloc_id, "complete")
    whole = manager.output(alloc_id)
    compress(manager.segments(alloc_id)[0])
    logs = manager.dir / "copy"
    shutil.copytree(manager.alloc_dir(alloc_id) / "alloc/logs", logs)
    (logs / "other.txt").write_text("no log\n")
    leave_half(logs, 1)

    def logcat(*args, **options):
        return manager.cli("logcat", *args, address=False, **options)

    assert logcat(logs, "t").stdout == whole
    assert logcat("-n", 3, logs, "t").stdout == whole[-300:]
    assert logcat("-c", 250, logs, "t").stdout == whole[-250:]
    assert logcat("-stderr", logs, "t").stdout == "bad\n"
    both = logcat("-stderr", "-stdout", logs, "t")
    assert (both.stdout, both.stderr) == (whole, "bad\n")
    listed = [line.split()[:2] for line in logcat(logs).stdout.splitlines()[1:]]
    assert listed == [
        ["t.stderr", "t.stderr.0"], ["t.stdout", "t.stdout.0.gz"], ["t.stdout", "t.stdout.1"],
        ["t.stdout", "t.stdout.2"],
    ]  # fmt: skip
    assert [s["Name"] for s in json.loads(logcat("-json", logs).stdout)] == [n for _, n in listed]
    for wrong in ((logs, "none"), (logs / "none",), (manager.dir / "data",)):
        assert logcat(*wrong, check=False).returncode == 4
    follower = cli(manager, "logcat", "-f", "-n", 1, logs, "t")
    follower.wait_out("29999")
    with open(logs / "t.stdout.2", "a") as live:
        live.write("more\n")
    follower.wait_out("more\n")
    (logs / "t.stdout.3").write_text("new\n")
    follower.wait_out("new\n")
    logs.rename(manager.dir / "moved")
    assert follower.end() == 4
    logs = manager.dir / "moved"
    follower = cli(manager, "logcat", "-f", "-n", 1, logs, "t")
    follower.wait_out("new\n")
    shutil.rmtree(logs)
    assert follower.end() == 4
