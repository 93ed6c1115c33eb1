"""Who writes: a policy's name → its texts, whoever writes them.

    a folder, hf/ORG/NAME     a policy or a model, as weights in this process
    local/NAME, a .gguf       the embedded engine
    a file                    texts written elsewhere: {query, response}
    anything else             a model at the endpoint

A text that did not come is None: counted and left out, never an empty one.

    sources = sources_of({"base": "local/smollm2-135m", "sft": "runs/sft", "gpt": "gpt-5-mini"})
    writer = open_writer(context, sources["gpt"], task)
    written(context, "gpt", lambda: writer, ["a wish for Easter"], Drawing(temperature=0.7, max_tokens=60)).texts
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from inkfire.errors import InputError, ModelCallError, ModelNameError
from inkfire.files.formats import iter_texts
from inkfire.files.jsonl import JsonlWriter, parse_json, read_jsonl
from inkfire.files.reading import AS_IT_STANDS, Reading
from inkfire.llm import futile, loop, stream
from inkfire.llm.base import LLM, Sampling
from inkfire.models import store
from inkfire.models.card import CARD, Card, is_policy
from inkfire.models.open import check_name, is_local
from inkfire.runs.context import Context, note
from inkfire.runs.memory import Peak, give_back
from inkfire.runs.speed import Clock, of_texts
from inkfire.tasks.task import Task

if TYPE_CHECKING:
    from inkfire.models.policy import Policy

Text = str | None
Advance = Callable[[int, int], None]
"""Told of so many more texts, and how many of them did not come."""

_BATCH = 32  # texts that weights in this process write at once
_DATA = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".gz")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Source:
    """A policy as a command names it, and what that means."""

    name: str
    kind: Literal["weights", "engine", "endpoint", "texts"]

    @classmethod
    def of(cls, name: str) -> Source:
        path = Path(name)
        if name.startswith("hf/") or path.is_dir():
            return cls(name, "weights")
        if is_local(name):
            return cls(name, "engine")
        return cls(name, "texts" if path.is_file() or path.suffix in _DATA else "endpoint")

    @property
    def path(self) -> Path | None:
        """Where it lies, if its name is that of a file or folder."""
        return Path(self.name) if Path(self.name).exists() else None

    @property
    def is_base(self) -> bool:
        """Whether its name alone would mean another engine: it is the base of a policy that it is compared with."""
        return self.kind == "weights" and Source.of(self.name).kind != "weights"

    def described(self, placeholder: str) -> str:
        """What a manifest says: for a path a placeholder, under which its hash stands among the inputs."""
        return self.name if self.path is None else f"<{placeholder}>"

    def check(self, task: Task | None, *, base_url: str | None = None) -> None:
        """Whether it can write, as far as that is known without a download or a request.

        Args:
            task: whose template is used; a policy brings its own.

        Raises:
            InputError: why not, and what to write instead.
        """
        if is_policy(self.name) or self.kind == "texts":
            return
        if task is None:
            raise InputError(f"{self.name}: no policy (it has no {CARD}); for a model's name, name a task too: --task")
        task.require("writer")
        if self.is_base:
            return
        above = Path(self.name).parent
        if self.kind == "endpoint" and (self.name[0] in "./~" or (above != Path() and above.is_dir())):
            raise ModelNameError(f"{self.name}: no such file or folder")
        try:
            check_name(self.name, base_url=base_url, weights=self.kind == "weights")
        except InputError as error:
            if self.kind == "endpoint" and _HUB_ID.fullmatch(self.name):
                raise InputError(f"{error}; for weights from the hub write hf/{self.name}") from None
            raise


def sources_of(policies: Mapping[str, str]) -> dict[str, Source]:
    """What the names of policies that are compared mean.

    The base of one of them is weights in this process too, whoever its name alone would mean: beside it, the engine's
    other precision would count as what training did.
    """
    bases = {_weights(Card.read(Path(at)).base) for at in policies.values() if is_policy(at)}
    found = {name: Source.of(at) for name, at in policies.items()}
    return {
        name: Source(source.name, "weights") if _weights(source.name) in bases else source
        for name, source in found.items()
    }


def as_weights(model: str) -> str:
    """A model that is trained, by its name as a policy: a bare hub id would be an endpoint's model."""
    return model if is_local(model) or model.startswith("hf/") or Path(model).is_dir() else f"hf/{model}"


def _weights(name: str) -> str:
    """One name for what may be named in several ways."""
    bare = name.removeprefix("local/").removeprefix("hf/")
    return str(Path(bare).resolve()) if Path(bare).exists() else bare


# ---- whoever writes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How texts are drawn: ``n`` for each query."""

    n: int = 1
    temperature: float
    max_tokens: int
    seed: int = 0


class Writer(Protocol):
    @property
    def by(self) -> str:
        """What writes, and at which precision, in words."""
        ...

    def write(self, queries: Sequence[str], how: Drawing, *, done: int, advance: Advance) -> Iterator[Sequence[Text]]:
        """The texts of each query after the first ``done``, in order; the same ones wherever it begins."""
        ...


@dataclass(frozen=True)
class WeightsWriter:
    """A policy, or a model with a task's template, in this process."""

    policy: Policy

    @property
    def by(self) -> str:
        return f"weights in this process, {str(self.policy.model.dtype).removeprefix('torch.')}"

    def write(self, queries: Sequence[str], how: Drawing, *, done: int, advance: Advance) -> Iterator[Sequence[Text]]:
        step = max(1, _BATCH // how.n)
        for start in range(done - done % step, len(queries), step):
            texts = self.policy.generate(
                queries[start : start + step],
                n=how.n,
                temperature=how.temperature,
                max_new_tokens=how.max_tokens,
                seed=how.seed + start,
                advance=lambda count: advance(count, 0),
            )
            yield from texts[max(0, done - start) :]


@dataclass(frozen=True)
class ChatWriter:
    """A model behind the engine or the endpoint, asked with the task's template."""

    task: Task
    llm: LLM
    concurrency: int
    by: str

    def write(self, queries: Sequence[str], how: Drawing, *, done: int, advance: Advance) -> Iterator[Sequence[Text]]:
        async def every() -> list[tuple[Text, str | None]]:
            out = []
            draws = ((query, i) for query in queries[done:] for i in range(how.n))
            async for drawn in stream.ordered(lambda draw: self._one(*draw, how), draws, limit=self.concurrency):
                advance(1, int(drawn[0] is None))
                out.append(drawn)
            return out

        drawn = loop.run(every())
        reasons = [why for _, why in drawn]
        futile.check(reasons, f"texts of {self.llm.name}")
        main, lost = futile.main_reason(reasons), len(reasons) - reasons.count(None)
        if main is not None and 2 * main[1] <= len(reasons):  # else it was said
            note(f"{lost} of {len(reasons)} texts of {self.llm.name} did not come: {main[0]}")
        texts = [text for text, _ in drawn]
        yield from (texts[start : start + how.n] for start in range(0, len(texts), how.n))

    async def _one(self, query: str, i: int, how: Drawing) -> tuple[Text, str | None]:
        """A text, or why there is none."""
        sampling = Sampling(how.temperature, max_tokens=how.max_tokens, seed=how.seed + i, sample=i)
        try:
            reply = await self.llm.chat(self.task.messages(query), sampling=sampling)
        except ModelCallError as error:
            return None, str(error)
        if reply.finish_reason == "length" and reply.usage.completion_tokens > how.max_tokens:  # in thinking's room
            return None, f"the text is longer than {how.max_tokens} tokens; raise --max-tokens"
        text = reply.text.strip()
        return (text, None) if text else (None, reply.lacking or "the reply is empty")


@dataclass(frozen=True)
class FileWriter:
    """Texts written elsewhere, by query."""

    texts: Mapping[str, Sequence[str]]
    by: str = "written elsewhere"

    @classmethod
    def read(cls, path: Path, queries: Sequence[str], reading: Reading = AS_IT_STANDS) -> FileWriter:
        """The texts of a file.

        Raises:
            DataError: it cannot be read.
            InputError: it has no text for any of the queries.
        """
        texts: dict[str, list[str]] = {}
        for row in iter_texts(path, reading):
            texts.setdefault(row.query, []).append(row.response)
        if missing := sum(query not in texts for query in queries):
            said = f"{path} has no text for {missing} of the {len(queries)} queries"
            if missing == len(queries):
                raise InputError(f"{said}; its queries must be those that are asked, word for word")
            note(f"{said}: they are left out of its numbers")
        return cls(texts)

    def write(self, queries: Sequence[str], how: Drawing, *, done: int, advance: Advance) -> Iterator[Sequence[Text]]:
        for query in queries[done:]:
            found = self.texts.get(query, ())[: how.n]
            missing = how.n - len(found)
            advance(how.n, missing)
            yield [*found, *[None] * missing]


def open_writer(context: Context, source: Source, task: Task | None) -> Writer:
    """Whoever writes under a policy's name, but for texts written elsewhere; what is opened the context closes.

    Raises:
        ModelNameError, DataError, MissingExtraError: weights that cannot be loaded.
    """
    if source.kind == "weights":
        from inkfire.models.policy import Policy

        return WeightsWriter(Policy.load(source.name, task=task))
    assert task is not None  # Source.check
    concurrency = context.access.at_once(source.name, "write")
    llm = context.model(source.name, concurrency=concurrency)
    by = f"the embedded engine, {store.path(source.name).stem}" if source.kind == "engine" else "the endpoint"
    return ChatWriter(task, llm, concurrency, by)


# ---- texts in a run folder -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """The texts of each query in order, and who wrote them (None: a folder of an earlier version does not say)."""

    texts: list[list[Text]]
    by: str | None


def written(context: Context, name: str, writer: Callable[[], Writer], queries: Sequence[str], how: Drawing) -> Written:
    """The texts of responses-NAME.jsonl: written once, gone on with where a try was cut off, read back afterwards."""
    path = context.run.path(f"responses-{name}.jsonl")
    again = (
        context.access.retry_unscored and path.exists() and any(None in row["responses"] for row in read_jsonl(path))
    )
    if again or not path.exists():
        with Peak() as peak:
            seconds = _write(context, path, f"{name} writes", writer(), queries, how)
        context.took.setdefault("writers", {})[name] = seconds | peak.fields()
        give_back()  # the model is gone before the next one is loaded
    rows = list(read_jsonl(path))
    return Written([row["responses"] for row in rows], rows[0].get("written_by") if rows else None)


def _write(
    context: Context, path: Path, label: str, writer: Writer, queries: Sequence[str], how: Drawing
) -> dict[str, Any]:
    """Write them, and say what a text took (one that did not come, too); nothing where some were written before."""

    def recalled() -> int:
        return int(context.ledger.stats()["cached"]) if isinstance(writer, ChatWriter) else 0

    begun, before = _begun(path), recalled()
    done = len(begun)
    clock = Clock()

    def advance(count: int, failed: int) -> None:
        bar.advance(count, failed=failed)
        clock.advance(count)

    with context.bars(label, how.n * (len(queries) - done)) as bar, JsonlWriter(path) as file:
        for row in begun:
            file.write(row)
        texts = writer.write(queries, how, done=done, advance=advance)
        for query, of_query in zip(queries[done:], texts, strict=True):
            file.write({"query": query, "responses": of_query, "written_by": writer.by})
    return {} if isinstance(writer, FileWriter) or recalled() > before else of_texts(clock.seconds)


def _begun(path: Path) -> list[dict[str, Any]]:
    """The rows that a try which was cut off has written whole."""
    partial = path.with_name(f"{path.name}.partial")
    if not partial.is_file():
        return []
    lines = partial.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    return [parse_json(line, path=partial, line=number) for number, line in enumerate(lines, 1)]
