"""How many syllables an English line has, as the least and the most that a reader may give it.

Nobody can say one number: "fire" is one syllable or two, "every" two or three, "evening" likewise. A word counts as

    its pronunciations in CMUdict (the package pysyllables, of the extra ``tasks``), from the shortest to the longest;
    what speech swallows or keeps besides (memory, opening, tower, chocolate: a rule for an ending, or a short list);
    where the dictionary has no such word, its parts (street+lamp, plough+s), or else its vowels, as far as they tell.

>>> syllables("a street lamp hums to itself"), syllables("every fire")
((7, 7), (3, 5))
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

Range = tuple[int, int]

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
_BOTH = {"chocolate": 3, "vegetable": 4, "comfortable": 4, "favorite": 3, "favourite": 3, "diamond": 3, "business": 3}
_BOTH |= {"wednesday": 3, "restaurant": 3, "caramel": 3, "violet": 3, "separate": 3, "interest": 3}
"""Words whose middle vowel many leave out: the number with it."""

_FIRE = re.compile(r"(?:[iy]re[sd]?|(?:fl|sh|t|p|c|b|gl)ower(?:s|ed)?|^(?:h|fl|s|dev|sc)ours?)$")
"""A diphthong before r: one syllable or two."""

_WEAK = re.compile(r"[^aeiou](?:er|or)(?:y|ies|al|ally|ence|ent|able|age)s?$")
"""Three syllables or more of which the one with this vowel may go: memory, several, different."""

_ENDINGS = ("s", "es", "ed", "d", "ing", "er", "ers", "ly", "y", "ness", "less", "ful", "fuls", "ish")
_PART = re.compile(r"(?=.*[aeiouy])[a-z]{3,}")
_SIBILANT = re.compile(r"(?:[sxz]|[cs]h|[cgsz]e)$")
_HIATUS = re.compile(r"(?:i[aou]|e[ou]|u[aeio]|oe|y[ao])")


def syllables(line: str) -> Range:
    """The least and the most syllables of a line; hyphens divide words, and what is no Latin letter counts nothing.

    Raises:
        ModuleNotFoundError: pysyllables is not installed.
    """
    plain = unicodedata.normalize("NFKD", line.lower().replace("’", "'"))
    words = _WORD.findall("".join(char for char in plain if not unicodedata.combining(char)))
    counted = [_word(word) for word in words]
    return sum(least for least, _ in counted), sum(most for _, most in counted)


@lru_cache(maxsize=1 << 14)
def _word(word: str) -> Range:
    return _known(word) or _possessive(word) or _inflected(word) or _compound(word) or _spelt(word)


@lru_cache(maxsize=1 << 14)
def _known(word: str) -> Range | None:
    """From the dictionary, widened by what speech does."""
    from pysyllables import get_syllable_count

    names = (word, *(f"{word}({number})" for number in range(1, 5)))
    counts = [count for name in names if (count := get_syllable_count(name))]
    if not counts:
        return None
    least, most = min(counts), max(counts)
    if word in _BOTH:
        return _BOTH[word] - 1, _BOTH[word]
    if (_FIRE.search(word) and most > 1) or (_WEAK.search(word) and most > 2):
        least = min(least, most - 1)
    base = re.sub("ings?$", "", word)
    if base != word and base.endswith(("er", "or", "en", "on")) and (stem := get_syllable_count(base)) and stem > 1:
        least, most = min(least, stem), max(most, stem + 1)
    return least, most


def _possessive(word: str) -> Range | None:
    base, mark, rest = word.rpartition("'")
    if not mark:
        return None
    least, most = _word(base)
    if rest == "s":
        more = bool(_SIBILANT.search(base))
        return least + more, most + more
    return least, most + 1


def _inflected(word: str) -> Range | None:
    """A known word with an ending."""
    for ending in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem == word or not _PART.fullmatch(stem):
            continue
        doubled = stem[:-1] if stem[-1] == stem[-2] else stem
        for base in (stem, stem + "e", doubled):
            if found := _known(base):
                more = _more(base, ending)
                return found[0] + more, found[1] + more
    return None


def _more(base: str, ending: str) -> int:
    """The syllables that an ending adds to a word."""
    if ending in ("s", "es"):
        return int(bool(_SIBILANT.search(base)))
    if ending in ("d", "ed"):
        return int(bool(re.search("[dt]e?$", base)))
    return 1


def _compound(word: str) -> Range | None:
    """Two known words of three letters or more, written as one; the widest of the ways to part them."""
    parts = [(word[:i], word[i:]) for i in range(3, len(word) - 2)]
    ways = [(_known(head), _known(tail) or _inflected(tail)) for head, tail in parts if _PART.fullmatch(head)]
    sums = [(head[0] + tail[0], head[1] + tail[1]) for head, tail in ways if head and tail]
    return (min(least for least, _ in sums), max(most for _, most in sums)) if sums else None


def _spelt(word: str) -> Range:
    """By the vowels: a group is a syllable, an e at the end mostly none, and two vowels may be two."""
    groups = re.findall("[aeiouy]+", word.removeprefix("y"))
    silent = re.search(r"(?:[^aeiouyl]|[aeiouy]l|ll)e$|[^aeiouydt]ed$|[^aeiouyscgzx]es$", word) is not None
    most = max(1, len(groups) + sum(len(_HIATUS.findall(group)) for group in groups))
    return max(1, len(groups) - silent), most
