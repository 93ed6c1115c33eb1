"""``inkfire monitor``: what a training's texts turned into, and when (``training/alarms.py``), whoever trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from inkfire.errors import DataError
from inkfire.files.rollouts import START, by_step, read_rollouts
from inkfire.models.card import Card, Template, is_policy
from inkfire.records import Rollout
from inkfire.rewards.reading import relevance, spaced
from inkfire.settings import option, settings
from inkfire.training.alarms import BASELINE, Watch

_READ = 32
"""Texts of a step that a model reads: it reads each four times."""
_PLAIN = Template("[user]\n{{ query }}\n", {})


@settings
class MonitorInputs:
    """What is looked at, and what it is held against."""

    baseline: Path | None = None
    """Texts of the policy before the training; if none, start.jsonl of our run's folder, else the first five steps."""
    base: Annotated[str | None, option("--base", "--model")] = None
    """A frozen model that reads, for likelihood and relevance: local/NAME, a folder or a hub id."""
    fail_on_alarm: bool = False
    """Exit with code 5 where anything alarms."""


def monitor(rollouts: Path, inputs: MonitorInputs = MonitorInputs()) -> dict[str, Any]:
    """Replay the alarms over the rollouts of a training.

    Returns:
        ``n`` texts, ``steps``, ``baseline`` (what it was), ``reward_first`` and ``reward_last`` (means of three steps),
        ``alarms`` (rows of step, what, value, baseline, since, said, texts, queries), ``blind`` (the series that could
        not be watched) and ``numbers`` (a row a step).

    Raises:
        DataError: what is wrong with the rollouts or the baseline.
        ModelNameError: the model cannot be loaded.
    """
    texts = read_rollouts(rollouts)
    source = inputs.baseline
    if source is None and (rollouts / START).is_file():
        source = rollouts / START
    before = [] if source is None else read_rollouts(source, steps=False)
    if source is not None and len({text.query for text in before}) < 2:
        raise DataError("a baseline needs texts of two queries or more", path=source)
    if inputs.base is not None:
        texts, before = _read(inputs.base, _template(rollouts), texts, before)
    watch, rows, alarms = Watch(before), [], []
    for step in by_step(texts):
        alarms += watch.see(step)
        rows.append({"step": step[0].step, "n": len(step), "reward": _reward(step), **watch.numbers})
    rewards = [row["reward"] for row in rows if row["reward"] is not None]
    edge = max(1, min(3, len(rewards) // 2))
    return {
        "n": len(texts),
        "steps": len(rows),
        "first_step": rows[0]["step"],
        "last_step": rows[-1]["step"],
        "baseline": f"the first {BASELINE} steps" if source is None else source.name,
        "watched": len(rows) if source is not None else max(0, len(rows) - BASELINE),
        "reward_first": float(np.mean(rewards[:edge])) if rewards else None,
        "reward_last": float(np.mean(rewards[-edge:])) if rewards else None,
        "alarms": [dataclasses.asdict(alarm) for alarm in alarms],
        "blind": watch.blind if watch.ready else [],
        "numbers": rows,
    }


def _reward(step: Sequence[Rollout]) -> float | None:
    known = [text.reward for text in step if text.reward is not None]
    return float(np.mean(known)) if known else None


def _template(rollouts: Path) -> Template:
    """How our own run's policy was asked; a bare turn of the user for others."""
    return Card.read(rollouts).template if is_policy(rollouts) else _PLAIN


def _read(
    base: str, template: Template, texts: list[Rollout], before: list[Rollout]
) -> tuple[list[Rollout], list[Rollout]]:
    """The texts with what the model says of them: at most :data:`_READ` of a step, those at equal distances."""
    from inkfire.models.likelihood import Likelihood

    kept: dict[int, None] = {}
    of_step: dict[tuple[bool, int], list[int]] = {}
    every = [*before, *texts]
    for i, text in enumerate(every):
        of_step.setdefault((i < len(before), text.step), []).append(i)
    for (first, _), places in of_step.items():
        kept |= dict.fromkeys(spaced(places, min(len(places), _READ * BASELINE if first else _READ)))
    chosen = [every[i] for i in kept]
    queries, responses = [text.query for text in chosen], [text.response for text in chosen]
    pool = sorted({text.query for text in every})
    with closing(Likelihood.bare(base, template)) as reader:
        fluency = reader.per_token(queries, responses)
        answering = relevance(reader, queries, responses, pool, 0, fluency)
    said: Mapping[int, tuple[float | None, float | None]] = dict(
        zip(kept, zip(fluency, answering, strict=True), strict=True)
    )
    found = []
    for i, text in enumerate(every):
        likely, answers = said.get(i, (None, None))
        found.append(dataclasses.replace(text, fluency=likely, relevance=answers))
    return found[len(before) :], found[: len(before)]
