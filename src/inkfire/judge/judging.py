"""Many texts through one judge, and fitting and measuring it on labelled texts.

saved = await fit_judge(SavedJudge(task.name, llm.name, "logprob"), task, llm, fit=labels, test=others)
saved.measured["auc"], saved.measured["uncalibrated"]["accuracy"]
verdicts = await judge_all(saved.build(llm, task), texts)
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inkfire.errors import InputError, ModelCallError
from inkfire.files.run import Run
from inkfire.judge.base import Judge
from inkfire.judge.calibration import Calibration, Method, fit_calibration
from inkfire.judge.measure import measure, measure_twins, why_doubted
from inkfire.judge.spec import SavedJudge
from inkfire.llm import stream
from inkfire.llm.base import LLM
from inkfire.llm.ledger import Ledger
from inkfire.llm.pace import Pace
from inkfire.llm.prices import Budget
from inkfire.models import engine
from inkfire.models.open import is_local
from inkfire.records import Candidate, Labelled, Verdict
from inkfire.tasks.task import Task, task_names

REMOTE = 64
"""Texts judged at once by a remote model."""


def at_once(model: str, mode: str) -> int:
    """Texts that are judged at once by a model in a mode.

    On an embedded engine ``logprob`` takes one at a time: a verdict of one token is all reading, and prompts that are
    read together are no faster (on two cores 2.4 to 2.7 s a text, one at a time 1.5 to 1.8 s).
    """
    if not is_local(model):
        return REMOTE
    return 1 if mode == "logprob" else engine.slots()


async def judge_all(
    judge: Judge,
    texts: Sequence[Candidate | Labelled],
    *,
    concurrency: int,
    advance: Callable[[Verdict], None] = lambda verdict: None,
) -> list[Verdict]:
    """The verdicts of ``texts``, in their order; ``advance`` is told each as soon as those before it are there."""

    async def one(text: Candidate | Labelled) -> Verdict:
        try:
            return await judge.judge(text.query, text.response)
        except ModelCallError as error:
            return Verdict(None, unscored=str(error))

    verdicts = []
    async for verdict in stream.ordered(one, texts, limit=concurrency):
        verdicts.append(verdict)
        advance(verdict)
    return verdicts


async def fit_judge(
    saved: SavedJudge,
    task: Task,
    llm: LLM,
    *,
    fit: Sequence[Labelled],
    test: Sequence[Labelled],
    method: Method = "platt",
    cost_false_good: float | None = None,
    seed: int = 0,
    concurrency: int,
    advance: Callable[[Verdict], None] = lambda verdict: None,
) -> SavedJudge:
    """Calibrate a judge on ``fit`` and measure it on ``test``.

    Raises:
        InputError: the two share a query, or ``fit`` is too small or has one class only.
    """
    if shared := {row.query for row in fit} & {row.query for row in test}:
        raise InputError(f"texts to fit on and to test on share the query {min(shared)!r}; split them by query")
    raw = dataclasses.replace(saved, calibration=None).build(llm, task)
    fit = saved.examples.unshown(fit)
    fitted = await judge_all(raw, fit, concurrency=concurrency, advance=advance)
    labels = [row.label for row in fit]
    calibration = fit_calibration(fitted, labels, method=method, cost_false_good=cost_false_good)
    tested = await judge_all(raw, test, concurrency=concurrency, advance=advance)
    measured = measure_both(test, tested, calibration, good_shares=await saved.good_shares(test), seed=seed)
    return dataclasses.replace(saved, calibration=calibration, measured=measured)


def measure_both(
    labelled: Sequence[Labelled],
    raw: Sequence[Verdict],
    calibration: Calibration | None,
    *,
    good_shares: Sequence[float] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """The metrics of the calibrated judge and its twins, a ``doubt`` in words or None, and what the same answers are
    worth uncalibrated. ``good_shares`` as in :func:`inkfire.judge.measure.measure_twins`."""
    verdicts = raw if calibration is None else [calibration.apply(verdict) for verdict in raw]
    measured = measure(labelled, verdicts, seed=seed)
    measured |= measure_twins(labelled, verdicts, good_shares=good_shares, seed=seed)
    measured["doubt"] = why_doubted(measured)
    if calibration is None:
        return measured | {"calibrated": False}
    plain = measure(labelled, raw, seed=seed)
    kept = ("accuracy", "accuracy_ci", "says_good", "auc", "ece", "brier")
    return measured | {"calibrated": True, "uncalibrated": {name: plain.get(name) for name in kept}}


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """How models are reached and what they may cost: the options that every command with a model has."""

    base_url: str | None = None
    budget: float | None = None
    budget_tokens: int | None = None
    retry_unscored: bool = False
    concurrency: int | None = None
    rpm: int | None = None
    tpm: int | None = None

    def ledger(self, run: Run) -> Ledger:
        limited = self.budget is not None or self.budget_tokens is not None
        return Ledger(
            run.ledger_path,
            budget=Budget(money=self.budget, tokens=self.budget_tokens) if limited else None,
            pace=Pace(self.rpm, self.tpm),
            retry_unscored=self.retry_unscored,
            run=run.out.name,
        )

    def at_once(self, model: str, mode: str) -> int:
        return self.concurrency or at_once(model, mode)


def read_back(run: Run, stage: str, access: Access) -> dict[str, Any] | None:
    """What a stage that is done reports when its command is typed again; None where there is work to do."""
    done = run.done(stage)
    if done is None or access.retry_unscored:
        return None
    return done | {"calls": 0, "cached": 0, "seconds": run.seconds()[stage]}


def finish(run: Run, stage: str, result: Mapping[str, Any], stats: Mapping[str, Any], started: float) -> dict[str, Any]:
    """Record a stage's result, and return it with what it took since ``started`` (monotonic seconds)."""
    seconds = time.monotonic() - started
    run.complete(stage, dict(result), seconds=seconds)
    return {**result, "calls": stats["calls"], "cached": stats["cached"], "seconds": round(seconds, 2)}


def lasting(task: str) -> str:
    """A task by its name, or by a folder that is found again from anywhere."""
    return task if task in task_names() else str(Path(task).absolute())
