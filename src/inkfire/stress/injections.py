"""The attack suite: texts that tell a judge what to answer, tied to bad texts of its task, and how often they turn the
verdict.

injections.toml holds the attacks by family, with their split; the task's own bad texts carry them. The defences
(``judge/guard.py``) were written on the ``development`` families; the ``held_out`` ones say what they are worth on
attacks nobody had in mind.
A trial is a carrier that the judge calls bad by itself, an attack, and the place where it stands; it is a *flip* when
the judge then says good.

    trials = draw(load_suite(), carriers_for(task), task, limit=280, seed=0)
    result = summarise(trials, off, on)
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from itertools import product, zip_longest
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from inkfire.errors import DataError, InputError
from inkfire.judge.guard import suspect
from inkfire.judge.views import HAN
from inkfire.records import Labelled, Verdict, text_id
from inkfire.settings import Strict, load_toml
from inkfire.stats.twins import rate
from inkfire.tasks.task import Task

Split = Literal["development", "held_out"]
Place = Literal["prefix", "suffix", "middle"]
PLACES: tuple[Place, ...] = get_args(Place)
MIN_CARRIERS, MAX_CARRIERS = 3, 12
"""Fewer carriers that the judge calls bad are too few to flip; more cost calls and tell little more."""


class Family(Strict):
    """Attacks of one kind. ``{good}`` and ``{bad}`` in them stand for the task's two answers."""

    name: str
    split: Split
    about: str
    attacks: Annotated[tuple[str, ...], Field(min_length=1)]


class Suite(Strict):
    families: tuple[Family, ...]


@lru_cache(maxsize=1)
def load_suite() -> Suite:
    """The suite that ships with inkfire."""
    with as_file(files("inkfire.stress").joinpath("injections.toml")) as path:
        return load_toml(path, Suite, error=DataError)


def carriers_for(task: Task) -> list[Labelled]:
    """Bad texts of the task for an attack to hide in: one a query, the same ones each time, none that is an injection
    itself. At most ``MAX_CARRIERS``, and those of half of the queries, so that there are others to calibrate on.

    Raises:
        InputError: the task has fewer than ``MIN_CARRIERS``.
    """
    bad = [row for row in task.labelled() if row.label == 0]
    bad.sort(key=lambda row: (text_id(row.query), text_id(row.response)))
    wanted = min(MAX_CARRIERS, max(MIN_CARRIERS, len({row.query for row in bad}) // 2))
    found: dict[str, Labelled] = {}
    for row in bad:
        if len(found) < wanted and row.query not in found and not suspect(row.query, row.response, task).fired:
            found[row.query] = row
    if len(found) < MIN_CARRIERS:
        raise InputError(
            f"{task.folder / 'labelled.jsonl'}: bad texts of {len(found)} queries; {MIN_CARRIERS} are needed to "
            "carry an attack: label some with 0"
        )
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Trial:
    """One attack in one carrier; ``response`` is what the judge is given."""

    family: str
    split: Split
    attack: str
    place: Place
    query: str
    response: str


def draw(suite: Suite, carriers: Sequence[Labelled], task: Task, *, limit: int, seed: int) -> list[Trial]:
    """``limit`` trials, the families in turn, each attack before any is used twice; all of them where there are fewer.

    Raises:
        InputError: fewer than ``MIN_CARRIERS`` carriers.
    """
    if len(carriers) < MIN_CARRIERS:
        raise InputError(
            f"{len(carriers)} carriers are bad to this judge by themselves; {MIN_CARRIERS} are needed to flip any. "
            "Fit its threshold: --calibration LABELLED, or --judge of a calibrated one"
        )
    rng = random.Random(seed)
    by_family = [_of_family(family, carriers, task, rng) for family in suite.families]
    rounds = zip_longest(*by_family)
    return [trial for row in rounds for trial in row if trial is not None][:limit]


def _of_family(family: Family, carriers: Sequence[Labelled], task: Task, rng: random.Random) -> list[Trial]:
    """Every trial of a family: attack after attack, each time in another carrier or place."""
    queues = []
    for attack in rng.sample(family.attacks, len(family.attacks)):
        text = attack.replace("{good}", task.good).replace("{bad}", task.bad)
        settings = list(product(carriers, PLACES))
        rng.shuffle(settings)
        queues.append(
            [
                Trial(family.name, family.split, text, place, carrier.query, attached(carrier.response, text, place))
                for carrier, place in settings
            ]
        )
    return [trial for row in zip_longest(*queues) for trial in row if trial is not None]


def attached(response: str, attack: str, place: Place) -> str:
    """The carrier's text with the attack before it, after it, or at the sentence's end that is nearest its middle."""
    if place == "prefix":
        return f"{attack}\n{response}"
    if place == "suffix":
        return f"{response}\n{attack}"
    ends = [match.end() for match in re.finditer(rf"[.!?,;。！？，；]\s*|(?<=[{HAN}])(?=[{HAN}])", response)]
    cut = min(ends, key=lambda end: abs(end - len(response) // 2), default=len(response) // 2)
    return f"{response[:cut].rstrip()} {attack} {response[cut:].lstrip()}"


def summarise(trials: Sequence[Trial], off: Sequence[Verdict], on: Sequence[Verdict] | None) -> dict[str, Any]:
    """Flips with the defences ``on`` and ``off``, of all trials, of each split and of each family.

    A rate is over the trials that have a verdict (a suspected text has one, also where the task leaves it unscored).
    Trials share carriers, and what flips one attack on a carrier flips others: intervals are clustered by carrier, of
    which there are ``NAME_clusters``. That no attack in 14 carriers succeeds says little of a fifteenth.
    """
    parts = {"": list(range(len(trials)))}
    for split in get_args(Split):
        parts[f"_{split}"] = [i for i, trial in enumerate(trials) if trial.split == split]
    out: dict[str, Any] = {"n": len(trials)}
    for suffix, rows in parts.items():
        out |= _rates(trials, rows, off, on, suffix)
    families: dict[str, Any] = {}
    for name in dict.fromkeys(trial.family for trial in trials):
        rows = [i for i, trial in enumerate(trials) if trial.family == name]
        families[name] = {"split": trials[rows[0]].split, "n": len(rows), **_rates(trials, rows, off, on)}
    return out | {"families": families}


def _rates(
    trials: Sequence[Trial],
    rows: Sequence[int],
    off: Sequence[Verdict],
    on: Sequence[Verdict] | None,
    suffix: str = "",
) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, verdicts in ((f"flips{suffix}", on), (f"flips_off{suffix}", off)):
        if verdicts is not None:
            told = [i for i in rows if verdicts[i].scored or verdicts[i].injection]
            out |= rate(name, [verdicts[i].label == 1 for i in told], [trials[i].query for i in told])
            out[f"{name}_n"] = len(told)
    if on is not None:
        out |= rate(f"detected{suffix}", [bool(on[i].injection) for i in rows], [trials[i].query for i in rows])
    return out


def lost(off: Sequence[Verdict], on: Sequence[Verdict], n: int) -> dict[str, Any]:
    """Good texts, of ``n``, that only the defences keep from being called good.

    ``off`` and ``on`` are the verdicts of those texts at which the defences look twice; they leave the others as they
    are. ``clean_suspected`` counts those that they suspect, whatever the judge thinks of them.
    """
    hits = [before.label == 1 and after.label != 1 for before, after in zip(off, on, strict=True)]
    suspected = [bool(verdict.injection) for verdict in on]
    rest = [False] * (n - len(hits))
    return {"clean": n, **rate("clean_lost", hits + rest), **rate("clean_suspected", suspected + rest)}
