"""A judge in a folder: judge.json says everything needed to judge the same way again.

save_judge(out / "judge", SavedJudge(task="greetings-zh", model="local/qwen2.5-coder-1.5b", mode="logprob", …))
judge = read_judge(out / "judge").open(ledger=ledger)
verdict = await judge.judge(query, response)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from inkfire.debate.debate import Debate
from inkfire.errors import DataError, InputError
from inkfire.files.jsonl import parse_json, write_json
from inkfire.judge.answers import RubricJudge, VerdictJudge
from inkfire.judge.base import Judge
from inkfire.judge.calibration import CalibratedJudge, Calibration
from inkfire.judge.examples import NO_EXAMPLES, Examples, GoodExamples
from inkfire.judge.guard import Guarded
from inkfire.judge.logprob import LogprobJudge
from inkfire.judge.principles import Principles
from inkfire.judge.votes import VotingJudge
from inkfire.llm import loop
from inkfire.llm.base import LLM
from inkfire.llm.ledger import Ledger
from inkfire.records import Labelled
from inkfire.tasks.task import Task, load_task

Mode = Literal["verdict", "logprob", "rubric", "debate"]
MODES: tuple[Mode, ...] = get_args(Mode)
_FILE = "judge.json"


@dataclass(frozen=True)
class SavedJudge:
    """What judge.json holds.

    ``task`` is a name or a folder; ``principles`` None judges by the task's own; ``examples`` come with their pool, so
    that the judge shows the same ones wherever it is used; ``calibration`` None: uncalibrated; ``measured`` are its
    metrics on labelled texts (``measure.py``), which decide whether it may be a reward.
    """

    task: str
    model: str
    mode: Mode
    principles: Principles | None = None
    examples: Examples = NO_EXAMPLES
    votes: int = 1
    calibration: Calibration | None = None
    measured: Mapping[str, Any] | None = None

    def build(self, llm: LLM, task: Task | None = None, *, guarded: bool = True) -> Judge:
        """The judge, on a model that is already open."""
        loaded = task or load_task(self.task)
        inner = build_judge(self.mode, loaded, llm, self.principles, self.examples, self.votes, guarded=guarded)
        return inner if self.calibration is None else CalibratedJudge(inner, self.calibration)

    async def good_shares(self, texts: Sequence[Labelled]) -> list[float] | None:
        """What the labels of its examples say of each text (:meth:`Examples.good_shares`); None for a debate, which is
        shown good texts only."""
        return None if self.mode == "debate" else await self.examples.good_shares(texts)

    def open(self, *, ledger: Ledger | None = None, model: str | None = None, base_url: str | None = None) -> Judge:
        """The judge on its own model, or on ``model`` (its calibration and measurements were of its own). Close it."""
        from inkfire.models.open import open_model

        llm = open_model(model or self.model, ledger=ledger, base_url=base_url)
        try:
            return self.build(llm)
        except BaseException:
            loop.run(llm.close())
            raise


def build_judge(
    mode: str,
    task: Task,
    llm: LLM,
    principles: Principles | None = None,
    examples: Examples = NO_EXAMPLES,
    votes: int = 1,
    *,
    guarded: bool = True,
) -> Judge:
    """An uncalibrated judge of one of the modes; several ``votes`` are samples at a temperature. It stands behind the
    defences against injections unless ``guarded`` is False.

    Raises:
        InputError: an unknown mode, or votes of a mode that does not vary.
        TaskError: examples for a mode whose prompt shows none.
    """
    if examples:
        task.check_examples(prompt_of(mode))
    judge = _build_one(mode, task, llm, principles, examples)
    voting = judge if votes == 1 else VotingJudge.of(judge, votes)
    return Guarded(voting, task) if guarded else voting


def _build_one(mode: str, task: Task, llm: LLM, principles: Principles | None, examples: Examples) -> Judge:
    if mode == "verdict":
        return VerdictJudge(task, llm, principles, examples)
    if mode == "logprob":
        return LogprobJudge(task, llm, principles, examples)
    if mode == "rubric":
        return RubricJudge(task, llm, examples)
    if mode == "debate":
        return Debate(task, llm, retriever=GoodExamples(examples) if examples else None)
    raise InputError(f"unknown mode {mode!r}; the modes are {', '.join(MODES)}")


def prompt_of(mode: str) -> str:
    """The task's prompt that a mode shows its examples in."""
    return "judge" if mode == "debate" else mode


def save_judge(folder: Path, judge: SavedJudge) -> Path:
    """Write folder/judge.json and return its path."""
    path = folder / _FILE
    write_json(
        path,
        {
            "task": judge.task,
            "model": judge.model,
            "mode": judge.mode,
            "principles": judge.principles and judge.principles.to_json(),
            "examples": judge.examples.to_json() if judge.examples else None,
            "votes": judge.votes,
            "calibration": judge.calibration and judge.calibration.to_json(),
            "measured": judge.measured and dict(judge.measured),
        },
    )
    return path


def read_judge(folder: str | Path) -> SavedJudge:
    """Read a saved judge, from its folder or its judge.json.

    Raises:
        DataError: no such file, or not a saved judge.
    """
    path = Path(folder)
    path = path / _FILE if path.is_dir() else path
    try:
        data = parse_json(path.read_text(encoding="utf-8"), path=path)
    except OSError:
        raise DataError("no such file; a judge's folder holds judge.json", path=path) from None
    try:
        return _from_json(data, path)
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"not a saved judge ({type(error).__name__}: {error})", path=path) from None


def _from_json(data: Mapping[str, Any], path: Path) -> SavedJudge:
    if data["mode"] not in MODES:
        raise ValueError(f"unknown mode {data['mode']!r}")
    rules, calibration = data["principles"], data["calibration"]
    return SavedJudge(
        task=data["task"],
        model=data["model"],
        mode=data["mode"],
        principles=Principles.from_json(rules) if rules else None,
        examples=Examples.from_json(data["examples"]) if data["examples"] else NO_EXAMPLES,
        votes=data.get("votes", 1),
        calibration=Calibration.from_json(calibration, path=path) if calibration else None,
        measured=data["measured"],
    )
