# SPDX-License-Identifier: MIT
"""Both streams of a task at full speed while everything around them is taken away: the managers, the
executor's program, the space on the disk. CLEAT_SOAK=1: a million lines of each stream."""
import contextlib
import http.client
import os
import select
import struct
import threading

import msgpack
import pytest

import records
from harness import BUILD, SLOW, SOAK, Manager, pass_gate, wait_for
from jobs import simple
from test_log_faults import BLOCK, DROP, fill, small_disk
from test_logs import cpu_ticks

UPGRADE = 5
SEGMENT = 8192
BURST, BURSTS = (100000, 10) if SOAK else (30000, 4)
STREAMS = ("stdout", "stderr")


def lines(count, width):
    """What the payload's lines:COUNT:0:WIDTH prints."""
    return "".join(f"{i}".ljust(width - 1, ".") + "\n" for i in range(count))


class SmallSegments(Manager):
    """A manager whose tasks rotate every 8 KiB, which no job can ask for."""

    def executor(self):
        script = self.dir / "small-segments"
        script.write_text(f"""#!/usr/bin/python3
import msgpack, os, sys, zlib
if sys.argv[1] == "supervise":
    path = sys.argv[2] + "/spec"
    with open(path, "rb") as file:
        spec = msgpack.unpackb(file.read().partition(b"\\n")[2])
    spec["logs"]["max_file_size"] = {SEGMENT}
    data = msgpack.packb(spec)
    with open(path, "wb") as file:
        file.write(b"CLEAT-STATE 1 %d %08x\\n" % (len(data), zlib.crc32(data)) + data)
os.execv("{super().executor()}", sys.argv)
""")
        script.chmod(0o755)
        return script


class Follower(threading.Thread):
    """Follows a stream over the ends of managers, each time from where it was."""

    def __init__(self, manager, alloc_id, stream, size):
        super().__init__(daemon=True)
        self.manager, self.size, self.got = manager, size, bytearray()
        self.path = f"/v1/client/fs/logs/{alloc_id}?task=t&type={stream}&plain=true&follow=true"
        self.start()

    def run(self):
        while len(self.got) < self.size:
            select.select([], [], [], 0.01)  # a manager that has not come back yet
            with contextlib.suppress(OSError, http.client.HTTPException):
                with self.manager.stream(f"{self.path}&offset={len(self.got)}") as reply:
                    while reply.status == 200 and (piece := reply.read1(1 << 20)):
                        self.got += piece

    def whole(self):
        wait_for(lambda: len(self.got) >= self.size, f"a follower at {len(self.got)}", 120)
        self.join()
        return self.got.decode()


def upgrade(state_dir):
    """Has the executor become its own program anew; returns once it tells so, or has ended."""
    try:
        before = records.read_status(state_dir / "status")
        control = os.open(state_dir / "ctl", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # it has ended
        return False
    if before["state"] == "dead":  # it has, too; only its FIFO is still there
        os.close(control)
        return False
    command = msgpack.packb({"type": UPGRADE, "path": str(BUILD / "bin/cleat-executor")})
    os.write(control, struct.pack("<I", len(command)) + command)
    os.close(control)

    def told():
        try:
            return records.read_status(state_dir / "status")["seq"] > before["seq"]
        except FileNotFoundError:  # it has ended, and the manager has cleared up after it
            return True

    wait_for(told, "the upgrade or the end")
    return True


@pytest.mark.timeout(600 if SOAK else 60)
def test_managers_killed_executor_upgraded_and_followed(box):
    """A rotation every few KiB, and none of it may be seen in what is written and read."""
    manager = SmallSegments(box)
    box.managers.append(manager)
    manager.start()
    gate = box.dir / "gate"
    os.mkfifo(gate)
    burst = (f"cat:{gate}", f"lines:{BURST}:0:100")
    logs = {"MaxFiles": 100000, "MaxFileSizeMB": 1}
    alloc_id = manager.run_one(
        simple("both", *burst * BURSTS, "exit:7", driver="raw_exec", LogConfig=logs)
    )
    manager.wait_event(alloc_id, "Started")
    state_dir = records.task_dir(manager, alloc_id)
    size = BURST * BURSTS * 100
    followers = [Follower(manager, alloc_id, stream, size) for stream in STREAMS]

    def written():
        return sum(p.stat().st_size for p in manager.segments(alloc_id, stream="stderr"))

    kills = upgrades = 0
    for number in range(BURSTS):
        pass_gate(gate)
        while True:
            manager.kill9()
            kills += 1
            upgrades += upgrade(state_dir)
            manager.start()
            upgrades += upgrade(state_dir)
            if written() == (number + 1) * BURST * 100:
                break
    assert manager.wait_event(alloc_id, "Terminated")["ExitCode"] == 7
    print(f"{kills} managers killed, {upgrades} upgrades")
    assert upgrades >= BURSTS
    expected = lines(BURST, 100) * BURSTS
    for stream, follower in zip(STREAMS, followers):
        segments = manager.segments(alloc_id, stream=stream)
        assert [p.suffix for p in segments] == [f".{n}" for n in range(len(segments))]
        contents = [p.read_bytes() for p in segments]
        assert max(map(len, contents)) <= SEGMENT
        assert all(content.endswith(b"\n") for content in contents)
        assert b"".join(contents).decode() == expected
        assert follower.whole() == expected


def pieces_of_lines(text, segments):
    """What in the segments is only the beginning of a line of `text`; all other lines are in order."""
    where = {line: number for number, line in enumerate(text.splitlines())}
    kept = [line for segment in segments for line in segment.splitlines()]
    whole = [where[line] for line in kept if line in where]
    pieces = [line for line in kept if line not in where]
    assert whole == sorted(set(whole))
    assert all(any(line.startswith(piece) for line in where) for piece in pieces)
    return pieces


@pytest.mark.timeout(300 if SOAK else 60)
@pytest.mark.parametrize("on_full", [DROP, BLOCK], ids=["drop", "block"])
def test_the_disk_is_full_for_a_while(executor, box, on_full):
    """Before, while and after it is full a third is written; each line's width tells them apart."""
    count, full_s = (333334, 10) if SOAK else (20000, 2)
    gates = [box.dir / "gate0", box.dir / "gate1"]
    for gate in gates:
        os.mkfifo(gate)
    before, after = lines(count, 100), lines(count, 103)
    whole = before + lines(count, 101) + lines(3000, 102) + after
    one = executor(
        "both", f"lines:{count}:0:100", f"cat:{gates[0]}", f"lines:{count}:0:101",
        f"cat:{gates[1]}", "lines:3000:1:102", f"lines:{count}:0:103",
    )  # fmt: skip
    one.spec["logs"].update(max_files=100000, max_file_size=1 << 16, on_full=on_full)

    def segments(stream):
        paths = sorted(one.log_dir.glob(f"t.{stream}.*"), key=lambda p: int(p.suffix[1:]))
        return [p.read_text() for p in paths]

    def written():
        return sum(p.stat().st_size for p in one.log_dir.glob("t.std*"))

    with small_disk(one, 300 if SOAK else 32):
        one.start()
        wait_for(lambda: written() == 2 * len(before), "the first third", 60)
        ballast = fill(one.log_dir)
        pass_gate(gates[0])
        ticks = cpu_ticks(one.process.pid)
        select.select([], [], [], full_s)  # the time that is measured
        assert cpu_ticks(one.process.pid) - ticks < 50 * SLOW
        ballast.unlink()
        pass_gate(gates[1])
        code, status = one.end()
        assert (code, status["exit_code"], status["exit_signal"]) == (0, 0, 0)
        size = written()
        kept = {stream: segments(stream) for stream in STREAMS}
    assert size + status["log_lost_bytes"] == 2 * len(whole)
    for parts in kept.values():
        text = "".join(parts)
        if on_full == BLOCK:
            assert text == whole
        else:
            assert len(text) < len(whole)
            assert text.startswith(before) and text.endswith(after)
            assert len(pieces_of_lines(whole, parts)) <= 1
