"""What tests of the rating page share: a text that means harm, and the command in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

NASTY = 'Dear <script>document.title = "taken"</script> \u202egnirts\u202c \u200f& <b>you</b>\x1b[31m'


class Served:
    """``inkfire annotate serve`` in a process of its own, which may be killed and begun again."""

    def __init__(self, out: Path):
        self.out = out
        self.urls: dict[str, str] = {}
        self.process: subprocess.Popen[str] | None = None

    def start(self, port: int = 0) -> None:
        command = [sys.executable, "-m", "inkfire", "annotate", "serve", str(self.out), "--port", str(port), "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.urls = json.loads(self.process.stdout.readline())["urls"]

    @property
    def port(self) -> int:
        return int(next(iter(self.urls.values())).split(":")[2].split("/")[0])

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None
