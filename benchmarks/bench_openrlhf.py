"""OpenRLHF 0.11.2's own client code against the reward server, and its request again, byte for byte.

    python benchmarks/bench_openrlhf.py [--env FOLDER] [--record FILE]

Installs openrlhf (without what it depends on) and aiohttp into an environment of its own, lets its executor of single
turns ask a server of ours (openrlhf_client.py) through a recorder, and holds what comes of it against the reward
itself: a text without a score gets the mean of the others. Then the first recorded request is sent again as it was.
``--record`` keeps it. Its trainer and engines are not run: they need GPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import venv
from pathlib import Path
from typing import Any

from served import served

VERSION = "0.11.2"
TOKEN = "a-token-for-the-recording"
PROMPT = "<|im_start|>system\nYou write wishes.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
REWARD = "def length(query, response):\n    return None if '?' in response else len(query) + 1000 * len(response)\n"
ROWS = [("a wish for Ana", "Dear Ana, 愿你 well.", "a wish for Ana"), ("a wish for Bo", "Dear Bo!", None)]
LAST = ("a wish for Cy", "what?", None)


def environment(folder: Path) -> str:
    """The Python of an environment with OpenRLHF's code."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "-q"]
        subprocess.run([*pip, "aiohttp"], check=True)
        subprocess.run([*pip, "--no-deps", f"openrlhf=={VERSION}"], check=True)
    return str(python)


class Recorder:
    """Stands before the server and keeps what clients send, a connection each."""

    def __init__(self, host: str, port: int):
        self.to, self.sent = (host, port), list[bytearray]()
        self.socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def _accept(self) -> None:
        while True:
            inside, _ = self.socket.accept()
            outside = socket.create_connection(self.to)
            kept = bytearray()
            self.sent.append(kept)
            threading.Thread(target=_pass, args=(inside, outside, kept), daemon=True).start()
            threading.Thread(target=_pass, args=(outside, inside, bytearray()), daemon=True).start()


def _pass(of: socket.socket, to: socket.socket, kept: bytearray) -> None:
    while data := of.recv(65536):
        kept += data
        to.sendall(data)
    to.shutdown(socket.SHUT_WR)


def asked_by(python: str, url: str, rows: list[tuple[str, str, str | None]]) -> list[dict[str, Any]]:
    given = json.dumps([(PROMPT.format(query), f"{text}<|im_end|>", label) for query, text, label in rows])
    command = [python, str(Path(__file__).with_name("openrlhf_client.py")), url]
    found = subprocess.run(command, input=given, text=True, capture_output=True, check=True)
    return json.loads(found.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def again(host: str, port: int, request: bytes) -> dict[str, Any]:
    """Send bytes as they are; the body of what is answered."""
    with socket.create_connection((host, port)) as connection:
        connection.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
            answer += connection.recv(65536)
    return json.loads(answer.partition(b"\r\n\r\n")[2])  # type: ignore[no-any-return]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--env", type=Path, default=Path("runs/openrlhf-env"))
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    python = environment(options.env)
    os.environ["INKFIRE_TOKEN"] = TOKEN
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reward.py"
        path.write_text(REWARD)
        with served(f"python:{path}:length") as told:
            host, _, port = told["url"].removeprefix("http://").rpartition(":")
            recorder = Recorder(host, int(port))
            url = f"http://inkfire:{TOKEN}@127.0.0.1:{recorder.port}/openrlhf"
            found = asked_by(python, url, ROWS) + asked_by(python, url, [LAST])
            request = bytes(next(sent for sent in recorder.sent if b"Ana" in sent))
            repeated = again(host, int(port), request)
    rewards = [float(len(query) + 1000 * len(text)) for query, text, _ in ROWS]
    expected = [*rewards, sum(rewards) / 2]
    missing = [0.0, 0.0, 1.0]
    good = [
        row["reward"] == [reward] and 0 <= row["scores"][0] <= 1 and row["extra_logs"] == {"missing": [gone]}
        for row, reward, gone in zip(found, expected, missing, strict=True)
    ]
    same = repeated["rewards"] == [rewards[0]]
    print(f"OpenRLHF {VERSION}'s executor: {sum(good)} of {len(good)} texts have what the reward gives ({found})")
    print(f"its request again, {len(request)} bytes: {'the same' if same else repeated}")
    if options.record:
        options.record.write_bytes(request)
    return 0 if all(good) and same else 1


if __name__ == "__main__":
    sys.exit(main())
