"""Many texts through one judge; fitting and measuring it on labelled texts; the run of ``inkfire judge``.

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

from inkfire.datafiles import read_labelled, read_texts
from inkfire.errors import DataError, InputError, ModelCallError
from inkfire.judge.base import Judge
from inkfire.judge.calibration import MIN_LABELS, Calibration, fit_calibration
from inkfire.judge.measure import measure
from inkfire.judge.principles import Principles, read_principles
from inkfire.judge.saved import Mode, SavedJudge, build_judge, read_judge, save_judge
from inkfire.llm import loop, stream
from inkfire.llm.base import LLM
from inkfire.llm.ledger import Ledger
from inkfire.llm.prices import Budget
from inkfire.llm.progress import Progress
from inkfire.records import Candidate, Labelled, Verdict
from inkfire.tasks.task import Task, load_task, task_names
from inkfire.workspace import Run, write_jsonl

CONCURRENCY = 4
"""Texts judged at once on an embedded engine, which serves that many slots; a remote endpoint takes more."""


async def judge_all(
    judge: Judge,
    texts: Sequence[Candidate | Labelled],
    *,
    concurrency: int = CONCURRENCY,
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
    seed: int = 0,
    concurrency: int = CONCURRENCY,
    advance: Callable[[Verdict], None] = lambda verdict: None,
) -> SavedJudge:
    """Calibrate a judge on ``fit`` and measure it on ``test``.

    Raises:
        InputError: the two share a query, or ``fit`` is too small or has one class only.
    """
    if shared := {row.query for row in fit} & {row.query for row in test}:
        raise InputError(f"texts to fit on and to test on share the query {min(shared)!r}; split them by query")
    raw = build_judge(saved.mode, task, llm, saved.principles, saved.examples)
    fitted = await judge_all(raw, fit, concurrency=concurrency, advance=advance)
    calibration = fit_calibration(fitted, [row.label for row in fit])
    tested = await judge_all(raw, test, concurrency=concurrency, advance=advance)
    return dataclasses.replace(saved, calibration=calibration, measured=measure_both(test, tested, calibration, seed))


def measure_both(
    labelled: Sequence[Labelled], raw: Sequence[Verdict], calibration: Calibration | None, seed: int = 0
) -> dict[str, Any]:
    """The metrics of the calibrated judge, and what the same answers are worth without the calibration beside them."""
    if calibration is None:
        return measure(labelled, raw, seed=seed) | {"calibrated": False}
    measured = measure(labelled, [calibration.apply(verdict) for verdict in raw], seed=seed)
    plain = measure(labelled, raw, seed=seed)
    kept = ("accuracy", "accuracy_ci", "says_good", "auc", "ece", "brier")
    return measured | {"calibrated": True, "uncalibrated": {name: plain.get(name) for name in kept}}


# ---- inkfire judge -------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """How models are reached and what they may cost: the options that every command with a model has."""

    base_url: str | None = None
    budget: float | None = None
    budget_tokens: int | None = None
    retry_unscored: bool = False
    concurrency: int | None = None

    def ledger(self, run: Run) -> Ledger:
        limited = self.budget is not None or self.budget_tokens is not None
        return Ledger(
            run.ledger_path,
            budget=Budget(money=self.budget, tokens=self.budget_tokens) if limited else None,
            retry_unscored=self.retry_unscored,
            run=run.out.name,
        )

    def at_once(self, model: str) -> int:
        from inkfire.llm.models import is_local

        return self.concurrency or (CONCURRENCY if is_local(model) else 64)


def judge_data(
    *,
    task: str,
    model: str,
    mode: Mode,
    data: Path,
    out: Path,
    principles: Path | None = None,
    calibration: Path | None = None,
    access: Access = Access(),
    seed: int = 0,
    note: Callable[[str], None] = lambda message: None,
) -> dict[str, Any]:
    """Judge the texts of ``data``: out/verdicts.jsonl in their order and out/judge.json.

    Args:
        calibration: labelled texts to fit on (those that share a query with ``data`` are left out), or a saved judge
            whose calibration is used.

    Returns:
        The fields of the command's ``--json``; metrics only where ``data`` has labels.

    Raises:
        InputError: anything about the inputs that the user must change.
    """
    loaded = load_task(task)
    texts = read_data(data)
    rules = read_principles(principles) if principles else None
    fixed, fit = _calibration(calibration, texts, note)
    if fixed is not None and (why := _foreign(fixed, model, mode, rules, loaded)):
        raise InputError(f"{calibration}: its calibration is of another {why}; fit anew: --calibration LABELLED")
    inputs = {"data": data, "principles": principles, "calibration": calibration}
    run = Run.open(
        out,
        command="judge",
        settings={"task": loaded.name, "task_version": loaded.version, "model": model, "mode": mode},
        inputs={name: path for name, path in inputs.items() if path is not None},
        seed=seed,
    )
    if (done := run.done("judge")) is not None and not access.retry_unscored:
        return done | {"calls": 0, "cached": 0, "seconds": run.seconds()["judge"]}
    if calibration is None:
        note("uncalibrated: labels come from the model's own bias; fit a threshold with --calibration F")
    started = time.monotonic()
    with access.ledger(run) as ledger:
        fitted, verdicts = loop.run(_judge(loaded, model, mode, rules, fit, texts, access, ledger))
        stats = ledger.stats()
    calibrated = fixed.calibration if fixed else None
    if fit:
        calibrated = fit_calibration(fitted, [row.label for row in fit])
    final = [calibrated.apply(verdict) if calibrated else verdict for verdict in verdicts]
    write_jsonl(run.path("verdicts.jsonl"), map(_row, texts, final))
    labelled = [row for row in texts if isinstance(row, Labelled)]
    scored = sum(verdict.scored for verdict in verdicts)
    result: dict[str, Any] = {"n": len(texts), "scored": scored, "unscored": len(texts) - scored}
    if labelled:
        result = measure_both(labelled, verdicts, calibrated, seed)
    result["injections"] = sum(bool(verdict.injection) for verdict in verdicts)
    save_judge(out, SavedJudge(lasting(task), model, mode, rules, (), calibrated, result if labelled else None))
    seconds = time.monotonic() - started
    run.complete("judge", result, seconds=seconds)
    return result | {"calls": stats["calls"], "cached": stats["cached"], "seconds": round(seconds, 2)}


def read_data(path: Path) -> Sequence[Candidate | Labelled]:
    """Labelled texts where the file has labels, texts where its first row has none."""
    try:
        return read_labelled(path)
    except DataError as error:
        if error.line != 1 or "no label" not in str(error):
            raise
    return read_texts(path)


def _calibration(
    path: Path | None, texts: Sequence[Candidate | Labelled], note: Callable[[str], None]
) -> tuple[SavedJudge | None, list[Labelled]]:
    """A judge that is calibrated already, or the labelled texts that fit one."""
    if path is None:
        return None, []
    if path.is_dir() or path.name == "judge.json":
        saved = read_judge(path)
        if saved.calibration is None:
            raise DataError("this judge was saved without a calibration", path=path)
        return saved, []
    labelled = read_labelled(path)
    known = {text.query for text in texts}
    fit = [row for row in labelled if row.query not in known]
    if dropped := len(labelled) - len(fit):
        note(f"{dropped} of {len(labelled)} calibration texts share a query with the data and are left out")
    if len(fit) < MIN_LABELS:
        raise DataError(f"only {len(fit)} texts to fit on; {MIN_LABELS} are needed, of other queries", path=path)
    return None, fit


def _foreign(saved: SavedJudge, model: str, mode: Mode, rules: Principles | None, task: Task) -> str | None:
    """What a saved judge has in other ways than the one that is to use its calibration."""
    own = Principles.of(task.principles)
    if (saved.model, saved.mode) != (model, mode):
        return "model" if saved.model != model else "mode"
    return "principle set" if (saved.principles or own).version != (rules or own).version else None


def lasting(task: str) -> str:
    """A task by its name, or by a folder that is found again from anywhere."""
    return task if task in task_names() else str(Path(task).absolute())


async def _judge(
    task: Task,
    model: str,
    mode: Mode,
    rules: Principles | None,
    fit: Sequence[Labelled],
    texts: Sequence[Candidate | Labelled],
    access: Access,
    ledger: Ledger,
) -> tuple[list[Verdict], list[Verdict]]:
    from inkfire.llm.models import open_model

    at_once = access.at_once(model)
    async with open_model(model, ledger=ledger, base_url=access.base_url, concurrency=at_once) as llm:
        judge = build_judge(mode, task, llm, rules)
        with Progress("judge", len(fit) + len(texts), stats=ledger.stats) as progress:

            def advance(verdict: Verdict) -> None:
                progress.advance(failed=not verdict.scored)

            fitted = await judge_all(judge, fit, concurrency=at_once, advance=advance)
            return fitted, await judge_all(judge, texts, concurrency=at_once, advance=advance)


def _row(text: Candidate | Labelled, verdict: Verdict) -> Mapping[str, Any]:
    """One line of verdicts.jsonl: ``label`` is the judge's, ``expected`` the one that the data has."""
    row: dict[str, Any] = {
        "query": text.query,
        "response": text.response,
        "label": verdict.label,
        "probability": verdict.probability,
        "reason": verdict.reason,
        "unscored": verdict.unscored,
        "principles": verdict.principles,
        "injection": verdict.injection,
    }
    return row | ({"expected": text.label} if isinstance(text, Labelled) else {})
