"""A stand-in for a paid OpenAI-compatible endpoint: slow, busy, faulty in measured doses, and always the same.

- Replies are a function of the request alone: with a JSON schema, an object that satisfies it; else a short text.
- Embeddings count the character pairs of a text, so that texts alike have vectors alike.
- Latency is log-normal with a fixed seed per request; at most ``capacity`` requests are served at once, the others
  queue (or get a 429 when more than ``queue`` wait).
- Faults come in the given rates, decided by the request and by how often it was asked: a retry meets its own fate.
- Every answered request is in ``log``, and in a JSON Lines file where one is given, flushed per line.

    async with Stub(latency=0.4, sigma=0.6, capacity=64, faults=Faults(http_500=0.1)) as stub:
        client = Client("stub", base_url=stub.url, ...)

As a process of its own (prints its URL, then serves until its standard input ends):

    python tests/stub_endpoint.py --latency 0.4 --sigma 0.6 --capacity 64 --log requests.jsonl
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Body = dict[str, Any]
Answer = str | tuple[int, Body | bytes] | tuple[int, Body | bytes, dict[str, str]]


@dataclass(frozen=True)
class Faults:
    """Rates of injected faults. ``malformed`` is half a body that is no JSON and half a reply that is no completion."""

    http_500: float = 0.0
    http_429: float = 0.0
    reset: float = 0.0
    hang: float = 0.0
    malformed: float = 0.0
    retry_after: float = 0.2  # seconds, in the header of a 429

    def draw(self, rng: random.Random) -> str | None:
        point = rng.random()
        for name in ("http_500", "http_429", "reset", "hang", "malformed"):
            point -= getattr(self, name)
            if point < 0:
                return name
        return None


@dataclass
class Request:
    """One request that arrived. Times are seconds since the epoch; ``answered`` is None where nothing was sent."""

    key: str
    nth: int
    arrived: float
    service: float
    answered: float | None = None
    status: int | None = None
    fault: str | None = None
    body: Body = field(default_factory=dict, repr=False)


class Stub:
    """The server. ``reply`` maps a request's body to a text, or to a status, a JSON body and headers.

    Args:
        latency: median seconds of service; 0 answers at once.
        sigma: of the log-normal distribution.
        capacity: requests served at once; None: no limit.
        queue: how many may wait for capacity before a 429; None: no limit.
        unsupported: top-level fields of a request that are refused with a 400, as strict endpoints do.
        api_key: refuses others with a 401.
        usage: whether replies report usage.
        mark: where log-probabilities are asked for, "Good" is likelier than "Bad" if the last message holds this text;
            or the probability of "Good" after the last message.
    """

    def __init__(
        self,
        *,
        reply: Callable[[Body], Answer] | None = None,
        latency: float = 0.0,
        sigma: float = 0.0,
        capacity: int | None = None,
        queue: int | None = None,
        faults: Faults = Faults(),
        unsupported: tuple[str, ...] = (),
        api_key: str | None = None,
        usage: bool = True,
        mark: str | Callable[[str], float] | None = None,
        seed: int = 0,
        port: int = 0,
        log_file: Path | None = None,
    ) -> None:
        self.reply = reply or default_reply
        self.paths: list[str] = []
        self.latency = latency
        self.sigma = sigma
        self.queue = queue
        self.faults = faults
        self.unsupported = unsupported
        self.api_key = api_key
        self.usage = usage
        self.mark = mark
        self.seed = seed
        self.log: list[Request] = []
        self.in_service = 0
        self.most_in_service = 0
        self._waiting = 0
        self._asked: Counter[str] = Counter()
        self._capacity = asyncio.Semaphore(capacity) if capacity else contextlib.nullcontext()
        self._port = port
        self._log_file = log_file.open("a", encoding="utf-8") if log_file else None
        self._connections: set[_Connection] = set()
        self.connections_made = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self._port)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in list(self._connections):
            connection.abort()
        await self._server.wait_closed()
        if self._log_file is not None:
            self._log_file.close()

    # ---- one request -----------------------------------------------------------------------------------------------

    async def serve(self, connection: _Connection, path: str, headers: dict[str, str], content: bytes) -> None:
        request = self._arrive(content)
        try:
            if self.queue is not None and self._waiting >= self.queue:
                return self._send(
                    connection, request, *_error(429, "busy", {"Retry-After": str(self.faults.retry_after)})
                )
            self._waiting += 1
            async with self._capacity:
                self._waiting -= 1
                self.in_service += 1
                self.most_in_service = max(self.most_in_service, self.in_service)
                try:
                    if request.service:
                        await asyncio.sleep(request.service)
                    await self._answer(connection, request, path, headers)
                finally:
                    self.in_service -= 1
        except (ValueError, KeyError, TypeError) as error:
            self._send(connection, request, *_error(400, f"bad request: {error!r}"))

    def _arrive(self, content: bytes) -> Request:
        body = json.loads(content) if content else {}
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
        self._asked[key] += 1
        rng = random.Random(f"{self.seed} {key} {self._asked[key]}")
        service = self.latency * rng.lognormvariate(0.0, self.sigma) if self.latency else 0.0
        return Request(key, self._asked[key], time.time(), service, fault=self.faults.draw(rng), body=body)

    async def _answer(self, connection: _Connection, request: Request, path: str, headers: dict[str, str]) -> None:
        if self.api_key is not None and headers.get("authorization") != f"Bearer {self.api_key}":
            return self._send(connection, request, *_error(401, "Incorrect API key provided"))
        self.paths.append(path)
        if not path.partition("?")[0].endswith(("/v1/chat/completions", "/v1/embeddings")):
            return self._send(connection, request, *_error(404, f"no such path: {path}"))
        for name in self.unsupported:
            if name in request.body:
                return self._send(connection, request, *_error(400, f"Unrecognized request argument supplied: {name}"))
        match request.fault:
            case "http_500":
                return self._send(connection, request, *_error(500, "internal error"))
            case "http_429":
                wait = {"Retry-After": str(self.faults.retry_after)}
                return self._send(connection, request, *_error(429, "slow down", wait))
            case "reset":
                self._note(request, None)
                return connection.abort()
            case "hang":
                self._note(request, None)
                return None
            case "malformed":
                content = b'{"choices": [{"mess' if int(request.key, 16) % 2 else b'{"object": "error"}'
                return self._send(connection, request, 200, content, {})
        if path.endswith("/embeddings"):
            return self._send(connection, request, 200, self._embeddings(request.body), {})
        answer = self.reply(request.body)
        if isinstance(answer, tuple):
            status, body, *extra = answer
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return self._send(connection, request, status, content, extra[0] if extra else {})
        return self._send(connection, request, 200, self._completion(request.body, answer), {})

    def _completion(self, body: Body, text: str) -> bytes:
        choice: Body = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        if body.get("logprobs"):
            alternatives = [{"token": text[:1] or " ", "logprob": -0.1}, {"token": "?", "logprob": -2.5}]
            if self.mark is not None:
                alternatives = _words(body["messages"][-1]["content"], self.mark)
            choice["logprobs"] = {"content": [{**alternatives[0], "top_logprobs": alternatives}]}
        out: Body = {"id": "stub", "object": "chat.completion", "created": 0, "model": body.get("model")}
        out["choices"] = [choice]
        if self.usage:
            prompt = sum(len(message["content"]) for message in body["messages"]) // 4 + 1
            completion = len(text) // 4 + 1
            out["usage"] = {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
            }
        return json.dumps(out).encode()

    def _embeddings(self, body: Body) -> bytes:
        rows = [{"object": "embedding", "index": i, "embedding": vector(text)} for i, text in enumerate(body["input"])]
        out: Body = {"object": "list", "model": body.get("model"), "data": rows[::-1]}  # no order is promised
        if self.usage:
            out["usage"] = {"prompt_tokens": sum(len(text) // 4 + 1 for text in body["input"])}
        return json.dumps(out).encode()

    def _send(
        self, connection: _Connection, request: Request, status: int, content: bytes, headers: dict[str, str]
    ) -> None:
        if connection.send(status, content, headers):
            self._note(request, status)

    def _note(self, request: Request, status: int | None) -> None:
        request.status = status
        request.answered = None if status is None else time.time()
        self.log.append(request)
        if self._log_file is not None:
            line = {k: v for k, v in asdict(request).items() if k != "body"}
            self._log_file.write(json.dumps(line) + "\n")
            self._log_file.flush()


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> tuple[int, bytes, dict[str, str]]:
    return status, json.dumps({"error": {"message": message, "type": "stub", "code": None}}).encode(), headers or {}


def _words(text: str, mark: str | Callable[[str], float]) -> list[Body]:
    """How likely "Good" and "Bad" are after a text: surely as its mark says, how surely is the text's own."""
    sure = random.Random(text).uniform(0.6, 0.95)
    good = mark(text) if callable(mark) else sure if mark in text else 1 - sure
    return [{"token": word, "logprob": math.log(p)} for word, p in (("Good", good), ("Bad", 1 - good))]


def vector(text: str, dimensions: int = 64) -> list[float]:
    """How often each pair of characters (hashed) is in a text."""
    counts = [0.0] * dimensions
    for pair in (text[i : i + 2] for i in range(len(text))):
        counts[hashlib.sha256(pair.encode()).digest()[0] % dimensions] += 1.0
    return counts


def default_reply(body: Body) -> str:
    """A reply that is a function of the request: an object of its schema, or a line of text."""
    rng = random.Random(json.dumps([body["messages"], body.get("seed")], sort_keys=True))
    response_format = body.get("response_format", {})
    if response_format.get("type") == "json_schema":
        return json.dumps(_instance(response_format["json_schema"]["schema"], rng), ensure_ascii=False)
    return "Reply " + "".join(rng.choice("abcdefghijklmnopqrstuvwxyz ") for _ in range(40)).strip()


def _instance(schema: Body, rng: random.Random) -> Any:
    if "enum" in schema:
        return rng.choice(schema["enum"])
    match schema.get("type"):
        case "object":
            return {name: _instance(child, rng) for name, child in schema.get("properties", {}).items()}
        case "array":
            n = rng.randint(schema.get("minItems", 1), schema.get("maxItems", 3))
            return [_instance(schema["items"], rng) for _ in range(n)]
        case "integer":
            return rng.randint(schema.get("minimum", 0), schema.get("maximum", 9))
        case "number":
            return round(rng.random(), 3)
        case "boolean":
            return rng.random() < 0.5
    return "because " + "".join(rng.choice("abcdefgh ") for _ in range(30)).strip()


class _Connection(asyncio.Protocol):
    """As much of HTTP/1.1 as a client of ours sends: one request after the other, with a Content-Length."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._buffer = b""
        self._serving: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._stub._connections.add(self)
        self._stub.connections_made += 1

    def connection_lost(self, error: Exception | None) -> None:
        self._stub._connections.discard(self)
        if self._serving is not None:
            self._serving.cancel()

    def abort(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        path = lines[0].split(" ")[1]
        self._serving = asyncio.get_running_loop().create_task(self._stub.serve(self, path, headers, rest[:length]))

    def send(self, status: int, content: bytes, headers: dict[str, str]) -> bool:
        """Whether somebody was still there to be answered."""
        if self._transport.is_closing():
            return False
        headers = {"Content-Type": "application/json", "Content-Length": str(len(content))} | headers
        lines = [f"HTTP/1.1 {status} Stub", *(f"{name}: {value}" for name, value in headers.items())]
        self._transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        return True


@contextlib.contextmanager
def served(
    reply: Callable[[Body], Answer] | None = None, mark: str | Callable[[str], float] | None = None
) -> Iterator[Stub]:
    """A stub that serves from inkfire's own event loop, for tests that have none."""
    from inkfire.llm import loop  # the server in a process of its own loads no inkfire

    stub = Stub(reply=reply, mark=mark)
    loop.run(stub.__aenter__())
    try:
        yield stub
    finally:
        loop.run(stub.__aexit__(None, None, None))


async def _main(options: argparse.Namespace) -> None:
    names = {f.name for f in fields(Faults)}
    faults = Faults(**{name: value for name, value in vars(options).items() if name in names})
    rest = {name: value for name, value in vars(options).items() if name not in names}
    async with Stub(**rest, faults=faults) as stub:
        print(stub.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)  # until whoever started us is gone


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A stand-in for an OpenAI-compatible endpoint.")
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--sigma", type=float, default=0.0)
    parser.add_argument("--capacity", type=int)
    parser.add_argument("--queue", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--mark")
    parser.add_argument("--log", dest="log_file", type=Path)
    for fault in fields(Faults):
        parser.add_argument("--" + fault.name.replace("_", "-"), type=float, default=fault.default)
    asyncio.run(_main(parser.parse_args()))
