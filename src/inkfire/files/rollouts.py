"""What a policy wrote while it was trained, by whatever trainer: rows of step, query, response and reward.

    ours      FOLDER/completions.jsonl                       step, query, response, reward
    TRL       OUTPUT_DIR/completions/completions_00001.parquet  step, prompt, completion, a column a reward, advantage
    verl      rollout_data_dir/STEP.jsonl                    input, output, score, step
    any       JSON Lines, CSV, Parquet … of                  step, query, response, reward

>>> [rollout.step for rollout in read_rollouts("runs/rl")]                                       # doctest: +SKIP
[1, 1, 1, 1, 2, 2, 2, 2]
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inkfire.errors import DataError
from inkfire.files.containers import rows
from inkfire.files.conversations import Unfit, messages
from inkfire.files.jsonl import json_kind
from inkfire.records import Rollout

COMPLETIONS, START = "completions.jsonl", "start.jsonl"
_QUERY, _RESPONSE = ("query", "prompt", "input"), ("response", "completion", "output")
_REWARD = ("reward", "score")
_KNOWN = ("step", *_QUERY, *_RESPONSE, *_REWARD)
_NO_REWARD = {"step", "prompt", "completion", "advantage", "fluency", "relevance", "truncated"}


def read_rollouts(path: str | Path, *, steps: bool = True) -> list[Rollout]:
    """All texts of a training, by step, those of a step in the order in which they are found.

    Those that were drawn again (``draw``) are left out: their reward chose them.

    Args:
        path: a file, or the folder of a run.
        steps: whether every text must have its step; without one it is 0.

    Raises:
        DataError: no such file, or a row without a step, a query or a text.
    """
    found = [
        _rollout(row, file, line, steps)
        for file in _files(Path(path))
        for file, line, row in rows(file, known=_KNOWN, split=None, plain_text=False)
        if not (isinstance(row, dict) and row.get("draw"))
    ]
    if not found:
        raise DataError("has no texts", path=path)
    return sorted(found, key=lambda rollout: rollout.step)


def _files(path: Path) -> list[Path]:
    """The files that make up the rollouts of a run's folder."""
    if not path.is_dir():
        return [path]
    if (path / COMPLETIONS).is_file():
        return [path / COMPLETIONS]
    for folder in (path, path / "completions"):
        for pattern, name in (("*.parquet", r"completions_\d+"), ("*.jsonl", r"\d+")):
            if found := [file for file in folder.glob(pattern) if re.fullmatch(name, file.stem)]:
                return sorted(found, key=lambda file: (int(re.sub(r"\D", "", file.stem)), file.name))
    raise DataError(
        f"has no rollouts: {COMPLETIONS} (ours), completions/completions_00001.parquet (TRL, log_completions=True) or "
        "1.jsonl (verl, trainer.rollout_data_dir); of another trainer, name the file",
        path=path,
    )


def _rollout(row: Any, file: Path, line: int, steps: bool) -> Rollout:
    if not isinstance(row, dict):
        raise DataError(f"a row must be an object, found {json_kind(row)}", path=file, line=line)
    try:
        query, response = _text(row, _QUERY, "user"), _text(row, _RESPONSE, "assistant")
        step = _step(row, file, steps)
    except Unfit as error:
        raise DataError(str(error), path=file, line=line) from None
    cut = row.get("truncated")
    read = {*(row.get("failed") or ())} <= {"fluent"}  # a training reads only texts that pass all other checks
    return Rollout(
        step=step,
        query=query,
        response=response,
        reward=_reward(row),
        truncated=cut if isinstance(cut, bool) else None,
        fluency=_number(row.get("fluency")) if read else None,
        relevance=_number(row.get("relevance")) if read else None,
    )


def _text(row: Mapping[str, Any], names: tuple[str, ...], role: str) -> str:
    """A text, or what somebody says in a conversation."""
    name = next((name for name in names if row.get(name) is not None), None)
    if name is None:
        raise Unfit(f"no {' or '.join(map(repr, names))}; the row has {', '.join(map(repr, row)) or 'no keys'}")
    if isinstance(row[name], str):
        return str(row[name])
    return "\n".join(content for who, content in messages(row[name], name) if who == role)


def _step(row: Mapping[str, Any], file: Path, needed: bool) -> int:
    found = _number(row.get("step", file.stem))
    if found is not None and found.is_integer():
        return int(found)
    if needed:
        raise Unfit("no step: every row needs the step of the training at which its text was written, as step")
    return 0


def _reward(row: Mapping[str, Any]) -> float | None:
    """Its reward; the sum of the columns of several reward functions, which TRL weighs alike."""
    for name in _REWARD:
        if name in row:
            return _number(row[name])
    if "advantage" not in row:
        return None
    parts = [number for name, value in row.items() if name not in _NO_REWARD and (number := _number(value)) is not None]
    return math.fsum(parts) if parts else None


def _number(value: Any) -> float | None:
    """A finite number, also as a table's cell; None for anything else."""
    try:
        found = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def by_step(rollouts: list[Rollout]) -> Iterator[list[Rollout]]:
    """The texts of each step, in the order of the steps."""
    of: dict[int, list[Rollout]] = {}
    for rollout in rollouts:
        of.setdefault(rollout.step, []).append(rollout)
    yield from of.values()
