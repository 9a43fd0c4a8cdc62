# SPDX-License-Identifier: MIT
"""A task's output: rotation, whole lines, reading and following it through the API."""
import base64
import http.client
import json
import os
import re
import select
import signal
from pathlib import Path

import pytest

from harness import SLOW, UnixConnection, free_port, wait_for
from jobs import simple

MIB = 1 << 20


def numbered(text):
    """The numbers of the payload's lines."""
    return [int(re.match(r"\d+", line)[0]) for line in text.splitlines()]


def logs_path(alloc_id, **query):
    query = {"task": "t", "type": "stdout", "plain": "true", **query}
    return f"/v1/client/fs/logs/{alloc_id}?" + "&".join(f"{k}={v}" for k, v in query.items())


def log_config(files, mib):
    return {"MaxFiles": files, "MaxFileSizeMB": mib}


def read_lines(reply, count):
    """Reads a followed plain stream until `count` lines are there."""
    pieces, lines = [], 0
    while lines < count:
        pieces.append(reply.read1(65536))
        assert pieces[-1], f"the stream ended after {lines} of {count} lines"
        lines += pieces[-1].count(b"\n")
    return b"".join(pieces).decode()


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_rotation_keeps_every_byte_and_cuts_at_lines(manager, driver):
    lines, width = 40000, 100  # 4 MB
    alloc_id = manager.run_one(
        simple(f"lines:{lines}:0:{width}", driver=driver, LogConfig=log_config(10, 1))
    )
    manager.wait_client(alloc_id, "complete")
    segments = manager.segments(alloc_id)
    assert [p.name for p in segments] == [f"t.stdout.{i}" for i in range(len(segments))]
    assert len(segments) == 4
    for path in segments:
        data = path.read_bytes()
        assert data.endswith(b"\n") and len(data) <= MIB
    assert numbered(manager.output(alloc_id)) == list(range(lines))


def test_old_segments_go(manager):
    alloc_id = manager.run_one(simple("lines:60000:0:100", LogConfig=log_config(2, 1)))
    manager.wait_client(alloc_id, "complete")
    segments = manager.segments(alloc_id)
    assert [p.name for p in segments] == ["t.stdout.4", "t.stdout.5"]
    numbers = numbered(manager.output(alloc_id))
    assert numbers == list(range(numbers[0], 60000))


def test_streams_do_not_mix(manager):
    alloc_id = manager.run_one(
        simple("both", "lines:20000:0:80", "err", "print:only here", LogConfig=log_config(5, 1))
    )
    manager.wait_client(alloc_id, "complete")
    out, err = (manager.output(alloc_id, stream=s) for s in ("stdout", "stderr"))
    assert err == out + "only here\n"
    assert numbered(out) == list(range(20000))


def test_a_line_longer_than_a_segment(manager):
    alloc_id = manager.run_one(
        simple("lines:3:0:1000000", "print:end", LogConfig=log_config(10, 1))
    )
    manager.wait_client(alloc_id, "complete")
    assert all(p.stat().st_size <= MIB for p in manager.segments(alloc_id))
    assert [len(line) for line in manager.output(alloc_id).split("\n")] == [999999] * 3 + [3, 0]


def test_output_without_a_newline_is_kept(manager):
    output, _ = manager.run_to_end(simple("print:a", "partial:no newline"))
    assert output == "a\nno newline"


def test_output_of_a_dying_task_is_kept(manager):
    output, _ = manager.run_to_end(simple("lines:5000:0:50", "die:KILL"))
    assert numbered(output) == list(range(5000))


def test_plain_read_is_the_files_content(manager):
    alloc_id = manager.run_one(simple("lines:30000:0:100", LogConfig=log_config(10, 1)))
    manager.wait_client(alloc_id, "complete")
    assert manager.get(logs_path(alloc_id)).decode() == manager.output(alloc_id)


def test_offset_and_origin(manager):
    alloc_id = manager.run_one(simple("lines:30000:0:100", LogConfig=log_config(10, 1)))
    manager.wait_client(alloc_id, "complete")
    whole = manager.output(alloc_id)
    for offset in (0, 1, 99, MIB - 1, MIB, MIB + 1, 2 * MIB + 5, len(whole)):
        start = manager.get(logs_path(alloc_id, offset=offset)).decode()
        assert start == whole[offset:], offset
        end = manager.get(logs_path(alloc_id, offset=offset, origin="end")).decode()
        assert end == whole[len(whole) - offset:], offset


def test_framed_read(manager):
    alloc_id = manager.run_one(simple("lines:15000:0:100", LogConfig=log_config(10, 1)))
    manager.wait_client(alloc_id, "complete")
    _, _, body = manager.request("GET", logs_path(alloc_id, plain="false"))
    text = body.decode()
    decoder, frames = json.JSONDecoder(), []
    while text.strip():
        frame, used = decoder.raw_decode(text.lstrip())
        frames.append(frame)
        text = text.lstrip()[used:]
    data = [f for f in frames if f.get("Data")]
    assert b"".join(base64.b64decode(f["Data"]) for f in data).decode() == manager.output(alloc_id)
    assert {f["File"].rsplit("/")[-1] for f in data} == {"t.stdout.0", "t.stdout.1"}
    assert all(len(base64.b64decode(f["Data"])) <= 65536 for f in data)


def test_follow_across_rotations(manager):
    alloc_id = manager.run_one(
        simple("lines:50:10", "lines:45000:0:100", "lines:50:10", "pause",
               LogConfig=log_config(10, 1))
    )  # fmt: skip
    manager.wait_running(alloc_id)
    with manager.stream(logs_path(alloc_id, follow="true")) as reply:
        text = read_lines(reply, 45100)
    assert numbered(text) == [*range(50), *range(45000), *range(50)]


def test_follow_from_the_end_sees_only_what_comes(manager):
    alloc_id = manager.run_one(
        simple("handle:USR1", "print:old", "pause", driver="raw_exec")
    )
    wait_for(lambda: manager.output(alloc_id) == "old\n", "the first line")
    pid = manager.wait_running(alloc_id)
    with manager.stream(logs_path(alloc_id, follow="true", origin="end", offset=0)) as reply:
        assert reply.status == 200
        os.kill(pid, signal.SIGUSR1)
        assert read_lines(reply, 1) == "caught=USR1\n"


def test_several_followers_see_the_same(manager):
    alloc_id = manager.run_one(simple("lines:200:5", "pause"))
    manager.wait_running(alloc_id)
    replies = [manager.stream(logs_path(alloc_id, follow="true")) for _ in range(5)]
    texts = [read_lines(r, 200) for r in replies]
    for r in replies:
        r.close()
    assert all(numbered(t) == list(range(200)) for t in texts)


def test_a_follower_that_goes_away_harms_nobody(manager):
    alloc_id = manager.run_one(simple("lines:0:1:4000", LogConfig=log_config(2, 1)))
    manager.wait_running(alloc_id)
    for _ in range(20):
        reply = manager.stream(logs_path(alloc_id, follow="true"))
        read_lines(reply, 1)
        reply.close()
    assert manager.alloc(alloc_id)["ClientStatus"] == "running"


def cpu_ticks(pid):
    """User and system time, in hundredths of a second."""
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


def count_fds(pid, kind):
    return sum(kind in str(fd.resolve()) for fd in Path(f"/proc/{pid}/fd").iterdir())


def test_a_client_that_leaves_a_pending_reply_leaves_nothing(box):
    port = free_port()
    manager = box.manager(args=["-address", f"http://127.0.0.1:{port}"]).start()
    alloc_id = manager.run_one(simple("print:x", "pause"))
    manager.wait_running(alloc_id)
    wait_for(lambda: manager.output(alloc_id) == "x\n", "the output")
    pid = manager.process.pid
    sockets, watches = count_fds(pid, "socket:"), count_fds(pid, "[eventpoll]")
    connections = []
    for path in (
        logs_path(alloc_id, follow="true"),
        logs_path(alloc_id, follow="true", plain="false"),
        f"/v1/allocation/{alloc_id}?index=99999999&wait=100s",
    ):
        connections.append(UnixConnection(manager.socket, 20))
        connections.append(http.client.HTTPConnection("127.0.0.1", port))
        for connection in connections[-2:]:
            connection.request("GET", path)
    pending = watches + len(connections)  # a client is watched while its reply is pending
    wait_for(lambda: count_fds(pid, "[eventpoll]") == pending, "the replies to be pending")
    for connection in connections:
        connection.close()
    wait_for(lambda: count_fds(pid, "[eventpoll]") == watches, "the clients' end to be seen")
    wait_for(lambda: count_fds(pid, "socket:") <= sockets, "the connections to be closed")
    before = cpu_ticks(pid)
    select.select([], [], [], 1)  # the time that is measured
    assert cpu_ticks(pid) - before < 20 * SLOW


def test_a_slow_follower_stops_nobody(manager):
    alloc_id = manager.run_one(simple("lines:30000:0:1000", LogConfig=log_config(40, 1)))
    manager.wait_event(alloc_id, "Started")
    reply = manager.stream(logs_path(alloc_id, follow="true"))
    assert reply.status == 200
    manager.wait_client(alloc_id, "complete")  # 30 MB written while nobody reads the stream
    assert numbered(read_lines(reply, 30000)) == list(range(30000))
    reply.close()


def test_disabled_logs_leave_no_files(manager):
    alloc_id = manager.run_one(simple("print:x", LogConfig={"Disabled": True}))
    manager.wait_client(alloc_id, "complete")
    assert manager.segments(alloc_id) == []


def test_restarts_append_to_the_same_log(manager):
    policy = {"Attempts": 2, "Delay": 0, "Interval": 60 * 10**9, "Mode": "fail"}
    alloc_id = manager.run_one(simple("print:attempt", "exit:1", policy=policy))
    manager.wait_client(alloc_id, "failed")
    assert manager.output(alloc_id) == "attempt\n" * 3
    assert len(manager.segments(alloc_id)) == 1


def test_a_child_that_holds_the_pipes_does_not_hold_the_task(manager):
    output, state = manager.run_to_end(simple("print:x", "daemon", "exit:0"))
    assert output == "x\n" and state["State"] == "dead"
