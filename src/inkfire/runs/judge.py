"""The run behind ``inkfire judge``: read and check the inputs, calibrate, judge, measure, save.

out/verdicts.jsonl   one line a text, in the order of the data
out/judge.json       the judge, with its calibration, examples and measurements: what serves as a reward
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inkfire.errors import DataError, InputError
from inkfire.files.formats import read_labelled, read_texts_or_labelled
from inkfire.files.jsonl import write_jsonl
from inkfire.files.run import Run
from inkfire.judge.calibration import MIN_LABELS, Method, fit_calibration
from inkfire.judge.examples import NO_EXAMPLES, Choice, Examples
from inkfire.judge.judging import Access, finish, judge_all, lasting, measure_both, read_back
from inkfire.judge.principles import Principles, read_principles
from inkfire.judge.spec import Mode, SavedJudge, prompt_of, read_judge, save_judge
from inkfire.llm import loop
from inkfire.llm.ledger import Ledger
from inkfire.records import Candidate, Labelled, Verdict
from inkfire.runs.progress import Progress
from inkfire.tasks.task import Task, load_task

Note = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True)
class JudgeSettings:
    """How texts are judged: the mode, ``examples`` labelled texts shown before each, how often each is asked, and how a
    calibration is fitted (``cost_false_good`` None: its threshold is that of balanced accuracy)."""

    mode: Mode = "logprob"
    examples: int = 0
    examples_choice: Choice = "nearest"
    calibration_method: Method = "platt"
    cost_false_good: float | None = None
    votes: int = 1

    def check(self, task: Task) -> None:
        """Whether the task and the mode allow what is asked for.

        Raises:
            InputError: votes of a mode that does not vary, or examples for a prompt that shows none.
        """
        if self.votes > 1 and self.mode not in ("verdict", "rubric"):
            raise InputError(
                f"--votes {self.votes}: {self.mode} is deterministic, every vote would be the same; use --mode verdict "
                "or --mode rubric, or leave --votes out"
            )
        if self.examples:
            task.check_examples(prompt_of(self.mode))


def judge_data(
    *,
    task: str,
    model: str,
    data: Path,
    out: Path,
    settings: JudgeSettings = JudgeSettings(),
    principles: Path | None = None,
    calibration: Path | None = None,
    examples_from: Path | None = None,
    access: Access = Access(),
    seed: int = 0,
    note: Note = lambda message: None,
) -> dict[str, Any]:
    """Judge the texts of ``data``: out/verdicts.jsonl in their order and out/judge.json.

    Args:
        calibration: labelled texts to fit on (those that share a query with ``data`` are left out), or a saved judge
            whose calibration, and whose examples, are used.
        examples_from: labelled texts to choose examples from, by default those that the calibration is fitted on.

    Returns:
        The fields of the command's ``--json``; metrics only where ``data`` has labels.

    Raises:
        InputError: anything about the inputs that the user must change.
    """
    loaded = load_task(task)
    settings.check(loaded)
    texts = read_texts_or_labelled(data)
    rules = read_principles(principles) if principles else None
    known = {text.query for text in texts}
    fixed, fit = _calibration(calibration, settings, known, note)
    if fixed is not None:
        if settings.examples or examples_from is not None:
            raise InputError("a saved judge brings its own examples; leave --examples and --examples-from out")
        examples = fixed.examples
    else:
        examples = choose_examples(settings, examples_from, fit, known, seed, note)
        fit = _without_examples(fit, examples, note)
    judge = SavedJudge(lasting(task), model, settings.mode, rules, examples, settings.votes)
    if fixed is not None and (why := _foreign(fixed, judge, loaded)):
        raise InputError(f"{calibration}: its calibration is of another {why}; fit anew: --calibration LABELLED")
    inputs = {"data": data, "principles": principles, "calibration": calibration, "examples_from": examples_from}
    run = Run.open(
        out,
        command="judge",
        settings={"task": loaded.name, "task_version": loaded.version, "model": model} | dataclasses.asdict(settings),
        inputs={name: path for name, path in inputs.items() if path is not None},
        seed=seed,
    )
    if (done := read_back(run, "judge", access)) is not None:
        return done
    if calibration is None:
        note("uncalibrated: labels come from the model's own bias; fit a threshold with --calibration F")
    started = time.monotonic()
    with access.ledger(run) as ledger:
        fitted, verdicts = loop.run(judge_parts(loaded, judge, fit, texts, access, ledger))
        stats = ledger.stats()
    calibrated = fixed.calibration if fixed else None
    if fit:
        calibrated = fit_calibration(
            fitted,
            [row.label for row in fit],
            method=settings.calibration_method,
            cost_false_good=settings.cost_false_good,
        )
    final = [calibrated.apply(verdict) if calibrated else verdict for verdict in verdicts]
    write_jsonl(run.path("verdicts.jsonl"), map(_row, texts, final))
    labelled = [row for row in texts if isinstance(row, Labelled)]
    scored = sum(verdict.scored for verdict in verdicts)
    result: dict[str, Any] = {"n": len(texts), "scored": scored, "unscored": len(texts) - scored}
    result["calibrated"] = calibrated is not None
    if labelled:
        shares = loop.run(judge.good_shares(labelled))
        result = measure_both(labelled, verdicts, calibrated, good_shares=shares, seed=seed)
    result["injections"] = sum(bool(verdict.injection) for verdict in verdicts)
    save_judge(out, dataclasses.replace(judge, calibration=calibrated, measured=result if labelled else None))
    return finish(run, "judge", result, stats, started)


def _calibration(
    path: Path | None, settings: JudgeSettings, known: set[str], note: Note
) -> tuple[SavedJudge | None, list[Labelled]]:
    """A judge that is calibrated already, or the labelled texts that fit one."""
    refitting = settings.calibration_method != "platt" or settings.cost_false_good is not None
    if path is None and refitting:
        raise InputError("--calibration-method and --cost-false-good fit a calibration: add --calibration LABELLED")
    if path is None:
        return None, []
    if path.is_dir() or path.name == "judge.json":
        saved = read_judge(path)
        if saved.calibration is None:
            raise DataError("this judge was saved without a calibration", path=path)
        if refitting:
            raise InputError(f"{path}: a saved judge is calibrated already; fit anew: --calibration LABELLED")
        return saved, []
    fit = _of_other_queries(path, known, "calibration texts", note)
    if len(fit) < MIN_LABELS:
        raise DataError(f"only {len(fit)} texts to fit on; {MIN_LABELS} are needed, of other queries", path=path)
    return None, fit


def choose_examples(
    settings: JudgeSettings, path: Path | None, fit: Sequence[Labelled], known: set[str], seed: int, note: Note
) -> Examples:
    """The examples that were asked for, from the file or else from ``fit``; none of a query in ``known``."""
    if not settings.examples:
        if path is not None:
            raise InputError("--examples-from names a file, and no examples are asked for: add --examples 8")
        return NO_EXAMPLES
    pool = fit if path is None else _of_other_queries(path, known, "examples", note)
    if path is None and not fit:
        raise InputError("--examples needs labelled texts to choose from: --examples-from F or --calibration F")
    return Examples(tuple(pool), settings.examples, settings.examples_choice, seed)


def _without_examples(fit: list[Labelled], examples: Examples, note: Note) -> list[Labelled]:
    """The texts to fit on that share no query with fixed examples."""
    left = examples.unshown(fit)
    if len(left) < len(fit):
        note(f"the calibration is fitted on the {len(left)} texts of other queries than the examples'")
        if len(left) < MIN_LABELS:
            raise InputError(
                f"{len(examples)} examples leave {len(left)} texts to fit on and {MIN_LABELS} are needed: show fewer, "
                "or take them from another file (--examples-from)"
            )
    return left


def _of_other_queries(path: Path, known: set[str], what: str, note: Note) -> list[Labelled]:
    """The labelled texts of a file without those that share a query with the data."""
    labelled = read_labelled(path)
    apart = [row for row in labelled if row.query not in known]
    if dropped := len(labelled) - len(apart):
        note(f"{dropped} of {len(labelled)} {what} share a query with the data and are left out")
    return apart


def _foreign(fixed: SavedJudge, judge: SavedJudge, task: Task) -> str | None:
    """What a saved judge has in other ways than the one that is to use its calibration."""
    own = Principles.of(task.principles)
    if (fixed.model, fixed.mode) != (judge.model, judge.mode):
        return "model" if fixed.model != judge.model else "mode"
    if fixed.votes != judge.votes:
        return "number of votes"
    return "principle set" if (fixed.principles or own).version != (judge.principles or own).version else None


async def judge_parts(
    task: Task,
    judge: SavedJudge,
    fit: Sequence[Labelled],
    texts: Sequence[Candidate | Labelled],
    access: Access,
    ledger: Ledger,
) -> tuple[list[Verdict], list[Verdict]]:
    """The verdicts of ``fit`` and of ``texts``, on the judge's own model, under one bar of progress."""
    from inkfire.models.open import open_model

    at_once = access.at_once(judge.model, judge.mode)
    async with open_model(judge.model, ledger=ledger, base_url=access.base_url, concurrency=at_once) as llm:
        raw = judge.build(llm, task)
        with Progress("judge", len(fit) + len(texts), stats=ledger.stats) as progress:

            def advance(verdict: Verdict) -> None:
                progress.advance(failed=not verdict.scored)

            fitted = await judge_all(raw, fit, concurrency=at_once, advance=advance)
            return fitted, await judge_all(raw, texts, concurrency=at_once, advance=advance)


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
