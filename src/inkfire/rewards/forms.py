"""Forms of verse that code can tell, for the check ``form:NAME``.

    form:jueju    four lines of five or seven Chinese characters each, of which the second and the fourth rhyme
    form:haiku    three lines of English that can be read with five, seven and five syllables

What a form needs beyond the core (a dictionary of sounds) comes with the extra ``tasks``. A text that has the form can
still be no poem.

>>> told = form("jueju")
>>> told("楼下灯还亮，\\n人从雨里来。\\n买完一把伞，\\n站着没撑开。"), told("楼下灯还亮，人从雨里来。")
(True, False)
>>> form("haiku")("The scarecrow's jacket / has gone to somebody's house / and so has the crow.")
True
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from inkfire.errors import MissingExtraError
from inkfire.rewards.syllables import syllables
from inkfire.settings import nearest

_HAN = "[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_VERSE = re.compile(f"{_HAN}{{5}}|{_HAN}{{7}}")
_LATIN = re.compile(r"[A-Za-zÀ-ÖØ-öø-ž\s\u2010-\u2027!\"'(),\-./:;?]+")
_PAUSE = re.compile(r"[\s，。！？；：、,.!?;:…—]+")

# The fourteen rhymes of 中华新韵 (2005) by their finals, as Mandarin is spoken today; ü is written v, and the i of
# zhi, chi, shi, ri, zi, ci, si is a rhyme of its own.
_FINALS = (
    "a ia ua",
    "o e uo io",
    "ie ve ê",
    "ai uai",
    "ei uei",
    "ao iao",
    "ou iou",
    "an ian uan van",
    "en in uen vn",
    "ang iang uang",
    "eng ing ueng ong iong",
    "i v er",
    "u",
)
_RHYME = {final: number for number, finals in enumerate(_FINALS) for final in finals.split()}
_BUZZED, _BUZZ = ("zh", "ch", "sh", "r", "z", "c", "s"), len(_FINALS)


def form(name: str) -> Callable[[str], bool]:
    """Whether a text has the form of that name.

    Raises:
        ValueError: there is no such form.
        MissingExtraError: what the form is told by is not installed.
    """
    if name not in _FORMS:
        raise ValueError(f"there is no form {name!r}{nearest(name, tuple(_FORMS))}; known: {', '.join(_FORMS)}")
    return _FORMS[name]()


def _jueju() -> Callable[[str], bool]:
    try:
        import pypinyin  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("pypinyin", "tasks") from error
    return is_jueju


def _haiku() -> Callable[[str], bool]:
    try:
        import pysyllables  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("pysyllables", "tasks") from error
    return is_haiku


_FORMS = {"jueju": _jueju, "haiku": _haiku}


def is_jueju(text: str) -> bool:
    """Whether a text is four lines of equal length, of five or seven Han characters, of which lines 2 and 4 rhyme.

    Marks do not count; letters, digits and emoji are no part of a line. The two rhyme words differ. Any reading of them
    that rhymes counts, old ones too; their tones are not asked for.
    """
    verses = _verses(text)
    if len(verses) != 4 or len({len(verse) for verse in verses}) > 1 or not all(map(_VERSE.fullmatch, verses)):
        return False
    second, fourth = verses[1][-1], verses[3][-1]
    return second != fourth and not _rhymes(second).isdisjoint(_rhymes(fourth))


def is_haiku(text: str) -> bool:
    """Whether a text is three lines, in Latin letters, that can be read with five, seven and five syllables.

    Lines may be set, or divided by slashes with blanks around them. A number in digits, which can be read in several
    ways, makes it none; so does an emoji. That it rhymes, or names no season, is not asked.
    """
    lines = haiku_lines(text)
    if len(lines) != 3 or any(not _LATIN.fullmatch(line) for line in lines):
        return False
    ranges = map(syllables, lines)
    return all(least <= asked <= most for (least, most), asked in zip(ranges, (5, 7, 5), strict=True))


def haiku_lines(text: str) -> list[str]:
    """The lines of a haiku, without blanks around them.

    >>> haiku_lines("one / two\\nthree"), haiku_lines("")
    (['one', 'two', 'three'], [])
    """
    return [line.strip() for line in re.split(r"\n|\s/\s", text) if line.strip()]


def tones(text: str) -> list[str]:
    """The tones of each line as they are spoken today: 平 (first, second), 仄 (third, fourth), 轻 (neutral).

    >>> tones("买完一把伞，站着没撑开。")
    ['仄平平仄仄', '仄轻平平平']
    """
    from pypinyin import Style, lazy_pinyin

    kinds = {"1": "平", "2": "平", "3": "仄", "4": "仄"}
    return [
        "".join(kinds.get(sound[-1], "轻") for sound in lazy_pinyin(verse, style=Style.TONE3))
        for verse in _verses(text)
    ]


def _verses(text: str) -> list[str]:
    """The lines without marks: as they are set, or, where those are not four, as marks and blanks divide them."""
    lines = [bare for line in text.splitlines() if (bare := _bare(line))]
    return lines if len(lines) == 4 else [bare for part in _PAUSE.split(text) if (bare := _bare(part))]


def _bare(line: str) -> str:
    return "".join(char for char in line if not char.isspace() and not unicodedata.category(char).startswith("P"))


@lru_cache(maxsize=1 << 14)
def _rhymes(char: str) -> frozenset[int]:
    """The rhymes that the readings of a character belong to."""
    from pypinyin import Style, pinyin
    from pypinyin.contrib.tone_convert import to_finals, to_initials

    found = set()
    for sound in pinyin(char, style=Style.NORMAL, heteronym=True)[0]:
        final = to_finals(sound)
        buzzed = final == "i" and to_initials(sound) in _BUZZED
        found.add(_BUZZ if buzzed else _RHYME.get(final, -1))
    return frozenset(found - {-1})
