# SPDX-License-Identifier: MIT
"""A WebSocket client of our own (RFC 6455), and alloc exec over it."""
import base64
import json
import os
import socket
import struct
from urllib.parse import urlencode

from harness import SLOW

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Refused(Exception):
    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text


class WebSocket:
    def __init__(self, manager, path, timeout=20):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout * SLOW)
        self.sock.connect(str(manager.socket))
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self.file = self.sock.makefile("rb")
        status = int(self.file.readline().split()[1])
        headers = {}
        while (line := self.file.readline().strip()):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        if status != 101:
            text = self.file.read(int(headers["content-length"])).decode()
            self.close()
            raise Refused(status, text)

    def close(self):
        """Without a goodbye."""
        self.file.close()
        self.sock.close()

    def send_raw(self, data, opcode=TEXT, final=True):
        mask = os.urandom(4)
        head = struct.pack("!B", opcode | (0x80 if final else 0))
        if len(data) < 126:
            head += struct.pack("!B", 0x80 | len(data))
        elif len(data) < 65536:
            head += struct.pack("!BH", 0x80 | 126, len(data))
        else:
            head += struct.pack("!BQ", 0x80 | 127, len(data))
        pad = (mask * (len(data) // 4 + 1))[:len(data)]
        body = (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(len(data), "big")
        self.sock.sendall(head + mask + body)

    def receive_raw(self):
        """(opcode, payload), or (None, b"") at the end of the connection."""
        head = self.file.read(2)
        if len(head) < 2:
            return None, b""
        size = head[1] & 127
        if size == 126:
            (size,) = struct.unpack("!H", self.file.read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.file.read(8))
        assert head[0] & 0x80, "a message in several frames"
        return head[0] & 15, self.file.read(size)

    def send(self, message):
        self.send_raw(json.dumps(message).encode())

    def receive(self):
        """The next message, or None when the other side has closed."""
        while True:
            opcode, data = self.receive_raw()
            if opcode == TEXT:
                return json.loads(data)
            if opcode in (None, CLOSE):
                self.closed_with = struct.unpack("!H", data[:2])[0] if len(data) > 1 else None
                return None


class Exec(WebSocket):
    """A command in a task."""

    def __init__(self, manager, alloc_id, *command, task="t", tty=False, **options):
        query = urlencode(
            {"task": task, "tty": str(tty).lower(), "command": json.dumps([str(c) for c in command])}
        )
        super().__init__(manager, f"/v1/client/allocation/{alloc_id}/exec?{query}", **options)
        self.output = {"stdout": b"", "stderr": b""}
        self.ended = []  # streams of which the end was told
        self.code = None

    def write(self, data=b"", close=False):
        self.send({"stdin": {"data": base64.b64encode(data).decode(), "close": close}})

    def resize(self, height, width):
        self.send({"tty_size": {"height": height, "width": width}})

    def take(self):
        """Takes one message in; False at the end."""
        message = self.receive()
        if message is None:
            return False
        for name, buffer in self.output.items():
            part = message.get(name, {})
            self.output[name] = buffer + base64.b64decode(part.get("data", ""))
            if part.get("close"):
                self.ended.append(name)
        if message.get("exited"):
            self.code = message["result"]["exit_code"]
        return True

    def wait_output(self, text, stream="stdout"):
        while text not in self.output[stream]:
            assert self.take(), f"no {text} in {self.output}"

    def finish(self):
        """Until the end; returns (exit code, stdout, stderr)."""
        while self.take():
            pass
        self.close()
        return self.code, self.output["stdout"].decode(), self.output["stderr"].decode()
