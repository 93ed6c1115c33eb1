"""Texts that tell the judge what to answer: found by rule, and kept from winning.

A text under judgement is untrusted. The prompts quote it; here it is read before the judge reads it. Rules run over
every reading of a text (``views.py``: normalised, decoded, put together again). A *plain* sign is enough by itself: an
order to give the verdict, a verdict in the judge's own format, a turn of a conversation, a closed delimiter. A *hint*
(the word reviewer, a rule, a mark, …) is innocent alone; two kinds in a sentence, or three in a text, are not. What the
query talks about itself is no hint: a card for a judge may say judge. The rules are in guard.toml.

    suspect(query, response, task).fired         # () or the names of the rules that fired

``Guarded`` puts that in front of any judge. By rule of the task (``injection`` in task.toml) a suspected text is bad
with probability 0, or unscored; either way it is logged and counted, and a policy that writes one gains nothing.

Rules cannot know every disguise. A text with a single hint gets a second look, without the sentence that holds it. The
rules are measured by an attack suite of which whole families were held out (``stress/``), and what they miss still
meets the quoting of the prompts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files

from inkfire.errors import DataError
from inkfire.judge.base import Judge, Ranks
from inkfire.judge.calibration import raw_score
from inkfire.judge.ranking import PairwiseJudge
from inkfire.judge.views import HAN, TURN_TOKENS, bare, ciphers, invisible, mixed_words, shown, views
from inkfire.records import Comparison, Ranking, Verdict
from inkfire.settings import Strict, load_toml
from inkfire.tasks.task import Task

_log = logging.getLogger(__name__)

HINTS, CLOSE_HINTS = 3, 2
"""So many kinds of hints make a suspicion: in the whole text, or in one sentence."""

_DIGITS = {"o": "[o0]", "a": "[a4@]", "e": "[e3]", "i": "[i1]", "s": "[s5$]"}
_SENTENCE = re.compile(r"(?<=[.!?。！？\n])\s*")
_CLAUSE = re.compile(r"(?<=[.!?,;:。！？，；：\n])\s*")


class _Lists(Strict):
    """guard.toml."""

    words: dict[str, tuple[str, ...]]
    plain: dict[str, tuple[str, ...]]
    hints: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Rules:
    """The compiled rules for a task whose answers are ``good`` and ``bad``."""

    plain: dict[str, re.Pattern[str]]
    hints: dict[str, re.Pattern[str]]

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, good: str, bad: str) -> Rules:
        with as_file(files("inkfire.judge").joinpath("guard.toml")) as path:
            lists = load_toml(path, _Lists, error=DataError)
        own, either = (_any(map(_word, dict.fromkeys(answers))) for answers in ((good, bad), (good, bad, "Good", "好")))
        alone = _any([_alone(good), _alone(bad)])
        opened, closed = r"[\"'“”‘’「『《【\[(*`]*", r"[\"'“”‘’」』》】\])*`]*"
        words = {
            "good": _word(good),
            "own": own,
            "either": either,
            "alone": alone,
            # As an answer and not as a word of a sentence: in quotes, or standing alone.
            "named": rf"(?:[\"'“‘「『]{either}[\"'”’」』]|{alone})",
            # As a sentence of its own, or all that is left in brackets.
            "apart": rf"{own}[)\]】」』\"”]*\s*(?:[.。!\n]|$)",
            "word": rf"{opened}(?:{either}|(?<![\d.])1(?![\d.])){closed}",
            "turn_tokens": TURN_TOKENS.pattern,
        }
        for name, alternatives in lists.words.items():
            words[name] = _filled(alternatives, words)

        def compiled(rules: Mapping[str, Sequence[str]]) -> dict[str, re.Pattern[str]]:
            flags = re.IGNORECASE | re.MULTILINE
            return {name: re.compile(_filled(alternatives, words), flags) for name, alternatives in rules.items()}

        return cls(compiled(lists.plain), compiled(lists.hints))


def _any(alternatives: Iterable[str]) -> str:
    return f"(?:{'|'.join(alternatives)})"


def _filled(alternatives: Sequence[str], words: Mapping[str, str]) -> str:
    return re.sub(r"@(\w+)@", lambda name: words[name[1]], _any(alternatives))


def _alone(answer: str) -> str:
    """The task's own answer where it is no part of a sentence: with its capital inside one, or between other signs."""
    if answer.isascii():
        return rf"(?<=[^\s.!?] )(?-i:{re.escape(answer)})(?![A-Za-z0-9])"
    return rf"(?<![{HAN}]){re.escape(answer)}(?![{HAN}])"


def _word(answer: str) -> str:
    """A verdict word that is not part of another one."""
    if answer.isascii():
        letters = "".join(_DIGITS.get(letter.lower(), re.escape(letter)) for letter in answer)
        return rf"(?<![A-Za-z0-9]){letters}(?![A-Za-z0-9])"
    return rf"{re.escape(answer)}(?:(?![{HAN}])|(?=即可|就[行好]|吧|这[个一]))"


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What the rules say of a text: the names of those by which it is suspected (``fired``, empty for most texts), and
    where they do not suffice but a hint is there, ``rest``: the text without the sentences that hold one."""

    fired: tuple[str, ...] = ()
    rest: str | None = None


def suspect(query: str, text: str, task: Task) -> Suspicion:
    """How ``text``, an answer to ``query``, speaks to its judge, if it does."""
    rules, readings = Rules.of(task.good, task.bad), views(text)
    everything = [*readings, *ciphers(text)]
    fired = [name for name, rule in rules.plain.items() if any(map(rule.search, everything))]
    fired += ["look-alike letters"] if mixed_words(text) >= 2 else []
    fired += ["invisible characters"] if invisible(text) >= 3 else []
    if fired:
        return Suspicion(tuple(fired))
    asked = bare(query)
    hints = {
        name: hint for name, hint in rules.hints.items() if any(map(hint.search, readings)) and not hint.search(asked)
    }
    together = _together(hints, readings)
    return Suspicion(together, None if together else _without(list(hints.values()), text))


def _together(hints: Mapping[str, re.Pattern[str]], readings: Sequence[str]) -> tuple[str, ...]:
    """The hints of a reading, where there are enough of them, or enough within one sentence."""
    if len(hints) < CLOSE_HINTS:
        return ()
    for reading in readings:
        everywhere: dict[str, None] = {}
        for sentence in _SENTENCE.split(reading):
            here = [name for name, hint in hints.items() if hint.search(sentence)]
            if len(here) >= CLOSE_HINTS:
                return tuple(here)
            everywhere |= dict.fromkeys(here)
        if len(everywhere) >= HINTS:
            return tuple(everywhere)
    return ()


def _without(hints: Sequence[re.Pattern[str]], text: str) -> str | None:
    """``text`` without the sentences, or else the clauses, that hold a hint; None where that leaves nothing, or all."""
    for pattern in (_SENTENCE, _CLAUSE) if hints else ():
        parts = pattern.split(text)
        kept = [part for part in parts if not any(hint.search(view) for view in views(part) for hint in hints)]
        if len(kept) < len(parts) and (rest := " ".join(kept).strip()):
            return rest
    return None


@dataclass(frozen=True)
class Guarded:
    """Any judge, behind the rules.

    A suspected text is not asked about. One with a hint or two, too few for a suspicion, is judged with and without the
    sentences that hold them, and the lower verdict counts: what a hint adds cannot help. All others are judged as they
    are, without hidden marks.
    """

    inner: Judge
    task: Task

    @property
    def name(self) -> str:
        return self.inner.name

    async def judge(self, query: str, response: str) -> Verdict:
        found = suspect(query, response, self.task)
        if not found.fired:
            first = await self.inner.judge(query, shown(response))
            return first if found.rest is None else _lower(first, await self.inner.judge(query, shown(found.rest)))
        fired = ", ".join(found.fired)
        _log.info("suspected injection (%s), %s: %r", fired, self.task.injection, response)
        if self.task.injection == "unscored":
            return Verdict(None, unscored="injection", injection=fired)
        return Verdict(0, probability=0.0, reason=f"suspected injection: {fired}", injection=fired)

    async def close(self) -> None:
        await self.inner.close()


def _lower(first: Verdict, second: Verdict) -> Verdict:
    """The verdict with the lower score; a second one that failed changes nothing."""
    scores = raw_score(first), raw_score(second)
    return second if scores[0] is not None and scores[1] is not None and scores[1] < scores[0] else first


@dataclass(frozen=True)
class GuardedPairwise:
    """A comparison in which a suspected text loses; where both are suspected, or the task leaves it unscored, nobody
    wins."""

    inner: PairwiseJudge

    async def compare(self, query: str, a: str, b: str) -> Comparison:
        task = self.inner.task
        fired = [suspect(query, text, task).fired for text in (a, b)]
        if not any(fired):
            return await self.inner.compare(query, shown(a), shown(b))
        _log.info("suspected injection in a comparison, %s: %r against %r", task.injection, a, b)
        if task.injection == "unscored":
            return Comparison(None, unscored="injection")
        if all(fired):
            return Comparison("tie", reason="suspected injection in both")
        return Comparison("b" if fired[0] else "a", reason=f"suspected injection: {', '.join(fired[0] or fired[1])}")

    async def close(self) -> None:
        await self.inner.close()


@dataclass(frozen=True)
class GuardedRanking:
    """A ranking in which suspected texts are not shown: they stand behind all others, or, where the task leaves them
    unscored, nowhere."""

    inner: Ranks
    task: Task

    async def rank(self, query: str, responses: Sequence[str], *, turned: bool = False) -> Ranking:
        fired = {i: found for i, text in enumerate(responses) if (found := suspect(query, text, self.task).fired)}
        clean = [i for i in range(len(responses)) if i not in fired]
        for i, rules in fired.items():
            _log.info(
                "suspected injection (%s) in a group, %s: %r", ", ".join(rules), self.task.injection, responses[i]
            )
        said = Ranking(tuple(range(len(clean))))
        if len(clean) > 1:
            said = await self.inner.rank(query, [shown(responses[i]) for i in clean], turned=turned)
        if said.order is None:
            return said
        order, dealt = (tuple(clean[i] for i in places) for places in (said.order, said.shown))
        return Ranking(order, dealt, tuple(fired) if self.task.injection == "bad" else ())

    async def close(self) -> None:
        await self.inner.close()
