"""Adversarial refinement of the judge's principles (PAPER, strategy B), with an acceptance test.

Two sets of rules evolve: S_D, the principles of the judge, and S_G, the flaw strategies of the Generator. A round:

1. *Adversarial phase* (``adversary.py``): the Generator hides flaws in texts. Caught → advice for S_G; fooled →
   a proposal for S_D. The texts that fooled the judge are kept as attacks.
2. *Reflection phase* (``proposals.py``): the judge's worst errors on the training texts → the Reflector's proposals.
3. The Optimizer merges the proposals into a candidate S_D.
4. The candidate is judged against the current S_D on the validation texts and taken only if it is better
   (``acceptance.py``). S_G has no such test: it only has to keep the Generator busy.

The Detector is the very judge that is being refined: one token a text, with a threshold fitted on the training texts.
Training and validation texts share no query. Every proposal and every candidate, taken or not, goes into the history
with its effect; a candidate that was rejected is not tried again. All randomness is seeded and all calls go through the
ledger, so a run that was stopped repeats itself up to that point without a call.

    refined = await refine(task, llm, queries, training, validation, settings=RefineSettings(rounds=1))
    refined.principles.texts, refined.history[0]["why"]
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from inkfire.errors import InputError
from inkfire.judge.acceptance import Acceptance, BetterRanking
from inkfire.judge.adversary import Attack, attack
from inkfire.judge.calibration import MIN_LABELS, CalibratedJudge, fit_calibration, raw_score
from inkfire.judge.examples import NO_EXAMPLES, Examples
from inkfire.judge.judging import judge_all
from inkfire.judge.logprob import LogprobJudge
from inkfire.judge.principles import LIMIT, Principles
from inkfire.judge.proposals import Proposal, merge, reflect, refused_rule
from inkfire.llm import stream
from inkfire.llm.base import LLM
from inkfire.records import Labelled, Verdict
from inkfire.tasks.task import Task

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RefineSettings:
    """``attacks`` queries and ``errors`` labelled errors a round; ``alpha`` is the chance, over the whole run, of
    taking a candidate that is no better."""

    rounds: int = 1
    attacks: int = 4
    errors: int = 6
    alpha: float = 0.05
    concurrency: int = 4
    seed: int = 0


@dataclass(frozen=True)
class Refined:
    """The sets in the end, and the way there: one ``history`` row a round, the ``attacks`` that fooled the judge."""

    principles: Principles
    flaws: Principles
    history: tuple[dict[str, Any], ...]
    attacks: tuple[dict[str, Any], ...]

    @property
    def accepted(self) -> int:
        return sum(bool(row["accepted"]) for row in self.history)

    @property
    def rejected(self) -> int:
        return len(self.history) - self.accepted


async def refine(
    task: Task,
    llm: LLM,
    queries: Sequence[str],
    training: Sequence[Labelled],
    validation: Sequence[Labelled],
    *,
    settings: RefineSettings = RefineSettings(),
    start: Principles | None = None,
    examples: Examples = NO_EXAMPLES,
    acceptance: Acceptance | None = None,
    note: Note = lambda message: None,
) -> Refined:
    """Refine the task's principles (or ``start``) over ``settings.rounds`` rounds.

    Args:
        queries: what the Generator is asked to write for.
        training: labelled texts whose errors are reflected on and that fit the Detector's threshold.
        validation: labelled texts on which candidates are tested; none of their queries is in ``training``.
        examples: labelled texts shown to the judge, of queries that ``validation`` has not.
        acceptance: the test, by default ``BetterRanking`` with ``settings.alpha`` shared by the rounds.
        note: told what happens, a line at a time.

    Raises:
        InputError: no queries, too few training texts, or splits that share a query.
    """
    if not queries:
        raise InputError("refinement needs at least one query for the Generator")
    if len(training) < MIN_LABELS or len({row.label for row in training}) < 2:
        raise InputError(
            f"the training part has {len(training)} labelled texts; refinement needs {MIN_LABELS} of both classes there"
        )
    if shared := {row.query for row in training} & {row.query for row in validation}:
        raise InputError(f"training and validation share the query {min(shared)!r}; split them by query")
    rule = acceptance or BetterRanking(settings.alpha, tests=max(settings.rounds, 1), seed=settings.seed)
    run = _Refinement(task, llm, queries, training, validation, settings, examples, rule, note)
    run.principles = start or Principles.of(task.principles)
    run.flaws = Principles.of(task.flaws)
    for number in range(1, settings.rounds + 1):
        await run.round(number)
    return Refined(run.principles, run.flaws, tuple(run.history), tuple(run.attacks))


@dataclass
class _Refinement:
    """A run under way."""

    task: Task
    llm: LLM
    queries: Sequence[str]
    training: Sequence[Labelled]
    validation: Sequence[Labelled]
    settings: RefineSettings
    examples: Examples
    acceptance: Acceptance
    note: Note
    principles: Principles = field(init=False)
    flaws: Principles = field(init=False)
    history: list[dict[str, Any]] = field(default_factory=list)
    attacks: list[dict[str, Any]] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)  # versions of rejected candidates, texts of rejected proposals

    async def round(self, number: int) -> None:
        seed = self.settings.seed * 1000 + number
        verdicts = await self._judge(self.principles, self.training)
        calibration = fit_calibration(verdicts, [row.label for row in self.training])
        detector = CalibratedJudge(self._judge_by(self.principles), calibration)

        attempts = await self._attack(detector, random.Random(seed), seed)
        self.attacks += [{"round": number, **attempt.to_json()} for attempt in attempts if attempt.fooled]
        caught = sum(attempt.caught for attempt in attempts)
        fooled = sum(attempt.fooled for attempt in attempts)
        self.note(f"round {number}: {len(attempts)} attacks, {caught} caught, {fooled} fooled the judge")

        errors = worst_errors(self.training, [calibration.apply(verdict) for verdict in verdicts], self.settings.errors)
        reflections = await self._reflect(errors, seed)
        taught = [proposal for attempt in attempts if (proposal := attempt.proposal()) is not None]
        proposals = [*taught, *(one for one in reflections if isinstance(one, Proposal))]
        row: dict[str, Any] = {
            "round": number,
            "attacks": len(attempts),
            "caught": caught,
            "fooled": fooled,
            "dropped": [attempt.dropped for attempt in attempts if attempt.dropped],
            "errors": len(errors),
            "proposals": self._checked(proposals),
            "failed": [one for one in reflections if isinstance(one, str)],
            "from": self.principles.version,
        }
        usable = [one for one, checked in zip(proposals, row["proposals"], strict=True) if not checked["refused"]]
        await self._merge_flaws([one for one in usable if one.kind == "flaws"], number, seed)
        row |= await self._try([one for one in usable if one.kind == "principles"], number, seed)
        row["flaws"] = list(self.flaws.texts)
        self.history.append(row)
        self.note(f"round {number}: {'accepted' if row['accepted'] else 'rejected'}: {row['why']}")

    async def _attack(self, detector: CalibratedJudge, rng: random.Random, seed: int) -> list[Attack]:
        chosen = rng.sample(list(self.queries), min(self.settings.attacks, len(self.queries)))

        async def one(query: str) -> Attack:
            return await attack(
                self.task, self.llm, detector, query, principles=self.principles, flaws=self.flaws, seed=seed
            )

        return [made async for made in stream.ordered(one, chosen, limit=self.settings.concurrency)]

    async def _reflect(self, errors: Sequence[tuple[Labelled, Verdict]], seed: int) -> list[Proposal | str]:
        async def one(error: tuple[Labelled, Verdict]) -> Proposal | str:
            return await reflect(self.task, self.llm, *error, principles=self.principles, seed=seed)

        return [made async for made in stream.ordered(one, errors, limit=self.settings.concurrency)]

    def _checked(self, proposals: Sequence[Proposal]) -> list[dict[str, Any]]:
        """Every proposal as the history shows it; ``refused`` says why one is not used, empty where it is."""
        rows, seen = [], [*self.principles.texts, *self.flaws.texts]
        for proposal in proposals:
            refused = refused_rule(proposal.text, self.task, seen)
            if refused is None and proposal.text in self.tried:
                refused = "it was part of a rejected candidate"
            if refused is None:
                seen.append(proposal.text)
            rows.append(proposal.to_json() | {"refused": refused or ""})
        return rows

    async def _merge_flaws(self, proposals: Sequence[Proposal], number: int, seed: int) -> None:
        if not proposals:
            return
        texts = [proposal.text for proposal in proposals]
        merged = await merge(self.task, self.llm, self.flaws, texts, kind="flaws", seed=seed)
        because = [text for proposal in proposals for text in proposal.because]
        self.flaws = self.flaws.revised(merged.texts, origin="adversarial", round_number=number, because=because)

    async def _try(self, proposals: Sequence[Proposal], number: int, seed: int) -> dict[str, Any]:
        """Merge, test, decide: the part of a history row that says what became of the proposals."""
        if not proposals:
            return {"accepted": False, "why": "no usable proposal", "candidate": None}
        texts = [proposal.text for proposal in proposals][:LIMIT]
        merged = await merge(self.task, self.llm, self.principles, texts, kind="principles", seed=seed)
        origins = {proposal.origin for proposal in proposals}
        candidate = self.principles.revised(
            merged.texts,
            origin="reflection" if "reflection" in origins else "adversarial",
            round_number=number,
            because=[text for proposal in proposals for text in proposal.because],
        )
        row = {"candidate": candidate.to_json(), "merged": merged.how, "merged_why": merged.why}
        if candidate.version in self.tried or candidate.version == self.principles.version:
            return row | {"accepted": False, "why": "the same set was there before"}
        current = await self._judge(self.principles, self.validation)
        proposed = await self._judge(candidate, self.validation)
        decision = self.acceptance.decide(
            [text.label for text in self.validation],
            [raw_score(verdict) for verdict in current],
            [raw_score(verdict) for verdict in proposed],
            clusters=[text.query for text in self.validation],
        )
        if decision.accepted:
            self.principles = candidate
        else:
            self.tried |= {candidate.version, *texts}
        return row | decision.to_json()

    def _judge_by(self, principles: Principles) -> LogprobJudge:
        return LogprobJudge(self.task, self.llm, principles, self.examples, seed=self.settings.seed)

    async def _judge(self, principles: Principles, texts: Sequence[Labelled]) -> list[Verdict]:
        return await judge_all(self._judge_by(principles), texts, concurrency=self.settings.concurrency)


def worst_errors(texts: Sequence[Labelled], verdicts: Sequence[Verdict], count: int) -> list[tuple[Labelled, Verdict]]:
    """The ``count`` errors that the judge was surest of, bad texts called good and good ones called bad in turn."""
    wrong = [
        (abs(score - text.label), text, verdict)
        for text, verdict in zip(texts, verdicts, strict=True)
        if (score := raw_score(verdict)) is not None and verdict.label != text.label
    ]
    wrong.sort(key=lambda error: (-error[0], error[1].query, error[1].response))
    kinds = [[error for error in wrong if error[1].label == label] for label in (0, 1)]
    taken = [error for rank in range(len(wrong)) for kind in kinds for error in kind[rank : rank + 1]]
    return [(text, verdict) for _, text, verdict in taken[:count]]
