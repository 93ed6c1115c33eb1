"""Texts damaged on purpose, by code and seed: what a reward, a judge or a canary has to tell from the whole ones.

    shuffled   the words, or the clauses, in another order       cut       broken off within a clause
    looped     a clause over and over                            foreign   another query's text
    strung     clauses, or favourite phrases, of many texts      swapped   neighbouring letters exchanged

They are what a policy drifts to when its reward is all that looks. A signal that cannot see a kind is no signal there.

>>> damaged("shuffled", [Candidate("q", "One, two, three, four.")], seed=1)[0].response != "One, two, three, four."
True
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from inkfire.errors import InputError
from inkfire.records import Candidate
from inkfire.stats.texts import units

KINDS = ("shuffled", "looped", "strung", "cut", "foreign", "swapped")
_CLAUSE = re.compile(r"[^，。！？；、,.!?;:：…\n]+[，。！？；、,.!?;:：…\n]*\s*")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_END = re.compile(r"[^\w\s]*$")
_FAVOURITES, _PHRASE = 40, (2, 5)
"""How many of a set's most frequent phrases are strung together, and of how many words they are."""
_TRIES = 20


@dataclass(frozen=True)
class Pool:
    """The whole texts: what strung and foreign ones are made of."""

    texts: Sequence[Candidate]

    def other(self, query: str, rng: random.Random) -> Candidate | None:
        """A text of another query."""
        drawn = (rng.choice(self.texts) for _ in range(_TRIES)) if self.texts else ()
        return next((text for text in drawn if text.query != query), None)

    @cached_property
    def favourites(self) -> list[str]:
        """Phrases that cover most of the texts, each in those of at least two queries; none of them within another."""
        seen = {(text.query, phrase) for text in self.texts for phrase in _phrases(text.response)}
        queries = Counter(phrase for _, phrase in seen)
        found: list[str] = []
        for phrase in sorted(queries, key=lambda one: ((1 - queries[one]) * len(one), one)):
            if queries[phrase] < 2 or len(found) == _FAVOURITES:
                break
            if not any(phrase in other or other in phrase for other in found):
                found.append(phrase)
        return found


Damage = Callable[[str, str, Pool, random.Random], str | None]


def damaged(kind: str, texts: Sequence[Candidate], *, seed: int = 0) -> list[Candidate]:
    """Each text damaged in one way; those that cannot be (too short, no other query) are left out."""
    return [made for _, made in beside_damaged(kind, texts, seed=seed)]


def beside_damaged(
    kind: str, texts: Sequence[Candidate], *, pool: Sequence[Candidate] | None = None, seed: int = 0
) -> list[tuple[Candidate, Candidate]]:
    """(a text, the same damaged) of each text that can be damaged in this way.

    What is drawn depends on the seed, the text and the pool, not on the text's place.

    Args:
        pool: the texts that others are made of; by default ``texts``. Of an empty one nothing can be made.

    Raises:
        InputError: no such kind.
    """
    if kind not in _DAMAGES:
        raise InputError(f"no kind of damage {kind!r}; known: {', '.join(KINDS)}")
    known = (text for text in pool or texts if text.response.strip())
    whole = Pool(sorted(known, key=lambda text: (text.query, text.response)))
    out = []
    for text in texts:
        rng = random.Random(f"{seed} {kind} {text.query} {text.response}")
        made = _DAMAGES[kind](text.query, text.response, whole, rng)
        if made is not None and made.strip() and made.split() != text.response.split():
            out.append((text, Candidate(text.query, made.strip())))
    return out


def clauses(text: str) -> list[str]:
    """The parts of a text between punctuation, which stays at their ends."""
    return [match[0].strip() for match in _CLAUSE.finditer(text) if units(match[0])]


def _unspaced(text: str) -> bool:
    """Whether there are Chinese or Japanese characters in it."""
    return re.search("[\u3040-\u30ff\u3400-\u9fff]", text) is not None


def _joined(parts: Sequence[str], like: str) -> str:
    """Clauses as one text that ends as ``like`` does: a broken end would be seen by a check of ends alone."""
    text = parts[0]
    for part in parts[1:]:
        if text[-1].isalnum():
            text += "，" if _unspaced(text[-1]) else ","
        text += part if ord(part[0]) > 0x2E7F or ord(text[-1]) > 0x2E7F else f" {part}"
    return _END.sub("", text) + (_END.search(like.strip()) or [""])[0]


def _phrases(text: str) -> Iterator[str]:
    """The phrases within the clauses of a text, as they stand there."""
    low, high = _PHRASE
    for clause in clauses(text):
        spans = _words(clause)
        for size in range(low, high + 1):
            for (start, _), (_, end) in zip(spans, spans[size - 1 :], strict=False):
                if not re.search(r"\d", clause[start:end]):
                    yield clause[start:end]


def _words(text: str) -> list[tuple[int, int]]:
    """Where the words of a text stand; Chinese is cut by rjieba."""
    import rjieba

    spans = []
    for match in _WORD.finditer(text):
        start = match.start()
        for word in rjieba.cut(match[0]) if _unspaced(match[0]) else [match[0]]:
            spans.append((start, start + len(word)))
            start += len(word)
    return spans


def _shuffled(query: str, text: str, pool: Pool, rng: random.Random) -> str | None:
    """Words, or, as often, clauses."""
    parts = clauses(text)
    if len(parts) >= 4 and rng.random() < 0.5:
        order = _another_order(parts, rng)
        return None if order is None else _joined(order, text)
    spans = _words(text)
    order = _another_order([text[start:end] for start, end in spans], rng)
    if order is None:
        return None
    gaps = [0, *(end for _, end in spans)]
    return (
        "".join(text[gap:start] + word for gap, (start, _), word in zip(gaps[:-1], spans, order, strict=True))
        + text[gaps[-1] :]
    )


def _another_order(items: Sequence[str], rng: random.Random) -> list[str] | None:
    order = list(items)
    for _ in range(_TRIES):
        rng.shuffle(order)
        if order != list(items):
            return order
    return None


def _looped(query: str, text: str, pool: Pool, rng: random.Random) -> str | None:
    """From some clause on, that clause, until the text is about as long as it was."""
    parts = clauses(text)
    if len(parts) < 2:
        return None
    at = rng.randrange(1, max(2, len(parts) - 1))
    again, out = parts[at - 1], parts[:at]
    size = len(_joined(out, text))
    while size + len(again) / 2 < len(text) or len(out) < at + 2:
        out.append(again)
        size += len(again) + (not _unspaced(again))
    return _joined(out, text)


def _strung(query: str, text: str, pool: Pool, rng: random.Random) -> str | None:
    """Clauses of texts of other queries, or, as often, favourite phrases; as many as make a text as long."""
    wanted = len(clauses(text))
    if wanted < 3 or len({other.query for other in pool.texts}) < 4:
        return None
    gap = "，" if _unspaced(text) else ", "
    phrases = len(pool.favourites) > 3 and rng.random() < 0.5
    parts: list[str] = []
    while sum(len(part) + 1 for part in parts) < len(text) - 2 or len(parts) < 3:
        if phrases:
            parts.append(rng.choice(pool.favourites))
        elif (other := pool.other(query, rng)) is None:
            return None
        else:
            parts.append(rng.choice(clauses(other.response) or [other.response]))
    return _END.sub("", gap.join(parts)) + (_END.search(text.strip()) or [""])[0] if phrases else _joined(parts, text)


def _cut(query: str, text: str, pool: Pool, rng: random.Random) -> str | None:
    """Broken off within a clause, behind its first third."""
    inside = [i for i in range(max(1, len(text) // 3), len(text) - 2) if text[i - 1 : i + 1].isalnum()]
    return text[: rng.choice(inside)] if inside else None


def _foreign(query: str, text: str, pool: Pool, rng: random.Random) -> str | None:
    other = pool.other(query, rng)
    return None if other is None else other.response


def _swapped(query: str, text: str, pool: Pool, rng: random.Random) -> str | None:
    """Neighbouring letters (or characters) of a word, until every fourth place where two meet is exchanged."""
    chars = list(text)
    places = [i for i in range(len(chars) - 1) if chars[i].isalpha() and chars[i + 1].isalpha()]
    wanted = max(2, len(places) // 4)
    done: set[int] = set()
    for i in rng.sample(places, len(places)):
        if len(done) >= 2 * wanted:
            break
        if not {i, i + 1} & done and chars[i] != chars[i + 1]:
            chars[i], chars[i + 1] = chars[i + 1], chars[i]
            done |= {i, i + 1}
    return "".join(chars) if done else None


_DAMAGES: dict[str, Damage] = {
    "shuffled": _shuffled,
    "looped": _looped,
    "strung": _strung,
    "cut": _cut,
    "foreign": _foreign,
    "swapped": _swapped,
}
