"""Offline batches: a run's calls as files for OpenAI's Batch API, or what speaks its format (vLLM's run-batch).

    with Batch(Path("runs/batch")) as batch:
        async with BatchClient("gpt-5-mini", base_url=url, ledger=ledger, batch=batch) as llm:
            await llm.chat(messages)          # the reply, if it is back; otherwise it is written down, and Waiting

A folder holds the requests (``wave-001-MODEL.jsonl``, …) and, under any name, the files that the service gave back:
its output file and its error file. They are told apart by what their lines hold. A call's ``custom_id`` is the
ledger's key in hex, so a reply that came by batch is the one that a live run finds, and the other way round.

A debate is a chain, so there are several waves: each has the calls that are ready when all that is back is known.

What a line of an error file means: a request that expired, was cancelled or met a busy server goes into the next wave;
one that was refused for a feature that the model lacks is written again without it; all others have failed, which is
data (``ModelCallError``), except where the account or the model is wrong, which stops the run.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from inkfire.errors import BudgetExceeded, DataError, EndpointDown, ModelCallError
from inkfire.files.jsonl import JsonlWriter, open_input, parse_json
from inkfire.llm import features, wire
from inkfire.llm.base import Reply, Usage
from inkfire.llm.client import Client
from inkfire.llm.ledger import Ledger
from inkfire.llm.prices import Amount, estimate_tokens
from inkfire.llm.retry import FIXES, REJECTED, RETRIED, Fault
from inkfire.llm.shared import Shared
from inkfire.llm.structured import well_formed

URL = "/v1/chat/completions"
_MOST_REQUESTS = 50_000  # of one file, as OpenAI has it
_MOST_BYTES = 180_000_000  # of one file: 200 MB with room for what is around a body
_WAVES = 5  # in which the same request is written, at most
_AVOIDED = frozenset(
    {"thinking_off", "stream_off", "max_tokens"}
)  # OpenAI refuses the one; the other has a name that all take
_WAVE = re.compile(r"wave-(\d+)-")


class Waiting(Exception):
    """A reply is not there yet; its request is in a file. ``queries``: how many of a run cannot go on without."""

    def __init__(self, queries: int = 1) -> None:
        super().__init__(f"{queries} queries wait for replies by batch")
        self.queries = queries


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that is no reply. ``where`` names its file and line; ``lacking`` the feature that it refuses."""

    status: int | None
    message: str
    where: str
    lacking: str | None = None

    @property
    def is_passing(self) -> bool:
        """Whether another wave may go better. Without a status the request never reached a model."""
        busy = self.status is None or self.status in RETRIED or (self.status >= 500 and self.status not in REJECTED)
        return busy or self.lacking is not None


@dataclass(slots=True)
class _Call:
    """What the folder holds about one call."""

    model: str = ""
    asked: int = 0
    answer: tuple[Path, int] | None = None  # file and offset: replies stay on the disk until they are needed
    failures: list[Failure] = field(default_factory=list)


class Batch:
    """A folder of requests and answers. Requests appear in it when the block ends well, or at the spend limit.

    Attributes:
        pending: the keys of this run's calls whose reply is not there.
        written: files of requests that this run wrote, with how many each has.

    Raises:
        DataError: a line that is neither a request nor an answer.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pending: set[bytes] = set()
        self.written: dict[Path, int] = {}
        self.lacking: defaultdict[str, set[str]] = defaultdict(set)
        self._calls: defaultdict[bytes, _Call] = defaultdict(_Call)
        self._writers: dict[str, tuple[JsonlWriter, int]] = {}
        self._full: list[JsonlWriter] = []
        self._parts: Counter[str] = Counter()
        self._wave = 1
        for path in sorted(folder.glob("*.jsonl")) if folder.is_dir() else ():
            self._read(path)
        for call in self._calls.values():
            self.lacking[call.model].update(failure.lacking for failure in call.failures if failure.lacking)

    def find(self, key: bytes, *, again: bool = False) -> bytes | None:
        """The body of the reply to a call; None: it is, or has to be, asked.

        Args:
            again: ask anew what has failed.

        Raises:
            ModelCallError: it has failed for good.
            EndpointDown: the account or the model is wrong.
        """
        call = self._calls.get(key)
        if call is None:
            return None
        if call.answer is not None:
            return _body(*call.answer)
        if not call.failures or call.asked > len(call.failures) or again:
            return None
        failure = call.failures[-1]
        if failure.status in FIXES:
            fix = f"{FIXES[failure.status]}; then take this file and its requests away and run this again"
            raise EndpointDown(f"{failure.where}: {fix} (HTTP {failure.status}: {failure.message})")
        if failure.is_passing and len(call.failures) < _WAVES:
            return None
        raise ModelCallError(f"failed in a batch ({failure.status or 'not run'}: {failure.message})")

    def ask(self, key: bytes, model: str, body: bytes) -> None:
        """Write a request down, unless it waits for its answer already."""
        call = self._calls[key]
        if key not in self.pending and call.asked <= len(call.failures):
            self._write(key, model, body)
        self.pending.add(key)

    def _write(self, key: bytes, model: str, body: bytes) -> None:
        writer, size = self._writers.get(model) or (self._begin(model), 0)
        if size + len(body) > _MOST_BYTES or writer.count >= _MOST_REQUESTS:
            self._full.append(writer)
            writer, size = self._begin(model), 0
        writer.write({"custom_id": key.hex(), "method": "POST", "url": URL, "body": json.loads(body)})
        self._writers[model] = writer, size + len(body) + 200

    def _begin(self, model: str) -> JsonlWriter:
        name = re.sub(r"[^\w.-]+", "_", model)
        self._parts[name] += 1
        part = f"-{self._parts[name]}" if self._parts[name] > 1 else ""
        return JsonlWriter(self.folder / f"wave-{self._wave:03}-{name}{part}.jsonl")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for writer in (*self._full, *(writer for writer, _ in self._writers.values())):
            if kind is None or issubclass(kind, BudgetExceeded):
                writer.close()
                self.written[writer.path] = writer.count
            else:
                writer.__exit__(kind, error, at)

    def report(self, queries: int) -> dict[str, Any]:
        """What a run says that waits: calls, files of requests (name → how many) and what to do next."""
        waiting = (
            "1 call waits for its reply"
            if len(self.pending) == 1
            else f"{len(self.pending)} calls wait for their replies"
        )
        lines = [f"{waiting}, for {queries} {'query' if queries == 1 else 'queries'}."]
        lines += [f"  {path}: {n} request{'s' * (n != 1)} to send" for path, n in self.written.items()]
        if earlier := len(self.pending) - sum(self.written.values()):
            lines.append(f"  {earlier} are in earlier files of {self.folder} and not back yet")
        lines.append(
            f"Send each file as a batch of {URL}. When it has ended, put its output file, and its error file if there "
            f"is one, into {self.folder} under any name that ends in .jsonl. Then run the same command again."
        )
        files = {str(path): n for path, n in self.written.items()}
        return {"waiting": len(self.pending), "queries_waiting": queries, "files": files, "next": "\n".join(lines)}

    # ---- the files -------------------------------------------------------------------------------------------------

    def _read(self, path: Path) -> None:
        if match := _WAVE.match(path.name):
            self._wave = max(self._wave, int(match[1]) + 1)
        offset = 0
        with open_input(path) as file:
            for number, raw in enumerate(file, 1):
                if raw.strip():
                    self._take(path, number, offset, parse_json(raw.decode(errors="replace"), path=path, line=number))
                offset += len(raw)

    def _take(self, path: Path, number: int, offset: int, row: Any) -> None:
        try:
            call = self._calls[bytes.fromhex(row["custom_id"])]
            if "method" in row:
                call.asked += 1
                call.model = row["body"]["model"]
                return
            response, error = row.get("response") or {}, row.get("error") or {}
            status, body = response.get("status_code"), response.get("body")
            if status == 200 and isinstance(body, Mapping):
                call.answer = call.answer or (path, offset)
            elif status is not None or error:
                call.failures.append(_failure(status, body, error, f"{path}:{number}"))
            else:
                raise KeyError("response")
        except (KeyError, ValueError, TypeError, AttributeError):
            raise DataError(
                "neither a request that inkfire wrote nor an answer to one; keep other files out of --batch-dir",
                path=path,
                line=number,
            ) from None


def _failure(status: int | None, body: Any, error: Mapping[str, Any], where: str) -> Failure:
    told = body.get("error", body) if isinstance(body, Mapping) else body
    message = (told.get("message") if isinstance(told, Mapping) else told) or error.get("message") or error.get("code")
    text = well_formed(" ".join(str(message).split())[:300])
    named = features.named_feature(text) if status in REJECTED else None
    return Failure(status, text, where, None if named in _AVOIDED else named)


def _body(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return json.dumps(json.loads(file.readline())["response"]["body"]).encode()


class BatchClient(Client):
    """A model that is asked by batch: ``chat`` raises ``Waiting`` where the reply is not there yet.

    The spend limit counts what waits at its worst case, so that no wave is written that could pass it.
    """

    def __init__(self, name: str, *, base_url: str, ledger: Ledger, batch: Batch) -> None:
        super().__init__(name, base_url=base_url, ledger=ledger, terms=ledger.terms)
        self._book = ledger
        self._batch = batch
        self._capabilities.lacking |= _AVOIDED | batch.lacking[self.model]

    async def _draw(self, question: wire.Question, key: bytes, attempt: int, shared: Shared[Reply], room: int) -> Reply:
        prompt_tokens = estimate_tokens(question.messages)
        try:
            again = self._book.retry_unscored
            content = self._batch.find(key, again=again)
            if content is None and self._old_key is not None:  # a folder of an earlier version
                old = wire.attempt_key(question.digest(self._old_key), attempt)
                content = self._batch.find(old, again=again)
            if content is None:
                if key not in self._batch.pending:
                    promised = Amount.of(Usage(prompt_tokens, room), self.price)
                    await self._book.reserve(promised)
                    self._book.purse.settle(promised, promised)
                sent = self._capabilities.usable(wire.features(question), ())
                self._batch.ask(
                    key, self.model, wire.request_body(self.model, question, sent, room=room, extra=self.terms.extra)
                )
                raise Waiting
            completion = wire.read_completion(content, prompt_tokens=prompt_tokens)
        except (ModelCallError, Fault) as error:
            self._count(failures=1)
            raise ModelCallError(f"{self.name} {error}") from error
        entry, reply = self._read(completion, question, key, attempt, 0.0)
        stored = self._book.find(key)
        if stored is None or stored.text != entry.text:  # asked anew, the same answer lies here: it was paid for once
            self._book.purse.take(Amount.of(entry.usage, self.price))
            await self._book.record(entry)
        return reply
