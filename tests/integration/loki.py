# SPDX-License-Identifier: MIT
"""As much of Loki as a shipper needs: takes what is pushed (protobuf, compressed with snappy) and writes
it down as JSON lines."""
import http.server
import json
import re
import threading

LABEL = re.compile(r'(\w+)="([^"]*)"')


def varint(data, at):
    """(the number at `at`, where it ends)."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def unsnappy(data):
    """Snappy's block format: literals, and copies of what has come out already."""
    size, at = varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        kind, length = tag & 3, (tag >> 2) + 1
        if kind == 0:
            if length > 60:
                more = length - 60
                length = int.from_bytes(data[at : at + more], "little") + 1
                at += more
            out += data[at : at + length]
            at += length
            continue
        if kind == 1:
            length, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at]
            at += 1
        else:
            width = 2 if kind == 2 else 4
            offset = int.from_bytes(data[at : at + width], "little")
            at += width
        begin = len(out) - offset
        piece = out[begin : begin + length]
        out += (piece * (length // offset + 1))[:length] if offset < length else piece
    assert len(out) == size
    return bytes(out)


def fields(data):
    """The fields of a message that are not numbers: (number, bytes)."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        size, at = varint(data, at)
        if key & 7 == 2:
            yield key >> 3, data[at : at + size]
            at += size
        else:
            assert key & 7 == 0


def records(push):
    """PushRequest, Stream, Entry and LabelPair: of each line its text, its labels and its metadata."""
    for _, stream in fields(push):
        labels = {}
        for number, value in fields(stream):
            if number == 1:
                labels = dict(LABEL.findall(value.decode()))
            elif number == 2:
                record = dict(labels, message="")
                for part, content in fields(value):
                    if part == 2:
                        record["message"] = content.decode()
                    elif part == 3:
                        pair = dict(fields(content))
                        record[pair[1].decode()] = pair[2].decode()
                yield record


class Loki:
    def __init__(self, out):
        self.seen = seen = set()  # of each line, which may come twice

        class Push(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                lines = [json.dumps(record) + "\n" for record in records(unsnappy(body))]
                with open(out, "a") as file:
                    file.writelines(lines)
                seen.update(map(hash, lines))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Push)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
