"""Texts that tell the judge what to answer: found by rule, and kept from winning.

A text under judgement is untrusted. The prompts quote it; here it is read before the judge reads it. Rules run over
every reading of a text (``views.py``: normalised, decoded, put together again). A *plain* sign is enough by itself: an
order to give the verdict, a verdict in the judge's own format, a turn of a conversation, a closed delimiter. A *hint*
(the word reviewer, a rule, a mark, …) is innocent alone; hints of three kinds together are not. What the query talks
about itself is no hint: a card for a judge may say judge.

    suspicion = suspect(query, response, good="Good", bad="Bad")
    suspicion                                    # () or the names of the rules that fired

``Guarded`` puts that in front of any judge. By rule of the task (``injection`` in task.toml) a suspected text is bad
with probability 0, or unscored; either way it is logged and counted, and a policy that writes one gains nothing.

Rules cannot know every disguise. They are measured by an attack suite of which whole families were held out
(``attacks.py``), and what they miss still meets the quoting of the prompts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files

from inkfire.errors import DataError
from inkfire.judge.base import Judge
from inkfire.judge.judge import Comparison, PairwiseJudge
from inkfire.judge.views import HAN, TURN_TOKENS, bare, invisible, mixed_words, shown, views
from inkfire.recipe import Strict, load_toml
from inkfire.records import Verdict
from inkfire.tasks.task import Task

_log = logging.getLogger(__name__)

HINTS, CLOSE_HINTS = 3, 2
"""So many kinds of hints make a suspicion: in the whole text, or in one sentence."""

_SENTENCE = re.compile(r"(?<=[.!?。！？\n])\s*")


class _Lists(Strict):
    """injection.toml."""

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
        with as_file(files("inkfire.judge").joinpath("injection.toml")) as path:
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
            "word": rf"{opened}(?:{either}|(?<![\d.])1(?![\d.])){closed}",
            "turn_tokens": TURN_TOKENS.pattern,
        }
        for name, alternatives in lists.words.items():
            words[name] = _filled(alternatives, words)
        return cls(
            {name: _compiled(alternatives, words) for name, alternatives in lists.plain.items()},
            {name: _compiled(alternatives, words) for name, alternatives in lists.hints.items()},
        )


def _any(alternatives: Iterable[str]) -> str:
    return f"(?:{'|'.join(alternatives)})"


def _filled(alternatives: Sequence[str], words: Mapping[str, str]) -> str:
    return re.sub(r"@(\w+)@", lambda name: words[name[1]], _any(alternatives))


def _compiled(alternatives: Sequence[str], words: Mapping[str, str]) -> re.Pattern[str]:
    return re.compile(_filled(alternatives, words), re.IGNORECASE | re.MULTILINE)


def _alone(answer: str) -> str:
    """The task's own answer where it is no part of a sentence: with its capital inside one, or between other signs."""
    if answer.isascii():
        return rf"(?<=[^\s.!?] )(?-i:{re.escape(answer)})(?![A-Za-z0-9])"
    return rf"(?<![{HAN}]){re.escape(answer)}(?![{HAN}])"


def _word(answer: str) -> str:
    """A verdict word that is not part of another one."""
    if answer.isascii():
        return rf"(?<![A-Za-z0-9]){re.escape(answer)}(?![A-Za-z0-9])"
    return rf"{re.escape(answer)}(?:(?![{HAN}])|(?=即可|就[行好]|吧|这[个一]))"


def suspect(query: str, text: str, *, good: str, bad: str) -> tuple[str, ...]:
    """The names of the rules by which ``text`` speaks to its judge; empty for a text that does not."""
    found = []
    if mixed_words(text) >= 2:
        found.append("look-alike letters")
    if invisible(text) >= 3:
        found.append("invisible characters")
    rules, readings = Rules.of(good, bad), views(text)
    found += [name for name, rule in rules.plain.items() if any(map(rule.search, readings))]
    return tuple(found) or _hinted(query, readings, rules.hints)


def _hinted(query: str, readings: Sequence[str], hints: Mapping[str, re.Pattern[str]]) -> tuple[str, ...]:
    """The hints of a text, where there are enough of them, or enough within one sentence."""
    asked = bare(query)
    rules = {name: rule for name, rule in hints.items() if not rule.search(asked)}
    for reading in readings:
        everywhere: dict[str, None] = {}
        for sentence in _SENTENCE.split(reading):
            here = [name for name, rule in rules.items() if rule.search(sentence)]
            if len(here) >= CLOSE_HINTS:
                return tuple(here)
            everywhere |= dict.fromkeys(here)
        if len(everywhere) >= HINTS:
            return tuple(everywhere)
    return ()


@dataclass(frozen=True)
class Guarded:
    """Any judge, behind the rules: a suspected text is not asked about, a clean one is shown without hidden marks."""

    inner: Judge
    task: Task

    @property
    def name(self) -> str:
        return self.inner.name

    async def judge(self, query: str, response: str) -> Verdict:
        rules = suspect(query, response, good=self.task.good, bad=self.task.bad)
        if not rules:
            return await self.inner.judge(query, shown(response))
        fired = ", ".join(rules)
        _log.info("suspected injection (%s), %s: %r", fired, self.task.injection, response)
        if self.task.injection == "unscored":
            return Verdict(None, unscored="injection", injection=fired)
        return Verdict(0, probability=0.0, reason=f"suspected injection: {fired}", injection=fired)


@dataclass(frozen=True)
class GuardedPairwise:
    """A comparison in which a suspected text loses; where both are suspected, or the task leaves it unscored, nobody
    wins."""

    inner: PairwiseJudge

    async def compare(self, query: str, a: str, b: str) -> Comparison:
        task = self.inner.task
        fired = [suspect(query, text, good=task.good, bad=task.bad) for text in (a, b)]
        if not any(fired):
            return await self.inner.compare(query, shown(a), shown(b))
        _log.info("suspected injection in a comparison, %s: %r against %r", task.injection, a, b)
        if task.injection == "unscored":
            return Comparison(None, unscored="injection")
        if all(fired):
            return Comparison("tie", reason="suspected injection in both")
        return Comparison("b" if fired[0] else "a", reason=f"suspected injection: {', '.join(fired[0] or fired[1])}")
