"""A model hub on loopback, and wheels in a folder: what the registry downloads from, without a network."""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Hub:
    """Serves ``files`` (URL path → bytes); a context manager.

    Attributes:
        states: the SHA-256 that it states for a path, where that is not the one of what it serves.
        serves: what every GET gives, where that is not what HEAD promises.
        token: without which it gives nothing, where it is not empty.
        agents: the User-Agent of every request so far.
        ranges: the Range header of every GET so far (empty where there was none).
        drop_after: bytes after which a connection is cut, for each of the next GETs.
        resets: whether a cut connection is reset rather than closed.
        knows_ranges: whether it honours Range.
    """

    def __init__(self, files: dict[str, bytes]):
        self.files = files
        self.states: dict[str, str] = {}
        self.serves: bytes | None = None
        self.token = ""
        self.agents: list[str] = []
        self.ranges: list[str] = []
        self.drop_after: list[int] = []
        self.resets = False
        self.knows_ranges = True
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Hub:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(hub) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None: ...

            def asked(self) -> bytes | None:
                """What is at the path; None after an error was sent."""
                hub.agents.append(self.headers.get("User-Agent", ""))
                if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
                    self.send_error(401)
                elif self.path not in hub.files:
                    self.send_error(404)
                else:
                    return hub.files[self.path]
                return None

            def do_HEAD(self) -> None:
                content = self.asked()
                if content is None:
                    return
                self.send_response(302)
                self.send_header("Location", "http://storage.invalid/elsewhere")
                stated = hub.states.get(self.path, hashlib.sha256(content).hexdigest())
                self.send_header("X-Linked-Etag", f'"{stated}"')
                self.send_header("X-Linked-Size", str(len(content)))
                self.end_headers()

            def do_GET(self) -> None:
                hub.ranges.append(self.headers.get("Range", ""))
                content = self.asked()
                if content is None:
                    return
                content = content if hub.serves is None else hub.serves
                ranged = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if hub.knows_ranges else None
                body = content[int(ranged[1]) :] if ranged else content
                self.send_response(206 if ranged else 200)
                self.send_header("Content-Length", str(len(body)))
                if ranged:
                    self.send_header("Content-Range", f"bytes {ranged[1]}-{len(content) - 1}/{len(content)}")
                self.end_headers()
                if not hub.drop_after:
                    self.wfile.write(body)
                    return
                self.wfile.write(body[: hub.drop_after.pop(0)])
                if hub.resets:
                    time.sleep(0.2)  # a reset also takes what was not read yet
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()

        return Handler


def make_wheel(folder: Path, name: str, files: dict[str, bytes]) -> None:
    """A wheel ``name`` ==1.0 that pip accepts."""
    stem = f"{name.replace('-', '_')}-1.0"
    info = {
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{stem}.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{stem}.dist-info/RECORD": b"",
    }
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        for path, content in (files | info).items():
            archive.writestr(path, content)
