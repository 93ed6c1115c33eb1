"""What the start policy writes before a training: the measure of alarms on its texts, and of a reward that asks for
fluency, relevance or novelty.

start.jsonl has the texts (query, response, truncated, failed, and what the frozen model says of each), start.json the
levels that were taken from them, and what share of them, and of the task's good texts, the check ``fluent`` lets pass.
A training that goes on reads both back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from inkfire.files.jsonl import read_json, write_json, write_jsonl
from inkfire.files.rollouts import START
from inkfire.models import chat
from inkfire.models import policy as policies
from inkfire.models.card import Card, portable
from inkfire.models.likelihood import Likelihood
from inkfire.rewards.identity import reader_identity
from inkfire.rewards.reading import LEVEL, Band, Reader, Start, passed, quantile, relevance, spaced
from inkfire.rewards.shaped import Shaped
from inkfire.tasks.task import Task
from inkfire.training import ranks, trl
from inkfire.training.settings import GrpoSettings

LEVELS = "start.json"
_AT_ONCE = 32
_ENOUGH = 20  # texts that pass the checks, from which on they alone are the measure
_GOOD = 64


@dataclass(frozen=True)
class Writer:
    """The start policy, and the queries of its training."""

    card: Card
    model: Any
    tokenizer: Any
    settings: GrpoSettings
    queries: Sequence[str]

    def texts(self, n: int, seed: int) -> list[dict[str, Any]]:
        """``n`` texts, for queries at equal distances."""
        return self.write(spaced(self.queries, n), seed)

    def write(self, asked: Sequence[str], seed: int) -> list[dict[str, Any]]:
        """A text for each query: query, response, truncated."""
        prompts = chat.encode(self.tokenizer, [self.card.template.messages(query) for query in asked])
        ends = {*policies.end_tokens(self.model, self.tokenizer)}
        rows: list[dict[str, Any]] = []
        gpu = torch.cuda.is_available()
        with torch.random.fork_rng(devices=[torch.cuda.current_device()] if gpu else []):
            torch.manual_seed(seed)
            for first in range(0, len(asked), _AT_ONCE):
                batch = prompts[first : first + _AT_ONCE]
                for ids in completed(self.model, self.tokenizer, batch, self.settings):
                    about = {"query": asked[len(rows)], "response": chat.answer(self.tokenizer, ids)}
                    rows.append(about | {"truncated": not {*ids[-1:]} & ends})
        return rows


def completed(model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], settings: GrpoSettings) -> list[list[int]]:
    """Completions as a training samples them: without LoRA weights in float32, which would make every layer cast its
    input for every token. Where several processes train, DDP would lose sight of weights that were exchanged, and not
    add up their gradients: there every layer casts."""
    model.eval()
    with policies.half_precision(model) if ranks.count() == 1 else _casting():
        ids = policies.sample(
            model,
            tokenizer,
            prompts,
            temperature=settings.temperature,
            max_new_tokens=settings.max_completion_length or 1,
        )
    model.train()
    return ids


def _casting() -> torch.autocast:
    dtype, where = policies.compute_dtype(), "cuda" if torch.cuda.is_available() else "cpu"
    return torch.autocast(where, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16)


def baseline(writer: Writer, n: int, seed: int, out: Path) -> None:
    """start.jsonl of ``n`` texts, where it is not there yet: what alarms hold a training's texts against. Its own first
    steps would do only where nothing happens in them."""
    if not (out / START).is_file():
        write_jsonl(out / START, writer.texts(n, seed))


def begin(reward: Shaped, task: Task, base: str, writer: Writer, out: Path) -> Reader | None:
    """Give a reward the start policy's texts and the model that reads, where it needs them. Close that model.

    Args:
        base: the model under the policy, which reads where the reward names no other.

    Raises:
        ModelNameError: the model that reads cannot be loaded.
        DataError: the start policy writes nothing.
    """
    shaping = reward.shaping
    if not shaping.starts:
        return None
    read_by = shaping.base or base
    reader = Likelihood.load(read_by, task, writer.card.template) if shaping.reads else None
    if (found := levels(out)) is None:
        rows = writer.texts(shaping.start_samples, reward.seed)
        found = _levels(reward, task, reader, rows, writer.queries)
        found |= {"base": portable(read_by, out)} if reader else {}
        write_jsonl(out / START, rows)
        write_json(out / LEVELS, found)
    named = [
        what for what in ("fluency", "relevance") if getattr(shaping, what) or (what == "fluency" and "fluent" in found)
    ]
    start = Start(
        responses=tuple(row["response"] for row in trl.rows(out / START)),
        queries=tuple(writer.queries),
        fluency=found.get("fluency"),
        relevance=found.get("relevance"),
        band=Band(found["fluent"]["low"], found["fluent"]["high"]) if "fluent" in found else None,
        read_by=tuple(reader_identity(what, read_by) for what in named),
    )
    reward.begin(start, reader)
    return reader


def levels(out: Path) -> dict[str, Any] | None:
    """start.json of a training's folder; None where nothing was measured by the start policy's texts."""
    path = out / LEVELS
    return read_json(path) if path.is_file() else None


def _levels(
    reward: Shaped, task: Task, reader: Reader | None, rows: list[dict[str, Any]], queries: Sequence[str]
) -> dict[str, Any]:
    """start.json for the start policy's texts, whose rows get what is said of each."""
    shaping = reward.shaping
    asked, texts = [row["query"] for row in rows], [row["response"] for row in rows]
    failures = reward.checks.failures(asked, texts, [row["truncated"] for row in rows])
    for row, names in zip(rows, failures, strict=True):
        row["failed"] = names
    out: dict[str, Any] = {"n": len(rows), "passed": sum(not names for names in failures)}
    if reader is None:
        return out
    passing = [row for row in rows if not row["failed"]]
    measure = passing if len(passing) >= _ENOUGH else rows
    own = reader.per_token(asked, texts)
    columns = {"fluency": own}
    if shaping.relevance:
        columns["relevance"] = relevance(reader, asked, texts, queries, reward.seed, own)
    for name, column in columns.items():
        for row, value in zip(rows, column, strict=True):
            row[name] = value
    out |= {"measured_by": len(measure), "quantile": LEVEL}
    out |= {name: quantile([row[name] for row in measure], LEVEL) for name in columns if getattr(shaping, name)}
    if reward.checks.fluent:
        band = Band.of([row["fluency"] for row in measure])
        start = {"n": len(own), "share": band.share(own)}
        out["fluent"] = vars(band) | {"start": start, "good": passed(reader, band, task.exam_texts()[:_GOOD])}
    return out
