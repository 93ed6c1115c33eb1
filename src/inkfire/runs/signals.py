"""The signals of ``inkfire evaluate``: from their names to who is asked, and what each is known to see."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inkfire.errors import InputError
from inkfire.evaluation.sight import UNKNOWN, Sight, sight_of
from inkfire.evaluation.signals import Duel, JudgeSignal, LengthSignal, PairwiseDuel, PeopleSignal, RewardSignal, Signal
from inkfire.files.formats import read_labelled
from inkfire.files.reading import Data, Reading
from inkfire.judge.spec import JudgeSpec, check_mode
from inkfire.records import Candidate, Identity
from inkfire.rewards.identity import judge_identity
from inkfire.rewards.load import check_reward, identities_of, is_relative
from inkfire.rewards.qualified import read_qualified
from inkfire.runs.context import Context
from inkfire.runs.qualify import QUALIFY
from inkfire.search import without
from inkfire.settings import nearest
from inkfire.stress.qualify import qualify, qualify_pairs
from inkfire.tasks.people import People, read_people
from inkfire.tasks.task import Task

SIGNALS = ("debate", "judge", "rm", "rubric", "pairwise", "people", "length")
_CARDS = {"rm": "reward.json", "judge": "judge.json"}
_LEARNT = ("rm", "judge", "pairwise")
Named = Mapping[str, str | None]
"""Kind of signal → its folder or file, where it has one."""


def parse(values: Sequence[str]) -> dict[str, str | None]:
    """``rm=FOLDER``, ``rubric`` …

    Raises:
        InputError: an unknown signal, or one without what it needs.
    """
    signals: dict[str, str | None] = {}
    for value in values:
        kind, _, target = value.partition("=")
        if kind not in SIGNALS:
            raise InputError(f"--signal {value!r}: unknown signal{nearest(kind, SIGNALS)}")
        if kind in ("rm", "judge", "people") and not target:
            what, where = ("ratings", "FILE") if kind == "people" else ("folder", "FOLDER")
            raise InputError(f"--signal {kind} needs its {what}: --signal {kind}={where}")
        for other, card in _CARDS.items():
            if kind in _CARDS and kind != other and (Path(target) / card).is_file():
                raise InputError(f"--signal {value!r}: the folder holds no {kind}; write --signal {other}={target}")
        signals[kind] = target or None
    if not signals:
        raise InputError("name at least one signal: --signal rm=FOLDER")
    return signals


def checked(signals: Named, task: Task, reading: Reading) -> People:
    """What people said, where they are a signal; every other signal is found to be what it must be.

    Raises:
        InputError: a reward that cannot be one, ratings that cannot be read, or a task without what a signal asks with.
    """
    for kind, at in signals.items():
        if kind == "rubric":
            check_mode(kind, task)
        elif kind == "pairwise":
            task.require("pairwise")
            if at:
                JudgeSpec.read(at)
        elif at and kind not in ("people", "debate"):
            check_reward(at)
            if is_relative(at):
                raise InputError(f"{kind}={at}: it only compares texts of a group; pairwise={at} has two policies meet")
    ratings = signals.get("people")
    return read_people(ratings, task, reading) if ratings else {}


def learnt(signals: Named) -> dict[str, Path]:
    """The folders of the signals that were learnt from data."""
    return {kind: Path(folder) for kind, folder in signals.items() if kind in _LEARNT and folder}


def identities(signals: Named, judges: Mapping[str, JudgeSpec]) -> dict[str, tuple[Identity, ...]]:
    """Who each signal is; nobody for people and the length twin, against which nothing is trained.

    A judge that compares is the judge that gives scores: what a policy learnt to please in one it pleases in the other.
    """
    found: dict[str, tuple[Identity, ...]] = {}
    for kind, folder in signals.items():
        if kind in judges:
            found[kind] = (judge_identity(judges[kind], kind),)
        elif folder is None or kind == "people":
            found[kind] = ()
        else:
            found[kind] = identities_of(folder)
    return found


@dataclass(frozen=True)
class Bench:
    """Those who judge, opened: ``signals`` and ``duels``, and what each is known to see."""

    signals: list[Signal]
    duels: list[Duel]
    sights: dict[str, Sight]


@dataclass(frozen=True)
class Asked:
    """What signals are made of: ``judges`` of those that are no reward, ``people``'s ratings, the texts that a judge's
    corpus must not have, the length twin's, and how many good texts are shown to who has no card (None: those who cost
    no calls)."""

    task: Task
    signals: Named
    judges: Mapping[str, JudgeSpec]
    people: People
    length_from: Data
    reading: Reading
    qualify: int | None

    def open(self, context: Context, texts: Sequence[str]) -> Bench:
        bench = Bench([], [], {})
        for kind, folder in self.signals.items():
            if kind == "pairwise":
                duel = self._duel(context, folder)
                bench.duels.append(duel)
                bench.sights[kind] = self._exam_of_pairs(duel, context.seed)
                continue
            signal = self._signal(context, kind, folder, texts)
            bench.signals.append(signal)
            if kind not in ("people", "length"):
                bench.sights[kind] = self._sight(signal, folder, context.seed)
        return bench

    def _signal(self, context: Context, kind: str, folder: str | None, texts: Sequence[str]) -> Signal:
        if kind == "people":
            return PeopleSignal(self.people)
        if kind == "length":
            return LengthSignal.fit(
                read_labelled(self.length_from, self.reading) if self.length_from else self.task.labelled()
            )
        judge = self.judges.get(kind)
        if judge is None:
            assert folder is not None
            return RewardSignal(kind, context.reward(folder))
        if judge.corpus:  # an example that a policy wrote would be its own witness
            judge = dataclasses.replace(judge, corpus=tuple(without(judge.corpus, texts)))
        concurrency = context.access.at_once(judge.model, kind)
        llm = context.model(judge.model, concurrency=concurrency)
        return JudgeSignal(kind, context.besides(judge).build(llm, self.task), concurrency)

    def _duel(self, context: Context, folder: str | None) -> Duel:
        spec = JudgeSpec.read(folder) if folder else self.judges["pairwise"]
        concurrency = context.access.at_once(spec.model, "pairwise")
        llm, asked = context.model(spec.model, concurrency=concurrency), context.besides(spec)
        return PairwiseDuel(asked.compares(llm, self.task), concurrency=concurrency)

    # ---- what they see ---------------------------------------------------------------------------------------------

    def _sight(self, signal: Signal, folder: str | None, seed: int) -> Sight:
        """By the signal's card, or else by an exam."""
        if folder is not None and (known := read_qualified(Path(folder)).get("qualified")):
            return sight_of(known)
        costs_nothing = folder is not None and (Path(folder) / _CARDS["rm"]).is_file()
        n = QUALIFY if self.qualify is None and costs_nothing else self.qualify or 0
        good = self._good() if n else []
        if not good:
            return UNKNOWN

        def score(queries: Sequence[str], responses: Sequence[str]) -> list[float | None]:
            opinions = signal.label(queries, responses)
            return [one.label if one.score is None else one.score for one in opinions]

        return sight_of(qualify(score, good, n=n, seed=seed))

    def _exam_of_pairs(self, duel: Duel, seed: int) -> Sight:
        good = self._good() if self.qualify else []
        return sight_of(qualify_pairs(duel.compare, good, n=self.qualify or 0, seed=seed)) if good else UNKNOWN

    def _good(self) -> list[Candidate]:
        return [Candidate(text.query, text.response) for text in self.task.exam_texts()]


def described(signals: Named) -> dict[str, Any]:
    """What a manifest says of them; their folders and files are inputs."""
    return {"signals": list(signals)}


def inputs_of(signals: Named) -> dict[str, Path]:
    return {f"signal {kind}": Path(folder) for kind, folder in signals.items() if folder}
