"""``inkfire tasks damage``: a file of texts that are damaged on purpose, from a task's good ones or any others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from inkfire.errors import DataError, InputError
from inkfire.files.formats import read_texts_or_labelled
from inkfire.files.jsonl import write_jsonl
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.records import Candidate, Labelled
from inkfire.settings import nearest, option, settings
from inkfire.stress.damage import KINDS, beside_damaged
from inkfire.tasks.task import load_task


@settings
class DamageInputs:
    """Which texts are damaged, and how."""

    kind: tuple[str, ...] = KINDS
    """shuffled, looped, strung, cut, foreign, swapped; all of them by default; repeatable."""
    data: Data = ()
    """Good texts; those labelled 0 are left out. The task's if none."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


def damage(task: str, inputs: DamageInputs, out: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write every text damaged in every way: query, response, kind, and the ``original`` text.

    Returns:
        ``texts``, ``made`` and ``left_out`` (those that a kind cannot damage) by kind, and ``out``.

    Raises:
        InputError: an unknown kind, no good texts, or ``out`` is there already.
    """
    for kind in inputs.kind:
        if kind not in KINDS:
            raise InputError(f"--kind {kind}: unknown kind of damage{nearest(kind, KINDS)}")
    if out.exists():
        raise InputError(f"{out} is there already; name a new file")
    texts = read_texts_or_labelled(inputs.data, inputs.reading) if inputs.data else load_task(task).labelled()
    good = good_texts(texts)
    if not good:
        raise DataError("no good text to damage: all are labelled 0", path=inputs.data[0] if inputs.data else None)
    rows, made = [], Counter(dict.fromkeys(inputs.kind, 0))
    for kind in made:
        for text, worse in beside_damaged(kind, good, seed=seed):
            made[kind] += 1
            rows.append({"query": text.query, "response": worse.response, "kind": kind, "original": text.response})
    write_jsonl(out, rows)
    left_out = {kind: len(good) - count for kind, count in made.items()}
    return {"texts": len(good), "rows": len(rows), "made": dict(made), "left_out": left_out, "out": str(out)}


def good_texts(texts: Sequence[Candidate | Labelled]) -> list[Candidate]:
    """Those that are not labelled 0, each once."""
    good = (Candidate(t.query, t.response) for t in texts if not isinstance(t, Labelled) or t.label == 1)
    return list(dict.fromkeys(good))
