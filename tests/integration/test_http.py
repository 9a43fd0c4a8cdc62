# SPDX-License-Identifier: MIT
"""HTTP as the manager speaks it, where clients do what they rarely do."""
import select
import socket

import pytest

from harness import SLOW, wait_for
from jobs import simple
from test_logs import cpu_ticks, log_config, logs_path


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


@pytest.fixture
def client(manager):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(manager.socket))
        connection.settimeout(20 * SLOW)
        yield connection


def expect_idle(manager):
    before = cpu_ticks(manager.process.pid)
    select.select([], [], [], 1)  # the time that is measured
    assert cpu_ticks(manager.process.pid) - before < 20 * SLOW


def read_until(client, end):
    data = b""
    while not data.endswith(end):
        piece = client.recv(65536)
        assert piece, f"the connection ended after {data[-200:]}"
        data += piece
    return data


@pytest.mark.parametrize("at_once", [True, False])
def test_requests_behind_a_pending_one_wait_and_cost_nothing(manager, client, at_once):
    alloc_id = manager.run_one(simple("pause"))
    manager.wait_running(alloc_id)
    index = manager.alloc(alloc_id)["ModifyIndex"]
    blocked = get(f"/v1/allocation/{alloc_id}?index={index}&wait=100s")
    client.sendall(blocked + get("/v1/agent/health") if at_once else blocked)
    expect_idle(manager)
    client.sendall(get("/v1/node/none"))
    expect_idle(manager)
    manager.stop("job")
    replies = read_until(client, b"none")
    assert replies.count(b"HTTP/1.1 200") == 1 + at_once
    assert replies.count(b"HTTP/1.1 404") == 1
    assert replies.startswith(b"HTTP/1.1 200") and f'"ID":"{alloc_id}"'.encode() in replies


def test_requests_behind_a_reply_that_nobody_reads_cost_nothing(manager, client):
    lines = 40000
    alloc_id = manager.run_one(simple(f"lines:{lines}:0:100", LogConfig=log_config(10, 1)))
    manager.wait_client(alloc_id, "complete")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.sendall(get(logs_path(alloc_id)) + get("/v1/node/none"))
    wait_for(lambda: select.select([client], [], [], 0)[0], "the reply to begin")
    expect_idle(manager)
    assert read_until(client, b"none").count(b"\n") >= lines
