"""Adversarial refinement of the judge's principles (PAPER, strategy B), with an acceptance test.

Two sets of rules evolve: S_D, the principles of the judge, and S_G, the flaw strategies of the Generator. A round:

1. *Adversarial phase* (``forgeries.py``): the Generator hides flaws in texts. Caught → advice for S_G; fooled →
   a proposal for S_D. The texts that fooled the judge are kept as hard negatives (``hard_negatives.py``).
2. *Reflection phase* (``proposals.py``): the judge's worst errors on the training texts, and hard negatives of earlier
   rounds that still fool it → the Reflector's proposals.
3. The Optimizer merges the proposals of both phases, in one batch, into a candidate S_D.
4. The candidate is judged against the current S_D on the validation texts and taken only if it is better
   (``acceptance.py``); S_G has no such test. ``screen`` rejects a candidate that gains nothing on so many of them
   without the rest: it never accepts, so the error rate of accepting stays what it was.

The run ends after its rounds, or after ``patience`` rounds in a row without a gain. The Detector is the very judge that
is being refined: one token a text, its threshold fitted on the training texts, which share no query with those of
validation. Every proposal and candidate goes into the history with its effect; one that was rejected, or is worded
nearly like it, is not tried again. All is seeded and goes through the ledger: what was stopped repeats without a call.

    refined = await Refiner(task, llm, queries, training, validation, RefineSettings(rounds=1)).run()
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from annotated_types import Ge, Le

from inkfire.errors import InputError
from inkfire.files.formats import split_by_query
from inkfire.judge.base import at_once, judge_many
from inkfire.judge.calibration import MIN_LABELS, CalibratedJudge, fit_calibration, raw_score
from inkfire.judge.examples import NO_EXAMPLES, Choice, Examples
from inkfire.judge.logprob import LogprobJudge
from inkfire.judge.principles import LIMIT, Principles
from inkfire.llm import stream
from inkfire.llm.base import LLM
from inkfire.llm.progress import Bars, no_bars, no_notes
from inkfire.records import Labelled, Verdict, text_id, to_json
from inkfire.refine.acceptance import Acceptance, BetterRanking, Decision, NoWorse
from inkfire.refine.contribution import leave_one_out, with_effect
from inkfire.refine.forgeries import Forgery, forge
from inkfire.refine.hard_negatives import HardNegative, best
from inkfire.refine.proposals import Proposal, copies, merge, reflect, refused_rule, revise, worst_errors
from inkfire.search import near_duplicate
from inkfire.settings import settings
from inkfire.tasks.task import Task

T = TypeVar("T")
R = TypeVar("R")


@settings
class RefineSettings:
    """How principles are refined."""

    rounds: Annotated[int, Ge(0)] = 1
    """Rounds of forgery, reflection and test."""
    attacks: Annotated[int, Ge(1)] = 4
    """Forgeries (flawed texts) a round."""
    errors: Annotated[int, Ge(1)] = 6
    """The judge's errors reflected on a round."""
    validation: Annotated[int, Ge(4)] | None = None
    """At most so many texts test a candidate."""
    test: Annotated[int, Ge(4)] | None = None
    """At most so many texts, and half, measure the judge before and after."""
    alpha: Annotated[float, Ge(0.001), Le(0.5)] = 0.05
    """Chance, over the run, of accepting what is no better."""
    screen: Annotated[int, Ge(0)] = 0
    """Reject a candidate that gains nothing on so many validation texts (0: all of them decide)."""
    patience: Annotated[int, Ge(1)] = 2
    """Stop after so many rounds in a row without a gain."""
    leave_one_out: bool = False
    """Measure each rule in the end: one judging of the validation texts each."""
    shorten: bool = False
    """Measure each rule, and drop those that add nothing if that is no worse."""
    author_model: str | None = None
    """Model that writes forgeries, reflections and rules; by default --model."""
    examples: Annotated[int, Ge(0)] = 0
    """Labelled texts shown to the judge before each text."""
    examples_choice: Choice = "nearest"
    """nearest: those most like the text; fixed: the same for every text, half of them good."""


@dataclass(frozen=True)
class Refined:
    """The sets in the end, and the way there: one ``history`` row a round, the ``attacks`` that fooled the judge, the
    best of them as ``hard_negatives``, and every counter-example that a rule or proposal names. ``stopped`` says why
    the run ended before its last round, empty where it did not."""

    principles: Principles
    flaws: Principles
    history: tuple[dict[str, Any], ...]
    attacks: tuple[dict[str, Any], ...]
    hard_negatives: tuple[HardNegative, ...] = ()
    counterexamples: tuple[dict[str, Any], ...] = ()
    stopped: str = ""

    @property
    def accepted(self) -> int:
        return sum(bool(row["accepted"]) for row in self.history)

    @property
    def rejected(self) -> int:
        return len(self.history) - self.accepted


@dataclass
class Refiner:
    """A refinement: of the task's principles, or of ``principles``.

    Args:
        llm: the judge's model.
        queries: what the Generator is asked to write for.
        training: labelled texts whose errors are reflected on and that fit the Detector's threshold.
        validation: labelled texts on which candidates are tested; none of their queries is in ``training``.
        examples: labelled texts shown to the judge, of queries that ``validation`` has not.
        author: the model that writes forgeries, reflections and rules; by default the judge's.
        acceptance: the test, by default ``BetterRanking`` with ``settings.alpha`` shared by the rounds.
        concurrency: calls in flight at once.
        note, bars: told what happens, a line or a step at a time.
    """

    task: Task
    llm: LLM
    queries: Sequence[str]
    training: Sequence[Labelled]
    validation: Sequence[Labelled]
    settings: RefineSettings = RefineSettings()
    principles: Principles | None = None
    examples: Examples = NO_EXAMPLES
    author: LLM | None = None
    acceptance: Acceptance | None = None
    concurrency: int = 4
    seed: int = 0
    note: Callable[[str], None] = no_notes
    bars: Bars = no_bars

    async def run(self) -> Refined:
        """Refine over ``settings.rounds`` rounds.

        Raises:
            InputError: no queries, too few training texts, or splits that share a query.
        """
        training, settings = self.training, self.settings
        if not self.queries:
            raise InputError("refinement needs at least one query for the Generator")
        if len(training) < MIN_LABELS or len({row.label for row in training}) < 2:
            raise InputError(
                f"the training part has {len(training)} labelled texts; refinement needs {MIN_LABELS} of both classes "
                "there"
            )
        if shared := {row.query for row in training} & {row.query for row in self.validation}:
            raise InputError(f"training and validation share the query {min(shared)!r}; split them by query")
        run = _Rounds(self, self.principles or Principles.of(self.task.principles), Principles.of(self.task.flaws))
        stopped = ""
        for number in range(1, settings.rounds + 1):
            await run.round(number)
            idle = next((i for i, row in enumerate(reversed(run.history)) if row["accepted"]), len(run.history))
            if settings.patience <= idle and number < settings.rounds:
                stopped = f"no gain in {idle} rounds"
                self.note(f"stopped after round {number}: {stopped}")
                break
        if settings.leave_one_out or settings.shorten:
            self.note(f"leave-one-out: {len(run.principles.items)} rules on {len(self.validation)} validation texts")
            run.principles = await leave_one_out(
                run.principles,
                self.validation,
                lambda rules: run.judge(rules, self.validation, "leave-one-out"),
                seed=self.seed,
            )
        if settings.shorten:
            await run.shorten()
        return Refined(
            run.principles,
            run.flaws,
            tuple(run.history),
            tuple(run.attacks),
            tuple(best(run.hard)),
            tuple(run.counterexamples.values()),
            stopped,
        )

    @property
    def judged_at_once(self) -> int:
        """Texts that the judge has before it at a time."""
        return min(self.concurrency, at_once(self.llm.name, "logprob"))


@dataclass
class _Rounds:
    """A refinement under way: both sets of rules, and what is known so far."""

    of: Refiner
    principles: Principles
    flaws: Principles
    history: list[dict[str, Any]] = field(default_factory=list)
    attacks: list[dict[str, Any]] = field(default_factory=list)
    hard: list[HardNegative] = field(default_factory=list)
    counterexamples: dict[str, dict[str, Any]] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)  # versions of candidates
    tried: list[str] = field(default_factory=list)  # texts of proposals that were part of a rejected candidate

    @property
    def author(self) -> LLM:
        return self.of.author or self.of.llm

    @property
    def acceptance(self) -> Acceptance:
        settings = self.of.settings
        return self.of.acceptance or BetterRanking(settings.alpha, tests=max(settings.rounds, 1), seed=self.of.seed)

    async def round(self, number: int) -> None:
        seed = self.of.seed * 1000 + number
        verdicts = await self.judge(self.principles, self.of.training, f"round {number}: training texts")
        calibration = fit_calibration(verdicts, [row.label for row in self.of.training])
        detector = CalibratedJudge(self._judge_by(self.principles), calibration)

        still = await self._still_fooled(detector)
        known = len(best(self.hard))
        attempts = await self._forge(detector, random.Random(seed), number, seed)
        self.attacks += [{"round": number, **attempt.to_json()} for attempt in attempts if attempt.fooled]
        self.hard += [HardNegative.of(attempt, number) for attempt in attempts if attempt.fooled]
        caught = sum(attempt.caught for attempt in attempts)
        fooled = sum(attempt.fooled for attempt in attempts)
        self.of.note(f"round {number}: {len(attempts)} attacks, {caught} caught, {fooled} fooled the judge")

        errors = worst_errors(
            self.of.training, [calibration.apply(verdict) for verdict in verdicts], self.of.settings.errors
        )
        errors += still[: max(1, self.of.settings.errors // 3)]
        reflections = await self._reflect(errors, number, seed)
        self._remember(errors, attempts, number)
        taught = [proposal for attempt in attempts if (proposal := attempt.proposal()) is not None]
        proposals = [*taught, *(one for one in reflections if isinstance(one, Proposal))]
        row: dict[str, Any] = {
            "round": number,
            "attacks": len(attempts),
            "caught": caught,
            "fooled": fooled,
            "dropped": [attempt.dropped for attempt in attempts if attempt.dropped],
            "hard_negatives": {"n": known, "still_fool": len(still)},
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
        self.of.note(f"round {number}: {'accepted' if row['accepted'] else 'rejected'}: {row['why']}")

    async def _still_fooled(self, detector: CalibratedJudge) -> list[tuple[Labelled, Verdict]]:
        """Hard negatives of earlier rounds that this judge calls good, the surest first."""
        texts = [one.labelled() for one in best(self.hard)]
        verdicts = await judge_many(detector, texts, concurrency=self.of.judged_at_once)
        fooled = [(text, verdict) for text, verdict in zip(texts, verdicts, strict=True) if verdict.label == 1]
        return sorted(fooled, key=lambda error: -(error[1].probability or 0))

    def _remember(self, errors: Sequence[tuple[Labelled, Verdict]], attempts: Sequence[Forgery], number: int) -> None:
        """Keep every text that a proposal's ``because`` may name."""
        shown = [(text, verdict, "reflection") for text, verdict in errors]
        shown += [
            (Labelled(one.query, one.text, 0, "adversary"), one.verdict, "adversarial")
            for one in attempts
            if one.verdict is not None and one.verdict.scored
        ]
        for text, verdict, origin in shown:
            row = {"id": text_id(text.response), **to_json(text), "judged": verdict.label}
            self.counterexamples.setdefault(
                text_id(text.response), row | {"probability": verdict.probability, "origin": origin, "round": number}
            )

    async def _forge(self, detector: CalibratedJudge, rng: random.Random, number: int, seed: int) -> list[Forgery]:
        chosen = rng.sample(list(self.of.queries), min(self.of.settings.attacks, len(self.of.queries)))

        async def one(query: str) -> Forgery:
            return await forge(
                self.of.task, self.author, detector, query, principles=self.principles, flaws=self.flaws, seed=seed
            )

        return await self._watched(f"round {number}: attacks", one, chosen)

    async def _reflect(
        self, errors: Sequence[tuple[Labelled, Verdict]], number: int, seed: int
    ) -> list[Proposal | str]:
        async def one(error: tuple[Labelled, Verdict]) -> Proposal | str:
            return await reflect(self.of.task, self.author, *error, principles=self.principles, seed=seed)

        return await self._watched(f"round {number}: reflections", one, errors)

    async def _watched(self, label: str, fn: Callable[[T], Awaitable[R]], items: Sequence[T]) -> list[R]:
        with self.of.bars(label, len(items)) as bar:
            out = []
            async for made in stream.ordered(fn, items, limit=self.of.concurrency):
                out.append(made)
                bar.advance()
            return out

    def _checked(self, proposals: Sequence[Proposal]) -> list[dict[str, Any]]:
        """Every proposal as the history shows it; ``refused`` says why one is not used, empty where it is."""
        rows, seen = [], [*self.principles.texts, *self.flaws.texts]
        for proposal in proposals:
            refused = refused_rule(proposal.text, self.of.task, seen)
            if refused is None and copies(proposal.text, proposal.material):
                refused = "it copies the text that it is about, or the question"
            if refused is None and any(
                proposal.text == one or near_duplicate(proposal.text, one) for one in self.tried
            ):
                refused = "it was part of a rejected candidate"
            if refused is None:
                seen.append(proposal.text)
            rows.append(proposal.to_json() | {"refused": refused or ""})
        return rows

    async def _merge_flaws(self, proposals: Sequence[Proposal], number: int, seed: int) -> None:
        if not proposals:
            return
        texts = [proposal.text for proposal in proposals]
        merged = await merge(self.of.task, self.author, self.flaws, texts, kind="flaws", seed=seed)
        self.flaws = revise(self.flaws, merged.texts, proposals, number)

    async def _try(self, proposals: Sequence[Proposal], number: int, seed: int) -> dict[str, Any]:
        """Merge, test, decide: the part of a history row that says what became of the proposals."""
        if not proposals:
            return {"accepted": False, "why": "no usable proposal", "candidate": None}
        texts = [proposal.text for proposal in proposals][:LIMIT]
        merged = await merge(self.of.task, self.author, self.principles, texts, kind="principles", seed=seed)
        candidate = revise(self.principles, merged.texts, proposals, number)
        row = {"candidate": candidate.to_json(), "merged": merged.how, "merged_why": merged.why, "screened": None}
        if candidate.version in self.rejected or candidate.version == self.principles.version:
            return row | {"accepted": False, "why": "the same set was there before"}
        row["screened"] = screened = await self._screened(candidate, number)
        if screened is not None and not screened["passed"]:
            decided = {"accepted": False, "why": screened["why"]}
        else:
            decision = await self._decide(candidate, self.of.validation, f"round {number}: validation texts")
            decided = decision.to_json()
            if decision.accepted:
                self.principles = with_effect(candidate, self.principles, decision)
        if not decided["accepted"]:
            self.rejected.add(candidate.version)
            self.tried += texts
        return row | decided

    async def shorten(self) -> None:
        """Drop the rules without a contribution of their own, if the judge is no worse without them."""
        kept = tuple(item for item in self.principles.items if not item.contribution or item.contribution.estimate > 0)
        if not 0 < len(kept) < len(self.principles.items):
            return self.of.note("shortening: no rule to drop")
        candidate = Principles(kept, parent=self.principles.version)
        rule = NoWorse(alpha=self.of.settings.alpha, seed=self.of.seed)
        decision = await self._decide(candidate, self.of.validation, "shortening", rule)
        row = {"round": len(self.history) + 1, "shortens": True, "proposals": [], "from": self.principles.version}
        self.history.append(row | {"candidate": candidate.to_json()} | decision.to_json())
        self.of.note(
            f"shortening to {len(kept)} rules: {'accepted' if decision.accepted else 'rejected'}: {decision.why}"
        )
        if decision.accepted:
            self.principles = candidate
        return None

    async def _screened(self, candidate: Principles, number: int) -> dict[str, Any] | None:
        """What a part of the validation texts says of a candidate; None where it is not asked."""
        if not 0 < self.of.settings.screen < len(self.of.validation):
            return None
        share = self.of.settings.screen / len(self.of.validation)
        _, part = split_by_query(self.of.validation, fraction=share, seed=self.of.seed, both_labels=False)
        decision = await self._decide(candidate, part, f"round {number}: screening")
        passed = decision.effect > 0
        why = f"AUC changes by {decision.effect:+.3f} on the {decision.n} texts of the screening: no gain"
        return {"n": decision.n, "effect": decision.effect, "passed": passed, "why": "" if passed else why}

    async def _decide(
        self, candidate: Principles, texts: Sequence[Labelled], label: str, rule: Acceptance | None = None
    ) -> Decision:
        current = await self.judge(self.principles, texts, f"{label}, current")
        proposed = await self.judge(candidate, texts, f"{label}, candidate")
        return (rule or self.acceptance).decide(
            [text.label for text in texts],
            [raw_score(verdict) for verdict in current],
            [raw_score(verdict) for verdict in proposed],
            clusters=[text.query for text in texts],
        )

    def _judge_by(self, principles: Principles) -> LogprobJudge:
        return LogprobJudge(self.of.task, self.of.llm, principles, self.of.examples, seed=self.of.seed)

    async def judge(self, principles: Principles, texts: Sequence[Labelled], label: str) -> list[Verdict]:
        with self.of.bars(label, len(texts)) as bar:
            return await judge_many(
                self._judge_by(principles),
                texts,
                concurrency=self.of.judged_at_once,
                advance=lambda verdict: bar.advance(failed=not verdict.scored),
            )
