"""Texts damaged on purpose, by code and seed: what a reward, a judge or a canary has to tell from the whole ones.

    shuffled   the words, or the clauses, in another order       cut       broken off in the middle
    looped     a clause over and over                            foreign   another query's text
    strung     clauses of many texts put together                swapped   neighbouring letters exchanged

They are what a policy drifts to when its reward is all that looks. A signal that cannot see a kind is no signal there.

>>> damaged("shuffled", [Candidate("q", "One, two, three, four.")], seed=1)[0].response != "One, two, three, four."
True
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from inkfire.errors import InputError
from inkfire.records import Candidate
from inkfire.stats.texts import units

KINDS = ("shuffled", "looped", "strung", "cut", "foreign", "swapped")
_CLAUSE = re.compile(r"[^，。！？；、,.!?;:：…\n]+[，。！？；、,.!?;:：…\n]*\s*")
_UNIT = re.compile(r"[A-Za-zÀ-ɏ0-9'’]+|\S")

Damage = Callable[[Candidate, Sequence[Candidate], random.Random], str | None]


def damaged(kind: str, texts: Sequence[Candidate], *, seed: int = 0) -> list[Candidate]:
    """Each text damaged in one way; those that cannot be (too short, no other query) are left out.

    What is drawn depends on the seed and on the text, not on its place.

    Raises:
        InputError: no such kind.
    """
    if kind not in _DAMAGES:
        raise InputError(f"no kind of damage {kind!r}; known: {', '.join(KINDS)}")
    out = []
    for text in texts:
        rng = random.Random(f"{seed} {kind} {text.query} {text.response}")
        made = _DAMAGES[kind](text, texts, rng)
        if made is not None and made.strip() and made != text.response:
            out.append(Candidate(text.query, made.strip()))
    return out


def clauses(text: str) -> list[str]:
    """The parts of a text between punctuation, which stays at their ends."""
    return [match[0].strip() for match in _CLAUSE.finditer(text) if units(match[0])]


def _joined(parts: Sequence[str], like: str) -> str:
    """Clauses as one text that ends as ``like`` does: a broken end would be seen by a check of ends alone."""
    text = parts[0]
    for part in parts[1:]:
        text += part if ord(part[0]) > 0x2E7F or ord(text[-1]) > 0x2E7F else f" {part}"
    ending = re.search(r"[^\w\s]*$", like.strip())
    return re.sub(r"[^\w\s]*$", "", text) + (ending[0] if ending else "")


def _shuffled(text: Candidate, others: Sequence[Candidate], rng: random.Random) -> str | None:
    """Words, or, as often, clauses."""
    parts = clauses(text.response)
    if len(parts) >= 4 and rng.random() < 0.5:
        order = _another_order(parts, rng)
        return None if order is None else _joined(order, text.response)
    found = _UNIT.findall(text.response)
    words = [word for word in found if word[0].isalnum()]
    order = _another_order(words, rng)
    if order is None:
        return None
    moved = iter(order)
    return _UNIT.sub(lambda match: next(moved) if match[0][0].isalnum() else match[0], text.response)


def _another_order(items: Sequence[str], rng: random.Random) -> list[str] | None:
    order = list(items)
    for _ in range(5):
        rng.shuffle(order)
        if order != list(items):
            return order
    return None


def _looped(text: Candidate, others: Sequence[Candidate], rng: random.Random) -> str | None:
    """From some clause on, that clause until the text is as long as it was."""
    parts = clauses(text.response)
    if len(parts) < 2:
        return None
    at = rng.randrange(1, max(2, len(parts) - 1))
    out = parts[:at]
    while sum(map(len, out)) < len(text.response) or len(out) < at + 2:
        out.append(parts[at - 1])
    return _joined(out, text.response)


def _strung(text: Candidate, others: Sequence[Candidate], rng: random.Random) -> str | None:
    """Clauses of texts of other queries, as many as it has."""
    pool = [other for other in others if other.query != text.query]
    wanted = len(clauses(text.response))
    if len(pool) < 3 or wanted < 3:
        return None
    sources = [found for other in pool if (found := clauses(other.response))]
    return _joined([rng.choice(rng.choice(sources)) for _ in range(wanted)], text.response)


def _cut(text: Candidate, others: Sequence[Candidate], rng: random.Random) -> str | None:
    """Broken off within a clause, behind its first third."""
    length = len(text.response)
    inside = [i for i in range(length // 3, length - 2) if all(map(str.isalnum, text.response[i - 1 : i + 1]))]
    return text.response[: rng.choice(inside)] if inside else None


def _foreign(text: Candidate, others: Sequence[Candidate], rng: random.Random) -> str | None:
    pool = [other.response for other in others if other.query != text.query]
    return rng.choice(pool) if pool else None


def _swapped(text: Candidate, others: Sequence[Candidate], rng: random.Random) -> str | None:
    """Every fourth pair of neighbours within words (of Latin ones: inner letters; of Chinese: characters)."""
    chars = list(text.response)
    places = [i for i in range(1, len(chars) - 1) if chars[i].isalpha() and chars[i + 1].isalpha()]
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
