# SPDX-License-Identifier: MIT
"""Small HTTP servers that speak what templates ask of Vault (KV, versions 1 and 2) and of Consul (KV, blocking queries)."""
import base64
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class Listener(ThreadingHTTPServer):
    def handle_error(self, request, address):
        pass  # a handshake that was broken off


class Server:
    token = "s.token"

    def __init__(self):
        self.changed = threading.Condition()
        self.index = 10
        self.requests = []
        self.broken = 0  # how many requests are still to be answered with a 500
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                url = urlsplit(self.path)
                server.requests.append((url.path, dict(self.headers)))
                status, headers, body = server.answer(
                    unquote(url.path), parse_qs(url.query, keep_blank_values=True), self.headers
                )
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # whoever asked is gone

            def log_message(self, *args):
                pass

        self.http = Listener(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def use_tls(self, certificate, client=None):
        """Speaks HTTPS from now on, with those files (certificate, key); asks clients for the one given here."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        if client:
            context.load_verify_locations(client)
            context.verify_mode = ssl.CERT_REQUIRED
        # The handshake is for the connection's thread: one that fails must not end the server.
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.address = f"https://127.0.0.1:{self.http.server_port}"
        return self

    def close(self):
        with self.changed:
            self.index += 1
            self.changed.notify_all()
        self.http.shutdown()
        self.http.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def answer(self, path, query, headers):
        if self.broken:
            self.broken -= 1
            return 500, {}, b"not now"
        return self.look_up(path, query, headers)


class Consul(Server):
    def __init__(self, **keys):
        super().__init__()
        self.keys = dict(keys)

    def set(self, key, value):
        with self.changed:
            self.index += 1
            if value is None:
                self.keys.pop(key, None)
            else:
                self.keys[key] = value
            self.changed.notify_all()

    def look_up(self, path, query, headers):
        if headers.get("X-Consul-Token") != self.token:
            return 403, {}, b"Permission denied"
        assert path.startswith("/v1/kv/")
        key = path[len("/v1/kv/"):]
        with self.changed:
            if "index" in query:
                asked = int(query["index"][0])
                self.changed.wait_for(lambda: self.index > asked, float(query["wait"][0].rstrip("s")))
            keys, index = dict(self.keys), {"X-Consul-Index": str(self.index)}
        if "recurse" in query:
            found = [
                {"Key": k, "Value": base64.b64encode(v.encode()).decode(), "CreateIndex": 1,
                 "ModifyIndex": 2, "LockIndex": 0, "Flags": 0}
                for k, v in sorted(keys.items()) if k.startswith(key)
            ]  # fmt: skip
            return (200, index, json.dumps(found).encode()) if found else (404, index, b"")
        return (200, index, keys[key].encode()) if key in keys else (404, index, b"")


class Vault(Server):
    """Version 2 at secret/, version 1 at kv1/."""

    def __init__(self, secrets=None, old=None, namespace=None):
        super().__init__()
        self.secrets, self.old, self.namespace = dict(secrets or {}), dict(old or {}), namespace

    def look_up(self, path, query, headers):
        if headers.get("X-Vault-Token") != self.token or headers.get("X-Vault-Namespace") != self.namespace:
            return 403, {}, b'{"errors":["permission denied"]}'
        data = self.data(path, query)
        if data is None:
            return 404, {}, b'{"errors":[]}'
        reply = {"request_id": "r", "lease_id": "", "renewable": False, "lease_duration": 0, "data": data}
        return 200, {}, json.dumps(reply).encode()

    def data(self, path, query):
        mounts = "/v1/sys/internal/ui/mounts/"
        if path.startswith(mounts + "secret"):
            return {"path": "secret/", "type": "kv", "options": {"version": "2"}}
        if path.startswith(mounts):
            return {"path": "kv1/", "type": "kv", "options": None}
        if path.startswith("/v1/secret/data/"):
            found = self.secrets.get(path[len("/v1/secret/data/"):])
            return found and {"data": found, "metadata": {"version": 3, "deletion_time": ""}}
        if path.startswith("/v1/secret/metadata") and "list" in query:
            return {"keys": sorted(self.secrets)}
        return self.old.get(path[len("/v1/kv1/"):])
