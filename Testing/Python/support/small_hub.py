"""A Hugging Face hub on loopback: the part of its HTTP interface that downloading a model's files uses.

As the real one does, it answers with the commit of a repository, names large files by their SHA-256 and sends them from
another address, takes ranges, and says what is wrong in the header ``X-Error-Code``.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants, file_download

LARGE = ".safetensors"


@dataclass
class SmallHub:
    """What the hub holds and how it behaves; what it was asked for.

    Attributes:
        endpoint: its address, for ``HF_ENDPOINT``.
        storage: where its large files come from; another host, as far as a client can tell.
        files: repository → file name → contents.
        commits: repository → commit hash of what is in `files`; older ones are gone.
        errors: repository → (HTTP status, X-Error-Code) that it answers with.
        breaks_after: close the connection after so many bytes of a large file, once for each entry.
        damages: send other bytes of a large file than its name says.
        etag: what it calls every file, instead of its hash.
        commit_header: what it calls every commit, instead of its hash.
        trickles_after: send so many bytes of an answer's body, and then one a second.
        requests: (method, path, range) of every request.
    """

    endpoint: str = ""
    storage: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=dict)
    errors: dict[str, tuple[int, str]] = field(default_factory=dict)
    breaks_after: list[int] = field(default_factory=list)
    damages: bool = False
    etag: str | None = None
    commit_header: str | None = None
    trickles_after: int | None = None
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)

    def publish(self, repository: str, files: dict[str, bytes], commit: str) -> None:
        self.files[repository] = files
        self.commits[repository] = commit

    def paths(self, method: str) -> list[str]:
        return [path for asked, path, _ in self.requests if asked == method]

    def large_file(self, name: str) -> bytes | None:
        for files in self.files.values():
            for contents in files.values():
                if hashlib.sha256(contents).hexdigest() == name:
                    return contents[::-1] if self.damages else contents
        return None


def use_hub(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have huggingface_hub ask this address, as ``HF_ENDPOINT`` does when it is imported."""
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@contextmanager
def small_hub() -> Iterator[SmallHub]:
    """A hub that serves while the context lasts."""
    hub = SmallHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    # A client that left may leave an answer half sent.
    server.daemon_threads, server.block_on_close = True, False
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    hub.storage = f"http://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub: SmallHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self) -> None:
            hub.requests.append((self.command, self.path, self.headers.get("Range")))
            parts = self.path.strip("/").split("/")
            if parts[0] == "cdn":
                contents = hub.large_file(parts[1])
                if contents is None:
                    self._fail(404, "")
                else:
                    self._send(contents, {"ETag": f'"{parts[1]}"'})
            elif len(parts) == 5 and parts[2] == "resolve":
                self._resolve(f"{parts[0]}/{parts[1]}", parts[3], parts[4])
            else:
                self._fail(404, "")

        def _resolve(self, repository: str, revision: str, name: str) -> None:
            if repository in hub.errors:
                self._fail(*hub.errors[repository])
                return
            if repository not in hub.files:
                self._fail(401, "RepoNotFound")  # as for a private one, without a token
                return
            commit = hub.commits[repository]
            if revision not in ("main", commit):
                self._fail(404, "RevisionNotFound")
                return
            contents = hub.files[repository].get(name)
            if contents is None:
                self._fail(404, "EntryNotFound", {"X-Repo-Commit": commit})
                return
            if name.endswith(LARGE):
                sha256 = hashlib.sha256(contents).hexdigest()
                self.send_response(302)
                self.send_header("Location", f"{hub.storage}/cdn/{sha256}")
                self.send_header("X-Repo-Commit", hub.commit_header or commit)
                self.send_header("X-Linked-ETag", f'"{hub.etag or sha256}"')
                self.send_header("X-Linked-Size", str(len(contents)))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            git_hash = hashlib.sha1(b"blob %d\0" % len(contents) + contents, usedforsecurity=False).hexdigest()
            self._send(contents, {"ETag": f'"{git_hash}"', "X-Repo-Commit": hub.commit_header or commit})

        def _send(self, contents: bytes, headers: dict[str, str]) -> None:
            asked = self.headers.get("Range")
            start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
            self.send_response(206 if asked else 200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(contents) - start))
            self.send_header("Accept-Ranges", "bytes")
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{len(contents) - 1}/{len(contents)}")
            self.end_headers()
            if self.command == "HEAD":
                return
            end = len(contents)
            if self.path.startswith("/cdn/") and hub.breaks_after:
                end = start + hub.breaks_after.pop(0)
                self.close_connection = True
            try:
                if hub.trickles_after is not None and self.path.startswith("/cdn/"):
                    self.wfile.write(contents[start : start + hub.trickles_after])
                    for place in range(start + hub.trickles_after, end):
                        self.wfile.write(contents[place : place + 1])
                        time.sleep(1.0)
                    return
                self.wfile.write(contents[start:end])
            except ConnectionError:
                self.close_connection = True  # the client has had enough: it cancelled

        def _fail(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Handler
