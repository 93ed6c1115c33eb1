"""What runs took, by stage, and what of that each reward and policy needed: read from their folders and ledger.

A stage has the seconds of ``timings.json``, the calls, tokens and money of ``used.json`` (or of its result, or of the
ledger's rows under its name), and where it was recorded the most memory and the GPU. What nothing says is None; a sum
that it belongs to is None too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from inkfire.errors import InputError, RunFolderError
from inkfire.files.jsonl import SECONDS
from inkfire.files.log import read_log
from inkfire.files.run import Run
from inkfire.llm.bill import FIELDS, Bill, repriced
from inkfire.llm.prices import CURRENCY, prices_beside
from inkfire.llm.totals import summarise_runs
from inkfire.runs.speed import of_groups, of_texts

MEMORY = ("peak_memory", "peak_device_memory", "device")
SPEED = ("texts_timed", "calls_text", *(f"seconds_{of}_{end}" for of in ("text", "group") for end in ("p50", "p95")))
_ASKS_NOBODY = ("train sft", "train rm", "candidates")
_POLICIES = ("train grpo", "train bon", "train dpo")


@dataclass(frozen=True)
class Spent:
    """Seconds (on a GPU: ``gpu_seconds``), calls and money; None where a part of it is not known."""

    seconds: float | None = 0.0
    gpu_seconds: float = 0.0
    calls: int | None = 0
    bill: Bill | None = field(default_factory=Bill)

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            None if self.seconds is None or other.seconds is None else self.seconds + other.seconds,
            self.gpu_seconds + other.gpu_seconds,
            None if self.calls is None or other.calls is None else self.calls + other.calls,
            None if self.bill is None or other.bill is None else self.bill + other.bill,
        )

    def to_json(self) -> dict[str, Any]:
        """``seconds``, ``gpu_seconds``, ``calls``, ``tokens`` and the fields of ``Bill``."""
        seconds = None if self.seconds is None else round(self.seconds, 3)
        about = {"seconds": seconds, "gpu_seconds": round(self.gpu_seconds, 3), "calls": self.calls}
        if self.bill is None:
            return about | dict.fromkeys(("tokens", *FIELDS))
        return about | {"tokens": self.bill.tokens} | self.bill.rounded().fields()


@dataclass(frozen=True)
class Stage:
    """A stage of the run ``run`` (a folder's name), done in ``folder``; ``command`` is "" where that is no run's."""

    run: str
    name: str
    folder: Path
    command: str
    spent: Spent
    failures: int | None = None
    memory: dict[str, Any] = field(default_factory=dict)
    recorded: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_policy(self) -> bool:
        return self.command in _POLICIES

    def to_json(self) -> dict[str, Any]:
        about = {"run": self.run, "stage": self.name, "command": self.command or self.name}
        return about | self.spent.to_json() | {"failures": self.failures} | {k: self.memory.get(k) for k in MEMORY}


@dataclass(frozen=True)
class Spending:
    """What one run folder took: its stages, and the ledger's sums under its name (None where it has none)."""

    run: str
    folder: Path
    stages: Sequence[Stage]
    ledger: dict[str, Any] | None
    currency: str

    @property
    def total(self) -> Spent:
        return together(stage.spent for stage in self.stages)

    def to_json(self) -> dict[str, Any]:
        """The sums of the stages, what the ledger has, and by how much the ledger has more: tries that were stopped or
        redone; or less: replies that another run had paid for."""
        total = self.total
        out: dict[str, Any] = {"run": self.run, **total.to_json(), "currency": self.currency, "ledger": None}
        if self.ledger is None:
            return out
        bill = _bill(self.ledger)
        out["ledger"] = {"calls": self.ledger["calls"], "unparsed": self.ledger["unparsed"], "tokens": bill.tokens}
        out["ledger"] |= bill.rounded().fields() | {"models": self.ledger["models"]}
        out["ledger_calls_more"] = None if total.calls is None else self.ledger["calls"] - total.calls
        out["ledger_tokens_more"] = None if total.bill is None else bill.tokens - total.bill.tokens
        return out


def read_spending(folder: Path) -> Spending:
    """What a run folder took, with its recipe's stages where it is a recipe's.

    Raises:
        RunFolderError: it is no run, or nothing in it is done.
    """
    run = Run.read(folder)
    name, command = run.out.absolute().name, run.manifest.get("command", "")
    seconds = run.seconds()
    if not seconds:
        raise RunFolderError(f"{folder}: no stage of this run is done, so there is nothing to count yet")
    prices, ledger = prices_beside(run.ledger_path), _of_ledger(run, name)
    stages = []
    for stage, took in seconds.items():
        inner = _inner(folder / stage) if command == "run" else run
        record = inner.used() if inner is not None else {}
        own = next(iter(record.values()), {}) if command == "run" else record.get(stage, {})
        result = run.done(stage) or {}
        used = result | run.used().get(stage, {})
        of_inner = inner.manifest["command"] if inner is not None else ""
        asked = _asked(repriced(used, prices, "total_" if "total_cost" in used else ""))
        if asked is None and (of_inner in _ASKS_NOBODY or (command == "run" and stage == "audit")):
            asked = 0, Bill()
        if asked is None and command != "run" and len(seconds) == 1 and ledger is not None:
            asked = ledger["calls"], _bill(ledger)
        calls, bill = asked or (None, None)
        on_gpu = took if own.get("device") else 0.0
        stages.append(
            Stage(
                name,
                stage if command == "run" else name,
                folder / stage if command == "run" else folder,
                of_inner,
                Spent(took, on_gpu, calls, bill),
                used.get("failures"),
                {key: own[key] for key in MEMORY if key in own},
                own,
                result,
            )
        )
    return Spending(name, folder, stages, ledger, prices.currency)


def _inner(folder: Path) -> Run | None:
    """The run that a stage is; a recipe's audit is none."""
    return Run.read(folder) if (folder / "manifest.json").is_file() else None


def _of_ledger(run: Run, name: str) -> dict[str, Any] | None:
    if not run.ledger_path.is_file():
        return None
    try:
        return summarise_runs(run.ledger_path, runs=[name])[0]
    except InputError:  # nothing was asked under that name
        return None


def _asked(used: Mapping[str, Any]) -> tuple[int, Bill] | None:
    """Calls and what they cost, where the stage says it."""
    if "calls" not in used:
        return None
    prefix = "total_" if "total_cost" in used else ""
    return used["calls"], Bill.read(used, prefix) if prefix or "tokens" in used else Bill()


def _bill(ledger: dict[str, Any]) -> Bill:
    return Bill.read(ledger | {"tokens": ledger["prompt_tokens"] + ledger["completion_tokens"]})


def together(parts: Iterable[Spent]) -> Spent:
    return sum(parts, start=Spent())


def one_currency(spendings: Sequence[Spending]) -> str:
    """The currency of all of them.

    Raises:
        InputError: there are two.
    """
    known = list(dict.fromkeys(one.currency for one in spendings))
    if len(known) > 1:
        raise InputError(f"the runs' prices are in {' and '.join(known)}, which are not added up: name fewer runs")
    return known[0] if known else CURRENCY


# ---- seconds a text ------------------------------------------------------------------------------------------------


def speeds(stages: Iterable[Stage]) -> list[dict[str, Any]]:
    """Of each reward and writer what was recorded of a text: ``who``, ``what`` (reward or writer), ``run``, the fields
    of :data:`SPEED` and :data:`MEMORY`; None where nobody recorded it."""
    rows = []
    for stage in stages:
        if stage.command in ("judge", "train rm") and SPEED[2] in stage.recorded:
            rows.append(_speed(stage, stage.name, "reward", stage.recorded))
        for name, recorded in stage.recorded.get("writers", {}).items():
            if recorded:
                rows.append(_speed(stage, name, "writer", recorded))
        if stage.command == "train grpo":
            rows += _trained(stage)
    return rows


def _speed(stage: Stage, who: str, what: str, recorded: Mapping[str, Any]) -> dict[str, Any]:
    about = {"who": who, "what": what, "run": stage.run, "stage": stage.name}
    return about | {key: recorded.get(key) for key in (*SPEED, *MEMORY)}


def _trained(stage: Stage) -> list[dict[str, Any]]:
    """Of a training by groups (seconds.jsonl): the policy that writes, and whoever scores."""
    settings = Run.read(stage.folder).manifest["settings"]
    groups, size = settings.get("batch_size"), settings.get("num_generations")
    rows = [row for _, row in read_log(stage.folder / SECONDS)]
    found = []
    for phase, what in (("write", "writer"), ("score", "reward")) if groups and size else ():
        steps = np.array([row[phase] for row in rows if phase in row], float)
        if len(steps):
            each = of_texts(list(steps / (groups * size))) | of_groups(list(steps / groups))
            each["texts_timed"] = len(steps) * groups * size
            who = stage.name if what == "writer" else f"the reward of {stage.name}"
            found.append(_speed(stage, who, what, each | (stage.memory if what == "writer" else {})))
    return found
