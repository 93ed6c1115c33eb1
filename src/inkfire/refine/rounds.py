"""Adversarial refinement of the judge's principles (PAPER, strategy B), with an acceptance test.

Two sets of rules evolve: S_D, the principles of the judge, and S_G, the flaw strategies of the Generator. A round:

1. *Adversarial phase* (``forgeries.py``): the Generator hides flaws in texts. Caught → advice for S_G; fooled →
   a proposal for S_D. The texts that fooled the judge are kept as hard negatives.
2. *Reflection phase* (``proposals.py``): the judge's worst errors on the training texts, and hard negatives of earlier
   rounds that still fool it → the Reflector's proposals.
3. The Optimizer merges the proposals of both phases, in one batch, into a candidate S_D; or each by itself, those of
   the forgeries before the reflection phase, which then judges by what they made.
4. The candidate is judged against the current S_D on the validation texts and taken only if it is better
   (``acceptance.py``), or it is taken untested; S_G has no such test. ``screen`` rejects a candidate that gains nothing
   on so many of them without the rest: it never accepts, so the error rate of accepting stays what it was.

The run ends after its rounds, or after ``patience`` rounds in a row without a gain. The Detector is the very judge that
is being refined (``detector.py``). Every proposal and candidate goes into the history with its effect, and beside it
what tells progress from going round in circles (``history.py``); a candidate that was rejected, or is worded nearly
like one, is not tried again. All is seeded and goes through the ledger: what was stopped repeats without a call.

    refined = await Refiner(task, llm, queries, training, validation, RefineSettings(rounds=1)).run()
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from inkfire.errors import InputError
from inkfire.files.formats import split_by_query
from inkfire.judge.answers import VerdictJudge
from inkfire.judge.base import at_once, judge_many
from inkfire.judge.calibration import MIN_LABELS, fit_calibration, raw_score
from inkfire.judge.examples import NO_EXAMPLES, Examples
from inkfire.judge.logprob import LogprobJudge
from inkfire.judge.principles import LIMIT, Principles
from inkfire.llm import stream
from inkfire.llm.base import LLM
from inkfire.llm.futile import main_reason
from inkfire.llm.progress import Bars, no_bars, no_notes
from inkfire.records import Labelled, Verdict, text_id, to_json
from inkfire.refine.acceptance import Acceptance, Decision, RankingTest
from inkfire.refine.contribution import leave_one_out, with_effect
from inkfire.refine.detector import Detector, ScoringDetector, WritingDetector
from inkfire.refine.forgeries import Forgery, best, forge
from inkfire.refine.history import SETS, Refined, changes, counted, unsteady, validated
from inkfire.refine.proposals import Merged, Proposal, errors_of, merge, reflect, refusals, revise
from inkfire.refine.settings import RefineSettings
from inkfire.tasks.task import Task

T = TypeVar("T")
R = TypeVar("R")

SHORTENING_MARGIN = 0.02
"""AUC that a shorter set may lose."""


@dataclass
class Refiner:
    """A refinement, for one run: of the task's principles, or of ``principles``.

    Args:
        llm: the judge's model.
        queries: what the Generator is asked to write for.
        training: labelled texts whose errors are reflected on and that fit the Detector's threshold.
        validation: labelled texts on which candidates are tested; none of their queries is in ``training``.
        examples: labelled texts shown to the judge, of queries that ``validation`` has not.
        author: the model that writes forgeries, reflections and rules; by default the judge's.
        acceptance: the test, by default ``RankingTest`` with ``settings.alpha`` shared by the rounds.
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

    def __post_init__(self) -> None:
        """What is known so far."""
        self._rules = self.principles or Principles.of(self.task.principles)
        self._flaws = Principles.of(self.task.flaws)
        self._history: list[dict[str, Any]] = []
        self._first: list[Labelled] = []  # the forgeries of the first round
        self._verdicts: dict[tuple[str, Labelled], Verdict] = {}  # by the version of the set
        self._fooled: list[Forgery] = []
        self._counterexamples: dict[str, dict[str, Any]] = {}
        self._rejected: set[str] = set()  # versions of candidates
        self._tried: list[str] = []  # texts of proposals that were part of a rejected candidate

    async def run(self) -> Refined:
        """Refine over ``settings.rounds`` rounds.

        Raises:
            InputError: no queries, too few training texts, or splits that share a query.
        """
        self._check()
        settings, stopped = self.settings, ""
        for number in range(1, settings.rounds + 1):
            await self._round(number)
            history = self._history
            idle = next((i for i, row in enumerate(reversed(history)) if row["accepted"]), len(history))
            if settings.patience <= idle and number < settings.rounds:
                stopped = f"no gain in {idle} rounds"
                self.note(f"stopped after round {number}: {stopped}")
                break
        if settings.leave_one_out or settings.shorten:
            self.note(f"leave-one-out: {len(self._rules.items)} rules on {len(self.validation)} validation texts")
            self._rules = await leave_one_out(
                self._rules,
                self.validation,
                lambda rules: self._judged(rules, self.validation, "leave-one-out"),
                seed=self.seed,
            )
        if settings.shorten:
            await self._shorten()
        return Refined(
            self._rules,
            self._flaws,
            tuple(self._history),
            tuple(one.to_json() for one in self._fooled),
            tuple(one.hard_negative() for one in best(self._fooled)),
            tuple(self._counterexamples.values()),
            stopped,
        )

    @property
    def judged_at_once(self) -> int:
        """Texts that the judge has before it at a time."""
        return min(self.concurrency, at_once(self.llm.name, self.settings.detector))

    def _check(self) -> None:
        training = self.training
        if not self.queries and self.settings.attacks:
            raise InputError("refinement needs at least one query for the Generator")
        if len(training) < MIN_LABELS or len({row.label for row in training}) < 2:
            raise InputError(
                f"the training part has {len(training)} labelled texts; refinement needs {MIN_LABELS} of both classes "
                "there"
            )
        if shared := {row.query for row in training} & {row.query for row in self.validation}:
            raise InputError(f"training and validation share the query {min(shared)!r}; split them by query")

    async def _round(self, number: int) -> None:
        seed, before = self.seed * 1000 + number, (self._rules, self._flaws)
        known = best(self._fooled)
        detector = await self._detector(self._rules, number)
        still = await self._still_fooled(detector, [one.labelled for one in known])
        attempts = await self._forge(detector, number, seed)
        if number == 1:
            self._first = [attempt.labelled for attempt in attempts if not attempt.dropped]
        self._fooled += [attempt for attempt in attempts if attempt.fooled]
        row = {"round": number} | counted(attempts) | {"hard_negatives": {"n": len(known), "still_fool": len(still)}}
        attacks = f"{row['attacks']} attack{'s' * (row['attacks'] != 1)}"
        self.note(f"round {number}: {attacks}, {row['caught']} caught, {row['fooled']} fooled the judge")

        taught = self._usable([one for attempt in attempts if (one := attempt.proposal()) is not None], [])
        flaws, rules = (
            [one for one, why in taught if not why and one.kind == kind] for kind in ("flaws", "principles")
        )
        first, later = (rules, []) if self.settings.merge == "proposal" else ([], rules)
        candidate, merged = await self._merged(self._rules, first, number, seed)
        errors = await self._errors(candidate, number, seed)
        errors += still[: max(1, self.settings.errors // 3)] if self.settings.errors else []
        reflections = await self._reflect(errors, candidate, number, seed)
        self._remember(errors, attempts, number)
        learnt = self._usable([one for one in reflections if isinstance(one, Proposal)], taught)
        row |= {
            "errors": len(errors),
            "proposals": [one.to_json() | {"refused": why} for one, why in (*taught, *learnt)],
            "failed": [one for one in reflections if isinstance(one, str)],
            "from": self._rules.version,
        }
        self._flaws, _ = await self._merged(self._flaws, flaws, number, seed)
        later = [*later, *(one for one, why in learnt if not why)][:LIMIT]
        candidate, more = await self._merged(candidate, later, number, seed)
        row |= await self._try(candidate, [*merged, *more], [one.text for one in (*first, *later)], number)
        failed = [*(one.dropped for one in attempts), *(one if isinstance(one, str) else "" for one in reflections)]
        found = main_reason(why.partition(": ")[2] or None for why in failed)
        if row["candidate"] is None and found is not None:
            row["why"] += f"; {found[1]} of {len(failed)} attacks and reflections failed: {found[0]}"
        row["flaws"] = list(self._flaws.texts)
        now = (self._rules, self._flaws)
        row["changes"] = {kind: changes(*sets) for kind, *sets in zip(SETS, before, now, strict=True)}
        row |= await self._progress(number)
        row["warnings"] = unsteady([*self._history, row])
        self._history.append(row)
        self.note(f"round {number}: {'accepted' if row['accepted'] else 'rejected'}: {row['why']}")
        for warning in row["warnings"]:
            self.note(f"round {number}: {warning}")

    async def _errors(self, rules: Principles, number: int, seed: int) -> list[tuple[Labelled, Verdict]]:
        if not self.settings.errors:
            return []
        detector = await self._detector(rules, number)
        said = await self._judged(rules, self.training, f"round {number}: training texts")
        judged = [detector.settled(verdict) for verdict in said]
        choice, most = self.settings.errors_choice, self.settings.errors
        return errors_of(self.training, judged, most, choice=choice, seed=seed)

    def _usable(
        self, proposals: Sequence[Proposal], before: Sequence[tuple[Proposal, str]]
    ) -> list[tuple[Proposal, str]]:
        """The proposals of a phase with why each is refused, empty where it is not; ``before`` are earlier ones."""
        known = [*self._rules.texts, *self._flaws.texts, *(one.text for one, why in before if not why)]
        return list(zip(proposals, refusals(proposals, self.task, known, self._tried), strict=True))

    async def _progress(self, number: int) -> dict[str, Any]:
        """What the set that the round ends with makes of the first round's forgeries and of the validation texts.

        The latter are judged for that alone where a verdict costs a reply anyway or no test has judged them.
        """
        detector = await self._detector(self._rules, number)
        again = await judge_many(detector, self._first, concurrency=self.judged_at_once)
        said = [verdict.label for verdict in again if verdict.scored]
        frozen = {"n": len(again), "scored": len(said), "caught": said.count(0)}
        validation = None
        free = all((self._rules.version, text) in self._verdicts for text in self.validation)
        if free or self.settings.detector == "verdict" or self.settings.accept == "all":
            verdicts = await self._judged(self._rules, self.validation, f"round {number}: validation texts")
            validation = validated(self.validation, verdicts, self.seed)
        return {"frozen": frozen, "validation": validation}

    async def _still_fooled(self, judge: Detector, texts: Sequence[Labelled]) -> list[tuple[Labelled, Verdict]]:
        """Hard negatives of earlier rounds that this judge calls good, the surest first."""
        verdicts = await judge_many(judge, texts, concurrency=self.judged_at_once)
        fooled = [(text, verdict) for text, verdict in zip(texts, verdicts, strict=True) if verdict.label == 1]
        return sorted(fooled, key=lambda error: -(error[1].probability or 0))

    def _remember(self, errors: Sequence[tuple[Labelled, Verdict]], attempts: Sequence[Forgery], number: int) -> None:
        """Keep every text that a proposal's ``because`` may name."""
        shown = [(text, verdict, "reflection") for text, verdict in errors]
        judged = [(attempt.labelled, attempt.verdict) for attempt in attempts]
        shown += [(text, verdict, "adversarial") for text, verdict in judged if verdict is not None and verdict.scored]
        for text, verdict, origin in shown:
            known_as = text_id(text.response)
            about = {"judged": verdict.label, "probability": verdict.probability, "origin": origin, "round": number}
            self._counterexamples.setdefault(known_as, {"id": known_as, **to_json(text), **about})

    async def _forge(self, detector: Detector, number: int, seed: int) -> list[Forgery]:
        chosen = random.Random(seed).sample(list(self.queries), min(self.settings.attacks, len(self.queries)))

        async def one(query: str) -> Forgery:
            made = await forge(self.task, self._author, detector, query, flaws=self._flaws, seed=seed)
            return dataclasses.replace(made, round=number)

        return await self._watched(f"round {number}: attacks", one, chosen)

    async def _reflect(
        self, errors: Sequence[tuple[Labelled, Verdict]], rules: Principles, number: int, seed: int
    ) -> list[Proposal | str]:
        async def one(error: tuple[Labelled, Verdict]) -> Proposal | str:
            return await reflect(self.task, self._author, *error, principles=rules, seed=seed)

        return await self._watched(f"round {number}: reflections", one, errors)

    async def _watched(self, label: str, fn: Callable[[T], Awaitable[R]], items: Sequence[T]) -> list[R]:
        with self.bars(label, len(items)) as bar:
            out = []
            async for made in stream.ordered(fn, items, limit=self.concurrency):
                out.append(made)
                bar.advance()
            return out

    async def _merged(
        self, current: Principles, proposals: Sequence[Proposal], number: int, seed: int
    ) -> tuple[Principles, list[Merged]]:
        """The set with proposals of one kind worked in, all at once or each by itself."""
        parts = [[one] for one in proposals] if self.settings.merge == "proposal" else [[*proposals]]
        made = []
        for part in filter(None, parts):
            texts, kind = [proposal.text for proposal in part], part[0].kind
            limit = self.settings.max_rules
            merged = await merge(self.task, self._author, current, texts, kind=kind, seed=seed, limit=limit)
            current = revise(current, merged.texts, part, number)
            made.append(merged)
        return current, made

    async def _try(
        self, candidate: Principles, merged: Sequence[Merged], tried: Sequence[str], number: int
    ) -> dict[str, Any]:
        """Test and decide: the part of a history row that says what became of the proposals."""
        if not merged:
            return {"accepted": False, "why": "no usable proposal", "candidate": None}
        candidate = dataclasses.replace(candidate, parent=self._rules.version)
        hows, whys = (dict.fromkeys(getattr(one, name) for one in merged) for name in ("how", "why"))
        row: dict[str, Any] = {"candidate": candidate.to_json(), "merged": ", ".join(hows)}
        row |= {"merged_why": "; ".join(filter(None, whys)), "screened": None}
        if candidate.version in self._rejected or candidate.version == self._rules.version:
            return row | {"accepted": False, "why": "the same set was there before"}
        if self.settings.accept == "all":
            self._rules = candidate
            return row | {"accepted": True, "why": "taken without a test", "effect": None, "effect_ci": None, "n": None}
        row["screened"] = screened = await self._screened(candidate, number)
        if screened is not None and not screened["passed"]:
            decided = {"accepted": False, "why": screened["why"]}
        else:
            decision = await self._decide(candidate, self.validation, f"round {number}: validation texts")
            decided = to_json(decision)
            if decision.accepted:
                self._rules = with_effect(candidate, self._rules, decision)
        if not decided["accepted"]:
            self._rejected.add(candidate.version)
            self._tried += tried
        return row | decided

    async def _shorten(self) -> None:
        """Drop the rules without a contribution of their own, if the judge is no worse without them."""
        kept = tuple(item for item in self._rules.items if item.contribution is None or item.contribution > 0)
        if not 0 < len(kept) < len(self._rules.items):
            self.note("shortening: no rule to drop")
            return
        candidate = Principles(kept, parent=self._rules.version)
        rule = RankingTest(alpha=self.settings.alpha, margin=SHORTENING_MARGIN, seed=self.seed)
        decision = await self._decide(candidate, self.validation, "shortening", rule)
        row = {"round": len(self._history) + 1, "shortens": True, "proposals": [], "from": self._rules.version}
        self._history.append(row | {"candidate": candidate.to_json()} | to_json(decision))
        self.note(f"shortening to {len(kept)} rules: {'accepted' if decision.accepted else 'rejected'}: {decision.why}")
        if decision.accepted:
            self._rules = candidate

    async def _screened(self, candidate: Principles, number: int) -> dict[str, Any] | None:
        """What a part of the validation texts says of a candidate; None where it is not asked."""
        if not 0 < self.settings.screen < len(self.validation):
            return None
        share = self.settings.screen / len(self.validation)
        _, part = split_by_query(self.validation, fraction=share, seed=self.seed, both_labels=False)
        decision = await self._decide(candidate, part, f"round {number}: screening")
        passed = decision.effect > 0
        why = f"AUC changes by {decision.effect:+.3f} on the {decision.n} texts of the screening: no gain"
        return {"n": decision.n, "effect": decision.effect, "passed": passed, "why": "" if passed else why}

    async def _decide(
        self, candidate: Principles, texts: Sequence[Labelled], label: str, rule: Acceptance | None = None
    ) -> Decision:
        current = await self._judged(self._rules, texts, f"{label}, current")
        proposed = await self._judged(candidate, texts, f"{label}, candidate")
        tests = max(self.settings.rounds, 1)
        rule = rule or self.acceptance or RankingTest(self.settings.alpha, tests, seed=self.seed)
        return rule.decide(
            [text.label for text in texts],
            [raw_score(verdict) for verdict in current],
            [raw_score(verdict) for verdict in proposed],
            clusters=[text.query for text in texts],
        )

    @property
    def _author(self) -> LLM:
        return self.author or self.llm

    def _judge_by(self, rules: Principles) -> LogprobJudge | VerdictJudge:
        kind = LogprobJudge if self.settings.detector == "logprob" else VerdictJudge
        return kind(self.task, self.llm, rules, self.examples, seed=self.seed)

    async def _detector(self, rules: Principles, number: int) -> Detector:
        judge = self._judge_by(rules)
        if isinstance(judge, VerdictJudge):
            return WritingDetector(judge)
        calibration = None
        if not self.settings.uncalibrated:
            verdicts = await self._judged(rules, self.training, f"round {number}: training texts")
            calibration = fit_calibration(verdicts, [row.label for row in self.training])
        return ScoringDetector(judge, calibration, self._author, self.seed * 1000 + number)

    async def _judged(self, rules: Principles, texts: Sequence[Labelled], label: str) -> list[Verdict]:
        """The judge's own verdicts by a set of rules; what it has said once is not asked again."""
        known = self._verdicts
        new = [text for text in texts if not ((found := known.get((rules.version, text))) and found.scored)]
        if new:
            with self.bars(label, len(new)) as bar:
                said = await judge_many(
                    self._judge_by(rules),
                    new,
                    concurrency=self.judged_at_once,
                    advance=lambda verdict: bar.advance(failed=not verdict.scored),
                )
            known |= {(rules.version, text): verdict for text, verdict in zip(new, said, strict=True)}
        return [known[rules.version, text] for text in texts]
