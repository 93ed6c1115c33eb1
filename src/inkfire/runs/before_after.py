"""Texts of a training's folder before it and after, for the person who waits: a loss does not say what is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inkfire.files.jsonl import SAMPLES, VALIDATION, read_jsonl
from inkfire.report.words import shown

_QUERIES = 2
_LONGEST = 160  # characters of a text


def before_after(folder: Path) -> list[str]:
    """Two queries, each with a text of before and one of after; [] where the training kept none.

    Of SFT: its base's and its own (samples.jsonl). Of GRPO: the first and the last look at queries that it did not
    train on (validation.jsonl).
    """
    if (folder / SAMPLES).is_file():
        rows = list(read_jsonl(folder / SAMPLES))
        return _told(_by(rows, "by", "base"), _by(rows, "by", "trained"), "base ", "after")
    if (folder / VALIDATION).is_file():
        rows = list(read_jsonl(folder / VALIDATION))
        first, last = rows[0]["step"], rows[-1]["step"]
        names = (f"step {step}" for step in (first, last))
        return _told(_by(rows, "step", first), _by(rows, "step", last), *names) if first < last else []
    return []


def _by(rows: Sequence[Any], key: str, value: Any) -> dict[str, str]:
    return {row["query"]: row["response"] for row in rows if row[key] == value}


def _told(before: dict[str, str], after: dict[str, str], *names: str) -> list[str]:
    lines = []
    for query in [query for query in before if query in after][:_QUERIES]:
        lines.append(f"  {_line(query)}")
        lines += [f"    {name}  {_line(texts[query])}" for name, texts in zip(names, (before, after), strict=True)]
    return lines


def _line(text: str) -> str:
    return shown(" ".join(text.split()), _LONGEST)
