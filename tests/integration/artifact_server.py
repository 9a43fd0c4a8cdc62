# SPDX-License-Identifier: MIT
"""An HTTP server that does to artifacts what servers and networks do: it is slow, cuts, lies, fails and recovers."""
import hashlib
import hmac
import html
import ssl
import subprocess
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Files by path. A path's fault is a function (handler, file, number of the request) that answers; None: all is well."""

    def __init__(self, tls=None):
        self.files = {}
        self.faults = {}
        self.requests = []  # (path, headers)
        self.gate = threading.Event()  # what waits, waits for this
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.http.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,))
        self.thread.start()

    def close(self):
        self.gate.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def put(self, path, data, fault=None):
        """Returns the file's address."""
        self.files[path] = data
        self.faults[path] = fault
        return self.url + path

    def count(self, path):
        return sum(p == path for p, _ in self.requests)

    def handler(server):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            gate = server.gate

            def do_GET(self):
                path = self.path.partition("?")[0]
                server.requests.append((path, dict(self.headers)))
                data = server.files.get(path)
                fault = server.faults.get(path)
                try:
                    if data is None:
                        self.head(404, 0)
                    elif fault:
                        fault(self, data, server.count(path))
                    else:
                        whole(self, data)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def head(self, status, length, **headers):
                self.send_response(status)
                self.send_header("Content-Length", str(length))
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()

            def cut(self):
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(2)

            def log_message(self, *args):
                pass

        return Handler


def etag(data):
    return f'"{hashlib.md5(data).hexdigest()}"'


def whole(handler, data):
    handler.head(200, len(data))
    handler.wfile.write(data)


def part(handler, data, tag=None):
    """What was asked for, by Range and If-Range. Returns (first byte, end)."""
    tag = tag or etag(data)
    asked = handler.headers.get("Range")
    if not asked or handler.headers.get("If-Range", tag) != tag:
        handler.head(200, len(data), Accept_Ranges="bytes", ETag=tag)
        return 0
    start = int(asked.removeprefix("bytes=").rstrip("-"))
    handler.head(206, len(data) - start, ETag=tag, Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")
    return start


def whole_with_ranges(handler, data, n):
    handler.wfile.write(data[part(handler, data):])


def stops_halfway(handler, data, n):
    """The first time, until the gate is open; parts can be asked for."""
    start = part(handler, data)
    if n == 1:
        handler.wfile.write(data[:len(data) // 2])
        handler.wfile.flush()
        handler.gate.wait(60)
        handler.cut()
    else:
        handler.wfile.write(data[start:])


def cuts(times, at=0.5):
    """Breaks off the first `times` answers; parts can be asked for."""
    def fault(handler, data, n):
        start = part(handler, data)
        if n > times:
            handler.wfile.write(data[start:])
        else:
            handler.wfile.write(data[start:start + int((len(data) - start) * at)])
            handler.cut()
    return fault


def cuts_without_ranges(times):
    def fault(handler, data, n):
        handler.head(200, len(data))
        handler.wfile.write(data if n > times else data[:len(data) // 2])
        if n <= times:
            handler.cut()
    return fault


def changes(handler, data, n):
    """Breaks off, and is another file the next time."""
    if n == 1:
        part(handler, b"o" * len(data))
        handler.wfile.write(b"o" * (len(data) // 2))
        handler.cut()
    else:
        handler.wfile.write(data[part(handler, data):])


def sends_another_part(handler, data, n):
    if n == 1:
        cuts(1)(handler, data, 1)
    elif handler.headers.get("Range"):
        handler.head(206, 10, Content_Range=f"bytes 0-9/{len(data)}")
        handler.wfile.write(data[:10])
    else:
        whole(handler, data)


def fails(times, status=503):
    def fault(handler, data, n):
        if n <= times:
            handler.head(status, 0)
        else:
            whole(handler, data)
    return fault


def promises_more(handler, data, n):
    handler.head(200, len(data) + 1000)
    handler.wfile.write(data)
    handler.cut()


def redirects_to(target):
    def fault(handler, data, n):
        handler.head(302, 0, Location=target)
    return fault


def waits(handler, data, n):
    """Half of it, and the rest when the gate is open."""
    handler.head(200, len(data))
    handler.wfile.write(data[:len(data) // 2])
    handler.wfile.flush()
    handler.gate.wait(60)
    handler.wfile.write(data[len(data) // 2:])


def endless(handler, data, n):
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    while True:
        handler.wfile.write(data)


def asks_for(header, value):
    def fault(handler, data, n):
        if handler.headers.get(header) == value:
            whole(handler, data)
        else:
            handler.head(401, 0)
    return fault


def _sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _words(text):
    return urllib.parse.quote(text, safe="-_.~")


def _signed(h, path, query, key_id, secret, region, token):
    """Whether a request is signed right (AWS Signature Version 4), as Amazon's S3 looks at it."""
    words = dict(w.strip().partition("=")[::2] for w in h.get("Authorization", " ").partition(" ")[2].split(","))
    names = words.get("SignedHeaders", "").split(";")
    pairs = urllib.parse.parse_qsl(query.replace("+", "%2B"), keep_blank_values=True)
    request = "\n".join([
        "GET", "/".join(map(_words, urllib.parse.unquote(path).split("/"))),
        "&".join(sorted(f"{_words(k)}={_words(v)}" for k, v in pairs)),
        "".join(f"{name}:{' '.join(h.get(name, '').split())}\n" for name in names), ";".join(names),
        h.get("x-amz-content-sha256", ""),
    ])  # fmt: skip
    day = h.get("X-Amz-Date", "")[:8]
    scope = f"{day}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{h.get('X-Amz-Date')}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for step in (day, region, "s3", "aws4_request"):
        key = _sign(key, step)
    content = h.get("x-amz-content-sha256") == hashlib.sha256(b"").hexdigest()
    return (content and words.get("Credential") == f"{key_id}/{scope}" and "host" in names
            and words.get("Signature") == _sign(key, text).hex()
            and (not token or "x-amz-security-token" in names and h.get("x-amz-security-token") == token))


def s3(key_id, secret, region, token=None, answer=None):
    """Answers (as the fault `answer` does) if the request is signed right."""
    def fault(handler, data, n):
        url = urllib.parse.urlsplit(handler.path)  # by a proxy all of it comes
        if not _signed(handler.headers, url.path, url.query, key_id, secret, region, token):
            handler.head(403, 0)
        elif answer:
            answer(handler, data, n)
        else:
            whole(handler, data)
    return fault


class Bucket:
    """Objects of a bucket, whose list comes in pages of two."""

    def __init__(self, server, url, *keys):
        """`url`: what stands before the slash and a key; `keys`: as s3() has them."""
        self.server, self.url, self.keys = server, url, keys
        self.objects = {}
        self.listed = 0
        self.path = url.removeprefix(server.url)
        server.put(self.path + "/", b"", s3(*keys, answer=self.list))

    def put(self, key, data, answer=None):
        self.objects[key] = data
        self.server.put(self.path + "/" + urllib.parse.quote(key, safe="/-_.~"), data, s3(*self.keys, answer=answer))

    def list(self, handler, data, n):
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(handler.path).query, keep_blank_values=True))
        assert asked["list-type"] == "2"
        keys = sorted(k for k in self.objects if k.startswith(asked["prefix"]))
        start = int(asked.get("continuation-token", "+/=&0").removeprefix("+/=&"))
        more = start + 2 < len(keys)
        contents = "".join(
            f"<Contents><Key>{html.escape(k)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<Size>{len(self.objects[k])}</Size><Owner><ID>Key</ID></Owner></Contents>" for k in keys[start:start + 2]
        )  # fmt: skip
        self.answer(handler, (
            '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>b</Name><Prefix>{html.escape(asked['prefix'])}</Prefix><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{contents}"
            + (f"<NextContinuationToken>+/=&amp;{start + 2}</NextContinuationToken>" if more else "")
            + "</ListBucketResult>"))  # fmt: skip

    def answer(self, handler, text):
        self.listed += 1
        whole(handler, text.encode())


def certificate(directory, name, san="IP:127.0.0.1"):
    """A certificate that signs itself, for that address or name: (certificate, key)."""
    cert, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", cert, "-days", "2", "-subj", f"/CN={name}", "-addext",
         f"subjectAltName={san}"],
        check=True, capture_output=True,
    )  # fmt: skip
    cert.chmod(0o644)
    return cert, key
