"""The judge under test: what ``inkfire judge attack`` and ``inkfire judge probe`` put through its paces.

It is a saved judge, or one that is described by task, model, mode and principles and, where labelled texts are given,
calibrated on them. Uncalibrated, a small judge calls nearly every text good, and then nothing can be shown of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inkfire.errors import InputError
from inkfire.files.formats import read_labelled
from inkfire.judge.base import Judge
from inkfire.judge.calibration import MIN_LABELS, fit_calibration
from inkfire.judge.judging import judge_all, lasting
from inkfire.judge.principles import read_principles
from inkfire.judge.spec import Mode, SavedJudge, build_judge, read_judge
from inkfire.llm.base import LLM
from inkfire.records import Labelled, Verdict
from inkfire.tasks.task import Task, load_task


@dataclass(frozen=True)
class Subject:
    """``fit`` are the labelled texts on which it is calibrated before it is tried; empty where it is taken as it is."""

    saved: SavedJudge
    task: Task
    fit: tuple[Labelled, ...] = ()

    @classmethod
    def of(
        cls,
        *,
        judge: Path | None = None,
        task: str | None = None,
        model: str | None = None,
        mode: Mode = "logprob",
        principles: Path | None = None,
        calibration: Path | None = None,
        note: Callable[[str], None] = lambda message: None,
    ) -> Subject:
        """A saved judge's folder, or else a task and a model.

        Raises:
            InputError: neither or both of them, or a file that cannot be used.
        """
        if judge is not None:
            if task is not None or model is not None or principles is not None or calibration is not None:
                raise InputError(
                    "--judge brings its own task, model, principles and calibration: leave those options out"
                )
            saved = read_judge(judge)
            return cls(saved, load_task(saved.task))
        if task is None or model is None:
            raise InputError("name the judge: --task and --model, or --judge FOLDER of a saved one")
        rules = read_principles(principles) if principles else None
        fit = read_labelled(calibration) if calibration else []
        if not fit:
            note("uncalibrated: labels come from the model's own bias; fit a threshold with --calibration F")
        return cls(SavedJudge(lasting(task), model, mode, rules), load_task(task), tuple(fit))

    @property
    def settings(self) -> dict[str, object]:
        """What of it decides a result, for the run's manifest."""
        saved = self.saved
        return {
            "task": self.task.name,
            "task_version": self.task.version,
            "model": saved.model,
            "mode": saved.mode,
            "principles": saved.principles and saved.principles.version,
            "examples": len(saved.examples),
            "calibration": saved.calibration and saved.calibration.to_json(),
        }

    def leave_out(self, queries: Sequence[str]) -> Subject:
        """Without the texts to fit on that share a query with what is tried.

        Raises:
            InputError: too few others are left.
        """
        known = set(queries)
        fit = tuple(row for row in self.fit if row.query not in known)
        if self.fit and len(fit) < MIN_LABELS:
            raise InputError(
                f"only {len(fit)} of {len(self.fit)} calibration texts have other queries than the texts to try; "
                f"{MIN_LABELS} are needed"
            )
        return dataclasses.replace(self, fit=fit)

    async def calibrated(
        self, llm: LLM, *, concurrency: int, advance: Callable[[Verdict], None] = lambda verdict: None
    ) -> SavedJudge:
        """The judge with its calibration, fitted now where there are texts for it."""
        if not self.fit:
            return self.saved
        saved = self.saved
        judge: Judge = build_judge(saved.mode, self.task, llm, saved.principles, saved.examples)
        verdicts = await judge_all(judge, self.fit, concurrency=concurrency, advance=advance)
        return dataclasses.replace(saved, calibration=fit_calibration(verdicts, [row.label for row in self.fit]))
