"""A model hub on loopback, and wheels in a folder: what the registry downloads from, without a network."""

from __future__ import annotations

import hashlib
import re
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Hub:
    """Serves ``files`` (URL path → bytes); a context manager.

    Attributes:
        ranges: the Range header of every GET so far (empty where there was none).
        drop_after: bytes after which a connection is cut, for each of the next GETs.
        knows_ranges: whether it honours Range.
    """

    def __init__(self, files: dict[str, bytes]):
        self.files = files
        self.ranges: list[str] = []
        self.drop_after: list[int] = []
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

            def do_HEAD(self) -> None:
                content = hub.files.get(self.path)
                self.send_response(404 if content is None else 302)
                if content is not None:
                    self.send_header("Location", "/elsewhere")
                    self.send_header("X-Linked-Etag", f'"{hashlib.sha256(content).hexdigest()}"')
                    self.send_header("X-Linked-Size", str(len(content)))
                self.end_headers()

            def do_GET(self) -> None:
                hub.ranges.append(self.headers.get("Range", ""))
                content = hub.files.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if hub.knows_ranges else None
                body = content[int(asked[1]) :] if asked else content
                self.send_response(206 if asked else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: hub.drop_after.pop(0)] if hub.drop_after else body)

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
