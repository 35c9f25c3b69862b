"""A hub on loopback that lies, is slow, or says nothing: every way in which downloading a model can go wrong."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = b'{"model_type": "sam"}'
WEIGHTS = bytes(range(256)) * 400

LYING = (
    "another file than its hash", "fewer bytes than announced", "more bytes than announced", "a size of 10^15 bytes",
    "a hash that leads out of the cache", "a hash that is an absolute path", "a hash that is no hash", "no hash",
    "a commit that leads out of the cache", "a redirect to itself", "a redirect to a file", "a redirect to nowhere",
    "error 500", "error 429", "a login page", "a configuration without end", "a header of a megabyte", "noise",
)  # fmt: skip
MAY_SUCCEED = ("a hash that is no hash", "no hash")
"""The bytes arrive; that nobody vouches for them has to be said."""
SLOW = ("silence", "silence in the middle of the weights", "a byte now and then")


@contextmanager
def hostile_hub(behaviour: str) -> Iterator[str]:
    """The address of a hub that behaves so while the context lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(behaviour))
    server.daemon_threads = True
    server.block_on_close = False
    server.handle_error = lambda *_: None  # clients that have had enough
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def _handler(behaviour: str) -> type[BaseHTTPRequestHandler]:
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    etags = {
        "a hash that leads out of the cache": "../../../../escaped",
        "a hash that is an absolute path": "/tmp/attack-escaped",  # noqa: S108 (nothing may be written there)
        "a hash that is no hash": "0123",
        "no hash": "",
    }
    commits = {"a commit that leads out of the cache": "../../../../escaped"}
    redirects = {"a redirect to a file": "file:///etc/hostname", "a redirect to nowhere": "http://127.0.0.1:9/x"}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            with suppress(OSError):
                self._answer()

        def do_GET(self) -> None:
            with suppress(OSError):
                self._answer()

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self) -> None:
            is_weights = self.path.endswith("model.safetensors")
            contents = WEIGHTS if is_weights else CONFIG
            if behaviour == "silence":
                time.sleep(3600)
            elif behaviour == "noise":
                self.wfile.write(bytes(range(256)) * 10)
                self.close_connection = True
            elif behaviour.startswith("error "):
                self._head(int(behaviour.split()[1]), {"Content-Length": "0"})
            elif behaviour == "a login page":
                self._whole(b"<html>Log in</html>", {"Content-Type": "text/html"})
            elif behaviour == "a redirect to itself":
                self._head(302, {"Location": self.path, "Content-Length": "0"} | self._names(contents))
            elif behaviour in redirects:
                self._head(302, {"Location": redirects[behaviour], "Content-Length": "0"} | self._names(contents))
            elif behaviour == "a configuration without end" and not is_weights:
                self._head(200, {"Transfer-Encoding": "chunked"} | self._names(contents))
                while self.command == "GET":
                    self.wfile.write(b"10000\r\n" + b" " * 2**16 + b"\r\n")
            elif is_weights:
                self._weights()
            else:
                self._whole(contents, self._names(contents))

        def _weights(self) -> None:
            names = self._names(WEIGHTS)
            if behaviour == "another file than its hash":
                self._whole(WEIGHTS[::-1], names)
            elif behaviour == "fewer bytes than announced":
                self._whole(WEIGHTS, names, said=len(WEIGHTS) * 2)
            elif behaviour == "more bytes than announced":
                self._head(200, names | {"Transfer-Encoding": "chunked"})
                if self.command == "GET":
                    self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (2 * len(WEIGHTS), WEIGHTS * 2))
            elif behaviour == "a size of 10^15 bytes":
                self._whole(WEIGHTS, names | {"X-Linked-Size": str(10**15)}, said=10**15)
            elif behaviour == "silence in the middle of the weights":
                self._head(200, names | {"Content-Length": str(len(WEIGHTS))})
                if self.command == "GET":
                    self.wfile.write(WEIGHTS[:1000])
                    time.sleep(3600)
            elif behaviour == "a byte now and then":
                self._head(200, names | {"Content-Length": str(len(WEIGHTS))})
                for n in range(len(WEIGHTS) if self.command == "GET" else 0):
                    self.wfile.write(WEIGHTS[n : n + 1])
                    time.sleep(0.5)
            else:
                self._whole(WEIGHTS, names)

        def _names(self, contents: bytes) -> dict[str, str]:
            is_weights = contents is WEIGHTS
            etag = etags.get(behaviour, sha256) if is_weights else hashlib.sha256(contents).hexdigest()[:40]
            names = {"X-Repo-Commit": commits.get(behaviour, COMMIT), "ETag": f'"{etag}"'}
            if is_weights:
                names |= {"X-Linked-ETag": f'"{etag}"', "X-Linked-Size": str(len(contents))}
            if behaviour == "a header of a megabyte":
                names["X-More"] = "x" * 2**20
            return {name: value for name, value in names.items() if value.strip('"')}

        def _head(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def _whole(self, contents: bytes, headers: dict[str, str], said: int | None = None) -> None:
            self._head(200, headers | {"Content-Length": str(len(contents) if said is None else said)})
            if self.command == "GET":
                self.wfile.write(contents)
            if said is not None:
                self.close_connection = True

    return Handler
