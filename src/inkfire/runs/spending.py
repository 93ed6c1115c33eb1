"""What runs took, by stage, and what of that each reward and policy needed: read from their folders and ledger.

What was paid counts, once, where it was paid. A run of one command has what the ledger holds under its name, tries that
were stopped too; a recipe's stage what ``used.json`` says, and what the ledger has more stands beside the run. Replies
that a stage found in the ledger (``recalled``) were paid for by another stage or run. Seconds are those of
``timings.json``; memory and GPU stand where they were recorded. What nothing says is None, and so is a sum with it.
"""

from __future__ import annotations

import dataclasses
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
from inkfire.runs import memory, speed
from inkfire.runs.speed import of_groups, of_texts

_ASKS_NOBODY = ("train sft", "train rm", "candidates")
_POLICIES = ("train grpo", "train bon", "train dpo")


@dataclass(frozen=True)
class Spent:
    """Seconds (on a GPU: ``gpu_seconds``), calls and money; None where a part of it is not known."""

    seconds: float | None = 0.0
    gpu_seconds: float = 0.0
    calls: int | None = 0
    recalled: int = 0
    bill: Bill | None = field(default_factory=Bill)

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            None if self.seconds is None or other.seconds is None else self.seconds + other.seconds,
            self.gpu_seconds + other.gpu_seconds,
            None if self.calls is None or other.calls is None else self.calls + other.calls,
            self.recalled + other.recalled,
            None if self.bill is None or other.bill is None else self.bill + other.bill,
        )

    def to_json(self) -> dict[str, Any]:
        """``seconds``, ``gpu_seconds``, ``calls``, ``recalled``, ``tokens`` and the fields of ``Bill``."""
        about: dict[str, Any] = {"seconds": None if self.seconds is None else round(self.seconds, 3)}
        about |= {"gpu_seconds": round(self.gpu_seconds, 3), "calls": self.calls, "recalled": self.recalled}
        if self.bill is None:
            return about | dict.fromkeys(("tokens", *FIELDS))
        return about | {"tokens": self.bill.tokens} | self.bill.rounded().fields()


@dataclass(frozen=True)
class Stage:
    """A stage of the run ``run`` (a folder's name), done in ``folder``; ``command`` is "" where that is no run's.

    ``earlier`` calls were made under its name by tries that did not end in it.
    """

    run: str
    name: str
    folder: Path
    command: str
    spent: Spent
    failures: int | None = None
    earlier: int = 0
    recorded: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_policy(self) -> bool:
        return self.command in _POLICIES

    def to_json(self) -> dict[str, Any]:
        about = {"run": self.run, "stage": self.name, "command": self.command or self.name}
        return (
            about
            | self.spent.to_json()
            | {"failures": self.failures, "earlier_calls": self.earlier}
            | {k: self.recorded.get(k) for k in memory.FIELDS}
        )


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
        """The sums of the stages, what the ledger has under the run's name, and by how much that is more."""
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
    ledger = _of_ledger(run, name)
    stages = [
        _stage_of_recipe(run, stage) if command == "run" else _stage_alone(run, stage, ledger) for stage in seconds
    ]
    return Spending(name, folder, stages, ledger, prices_beside(run.ledger_path).currency)


def _stage_of_recipe(run: Run, stage: str) -> Stage:
    folder = run.out / stage
    inner = Run.read(folder) if (folder / "manifest.json").is_file() else None  # an audit is no run of its own
    recorded = next(iter(inner.used().values()), {}) if inner is not None else {}
    result = run.done(stage) or {}
    used = result | run.used().get(stage, {})
    asked = _asked(run, used)
    return _stage(run, stage, folder, inner.manifest["command"] if inner is not None else "", asked, recorded)


def _stage_alone(run: Run, stage: str, ledger: dict[str, Any] | None) -> Stage:
    command, recorded = run.manifest.get("command", ""), run.used().get(stage, {})
    used = (run.done(stage) or {}) | recorded
    asked = _asked(run, used)
    made = _stage(run, stage, run.out, command, asked or ((0, Bill()) if command in _ASKS_NOBODY else None), recorded)
    if ledger is None or len(run.seconds()) != 1:
        return made
    earlier = 0 if asked is None else ledger["calls"] - asked[0]
    recalled = made.spent.recalled + max(0, -earlier)  # a curation does not say which of its replies others paid for
    spent = dataclasses.replace(made.spent, calls=ledger["calls"], recalled=recalled, bill=_bill(ledger))
    return dataclasses.replace(made, spent=spent, earlier=max(0, earlier))


def _asked(run: Run, used: Mapping[str, Any]) -> tuple[int, Bill] | None:
    """The calls that a stage paid for, and their bill at today's prices, where it says that."""
    prefix = "" if "tokens" in used else "total_"
    if "calls" not in used or f"{prefix}tokens" not in used:
        return None
    priced = repriced(used, prices_beside(run.ledger_path), prefix)
    return used["calls"] - used.get("recalled", 0), Bill.read(priced, prefix)


def _stage(
    run: Run,
    stage: str,
    folder: Path,
    command: str,
    asked: tuple[int, Bill] | None,
    recorded: Mapping[str, Any],
) -> Stage:
    took, used = run.seconds()[stage], run.used().get(stage, {})
    calls, bill = asked or (None, None)
    spent = Spent(took, took if recorded.get("device") else 0.0, calls, used.get("recalled", 0), bill)
    home = run.out.absolute().name
    name = stage if folder != run.out else home
    result = run.done(stage) or {}
    return Stage(home, name, folder, command, spent, used.get("failures"), recorded=recorded, result=result)


def _of_ledger(run: Run, name: str) -> dict[str, Any] | None:
    if not run.ledger_path.is_file():
        return None
    try:
        return summarise_runs(run.ledger_path, runs=[name])[0]
    except InputError:  # nothing was asked under that name
        return None


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
    of ``speed.FIELDS`` and ``memory.FIELDS``; None where nobody recorded it."""
    rows = []
    for stage in stages:
        if stage.command in ("judge", "train rm") and "seconds_text_p50" in stage.recorded:
            rows.append(_speed(stage, stage.name, "reward", stage.recorded))
        for name, recorded in stage.recorded.get("writers", {}).items():
            if recorded:
                rows.append(_speed(stage, name, "writer", recorded))
        if stage.command == "train grpo":
            rows += _trained(stage)
    return rows


def _speed(stage: Stage, who: str, what: str, recorded: Mapping[str, Any]) -> dict[str, Any]:
    about = {"who": who, "what": what, "run": stage.run, "stage": stage.name}
    return about | {key: recorded.get(key) for key in (*speed.FIELDS, *memory.FIELDS)}


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
            found.append(_speed(stage, who, what, dict(stage.recorded if what == "writer" else {}) | each))
    return found
