"""A judge in a folder: judge.json says everything needed to judge the same way again.

save_judge(out / "judge", SavedJudge(task="greetings-zh", model="local/qwen2.5-coder-1.5b", mode="logprob", …))
judge = load_judge(out / "judge", ledger=ledger)
verdict = await judge.judge(query, response)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from inkfire.agents.debate import Debate
from inkfire.errors import DataError, InputError
from inkfire.judge.base import Judge
from inkfire.judge.calibration import CalibratedJudge, Calibration
from inkfire.judge.injection import Guarded
from inkfire.judge.judge import RubricJudge, VerdictJudge
from inkfire.judge.logprob import LogprobJudge
from inkfire.judge.principles import Principle, Principles
from inkfire.llm.base import LLM
from inkfire.llm.ledger import Ledger
from inkfire.records import Labelled, to_json
from inkfire.tasks.task import Task, load_task
from inkfire.workspace import parse_json, write_json

Mode = Literal["verdict", "logprob", "rubric", "debate"]
MODES: tuple[Mode, ...] = get_args(Mode)
_FILE = "judge.json"


@dataclass(frozen=True)
class SavedJudge:
    """What judge.json holds.

    ``task`` is a name or a folder; ``principles`` None judges by the task's own; ``calibration`` None: uncalibrated;
    ``measured`` are its metrics on labelled texts (``measure.py``), which decide whether it may be a reward.
    """

    task: str
    model: str
    mode: Mode
    principles: Principles | None = None
    examples: tuple[Labelled, ...] = ()
    calibration: Calibration | None = None
    measured: Mapping[str, Any] | None = None

    def build(self, llm: LLM, task: Task | None = None, *, guarded: bool = True) -> Judge:
        """The judge, on a model that is already open."""
        loaded = task or load_task(self.task)
        inner = build_judge(self.mode, loaded, llm, self.principles, self.examples, guarded=guarded)
        return inner if self.calibration is None else CalibratedJudge(inner, self.calibration)


def build_judge(
    mode: str,
    task: Task,
    llm: LLM,
    principles: Principles | None = None,
    examples: tuple[Labelled, ...] = (),
    *,
    guarded: bool = True,
) -> Judge:
    """An uncalibrated judge of one of the modes, behind the defences against injections unless ``guarded`` is False.

    Raises:
        InputError: an unknown mode.
    """
    judge = _bare(mode, task, llm, principles, examples)
    return Guarded(judge, task) if guarded else judge


def _bare(mode: str, task: Task, llm: LLM, principles: Principles | None, examples: tuple[Labelled, ...]) -> Judge:
    if mode == "verdict":
        return VerdictJudge(task, llm, principles, examples)
    if mode == "logprob":
        return LogprobJudge(task, llm, principles, examples)
    if mode == "rubric":
        return RubricJudge(task, llm)
    if mode == "debate":
        return Debate(task, llm)
    raise InputError(f"unknown mode {mode!r}; the modes are {', '.join(MODES)}")


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
            "examples": [to_json(example) for example in judge.examples],
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
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"not a saved judge ({type(error).__name__}: {error})", path=path) from None


def load_judge(
    folder: str | Path, *, ledger: Ledger | None = None, model: str | None = None, base_url: str | None = None
) -> Judge:
    """A saved judge on its own model, or on ``model`` (its calibration and measurements were of its own)."""
    from inkfire.llm.models import open_model

    saved = read_judge(folder)
    return saved.build(open_model(model or saved.model, ledger=ledger, base_url=base_url))


def _from_json(data: Mapping[str, Any], path: Path) -> SavedJudge:
    if data["mode"] not in MODES:
        raise ValueError(f"unknown mode {data['mode']!r}")
    rules, calibration = data["principles"], data["calibration"]
    principles = rules and Principles(
        tuple(
            Principle(rule["text"], rule["origin"], rule["round"], tuple(rule["because"]))
            for rule in rules["principles"]
        ),
        parent=rules["parent"],
    )
    return SavedJudge(
        task=data["task"],
        model=data["model"],
        mode=data["mode"],
        principles=principles or None,
        examples=tuple(Labelled(**example) for example in data["examples"]),
        calibration=Calibration.from_json(calibration, path=path) if calibration else None,
        measured=data["measured"],
    )
