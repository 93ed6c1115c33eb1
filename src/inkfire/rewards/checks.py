"""Checks: what a text has to be before anybody is asked how good it is.

    length:20..90        characters; words:15..60 words (either end may be left out)
    finished             the last sentence is whole, and the text did not meet the limit
    no-repeat            no loops
    language:zh          by script; among Latin languages by function words
    forbid:F|word,word   none of a file's lines, or of the words, is in it       require:… each of them is
    regex:PATTERN        the pattern is found in it
    no-copy:F:0.3        no text of F covers more than this share of it in one piece
    form:jueju           a form of verse (forms.py); form:haiku another
    python:F.py:NAME     a function of (query, response) that says yes or no
    fluent               as likely under a frozen model as reference texts are (reading.py); asked last, by who has one

A text that fails one never has a higher reward than one of its group that passes, and costs no judge a call.

>>> checks = Checks.parse(["length:3..20", "finished"])
>>> checks.failures(["q", "q"], ["Well done!", "or,"])
[[], ['finished']]
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from inkfire.errors import InputError
from inkfire.files.formats import read_texts
from inkfire.rewards import writing
from inkfire.rewards.forms import form
from inkfire.rewards.python import load_function
from inkfire.settings import nearest
from inkfire.stats.texts import units

FLUENT = "fluent"
KINDS = (
    "length",
    "words",
    "finished",
    "no-repeat",
    "language",
    "forbid",
    "require",
    "regex",
    "no-copy",
    "form",
    "python",
)
_CHANCE = 8
"""Characters in a row that two texts may share by chance."""

_LETTER = "[A-Za-zÀ-ɏ]"
_LIKE_A_FILE = re.compile(r"^[^,]*(?:[/\\]|\.[a-z]{2,5}$)")

Test = Callable[[str, str, bool | None], bool]


@dataclass(frozen=True)
class Check:
    """``test`` takes (query, response, truncated) and says whether the response passes."""

    name: str
    test: Test


@dataclass(frozen=True)
class Checks:
    """Checks of a text alone, in the order given; ``fluent`` says whether the check of that name is one of them."""

    checks: tuple[Check, ...] = ()
    fluent: bool = False

    @classmethod
    def parse(cls, specs: Sequence[str], *, folder: Path = Path()) -> Self:
        """Checks by their names.

        Args:
            folder: what the files named in them are relative to.

        Raises:
            InputError: there is no such check, or something is wrong with what follows its name.
        """
        return cls(tuple(Check(spec, _test(spec, folder)) for spec in specs if spec != FLUENT), FLUENT in specs)

    @property
    def names(self) -> tuple[str, ...]:
        return (*(check.name for check in self.checks), *([FLUENT] if self.fluent else []))

    def failures(
        self, queries: Sequence[str], responses: Sequence[str], truncated: Sequence[bool | None] | None = None
    ) -> list[list[str]]:
        """The names of the checks that each response fails; ``fluent`` is not asked here."""
        cut = truncated or [None] * len(responses)
        rows = zip(queries, responses, cut, strict=True)
        return [[check.name for check in self.checks if not check.test(*row)] for row in rows]


def file_in(spec: str) -> str:
    """The file that a check names; empty where it names none, or a list of words."""
    kind, _, rest = spec.partition(":")
    if kind in ("forbid", "require"):
        return rest if _LIKE_A_FILE.search(rest) else ""
    return rest.rpartition(":")[0] if kind in ("no-copy", "python") else ""


def placeholders(specs: Sequence[str]) -> tuple[list[str], dict[str, Path]]:
    """Checks with their files as ``<check 1>``, …, and those files: what a manifest says, wherever they lie."""
    said, files = [], {}
    for number, spec in enumerate(specs, 1):
        if file := file_in(spec):
            files[f"check {number}"] = Path(file)
            spec = spec.replace(file, f"<check {number}>", 1)
        said.append(spec)
    return said, files


def within(spec: str, folder: Path) -> str:
    """A check with its file in ``folder``, where it names one."""
    return spec.replace(file, str(folder / file), 1) if (file := file_in(spec)) else spec


def _test(spec: str, folder: Path) -> Test:
    kind, _, rest = spec.partition(":")
    if kind == FLUENT:
        raise InputError(f"check {spec!r}: nothing follows its name")
    if kind not in KINDS:
        raise InputError(f"check {spec!r}: unknown check{nearest(kind, (*KINDS, FLUENT))}")
    try:
        return _MAKERS[kind](rest, folder)
    except (InputError, ValueError, re.error, OSError) as error:
        raise InputError(f"check {spec!r}: {error}") from None


def _between(measure: Callable[[str], int]) -> Callable[[str, Path], Test]:
    def make(rest: str, folder: Path) -> Test:
        del folder
        match = re.fullmatch(r"(\d*)\.\.(\d*)", rest)
        if match is None or not (match[1] or match[2]):
            raise ValueError("a range is needed, as in 20..90, 20.. or ..90")
        low, high = int(match[1] or 0), int(match[2]) if match[2] else None
        if high is not None and high < low:
            raise ValueError(f"nothing is between {low} and {high}")
        return lambda query, text, cut: low <= measure(text.strip()) and (high is None or measure(text.strip()) <= high)

    return make


def _plain(test: Test) -> Callable[[str, Path], Test]:
    def make(rest: str, folder: Path) -> Test:
        del folder
        if rest:
            raise ValueError("nothing follows its name")
        return test

    return make


def _language(rest: str, folder: Path) -> Test:
    del folder
    writing.in_language("", rest)  # says what is wrong with the code
    return lambda query, text, cut: writing.in_language(text, rest)


def _listed(rest: str, folder: Path) -> list[re.Pattern[str]]:
    """The words of a list, in a file or in place; in scripts with blanks a word is a whole one."""
    path = folder / rest
    if not path.is_file() and _LIKE_A_FILE.search(rest):
        raise ValueError(f"no such file: {path}")
    words = path.read_text(encoding="utf-8").splitlines() if path.is_file() else rest.split(",")
    words = [word.strip() for word in words if word.strip() and not word.startswith("#")]
    if not words:
        raise ValueError("a list of words is needed: word,word or a file with one a line")
    return [re.compile(_bounded(word), re.IGNORECASE) for word in words]


def _bounded(word: str) -> str:
    before = rf"(?<!{_LETTER})" if re.match(_LETTER, word) else ""
    after = rf"(?!{_LETTER})" if re.match(_LETTER, word[-1]) else ""
    return before + re.escape(word) + after


def _forbid(rest: str, folder: Path) -> Test:
    patterns = _listed(rest, folder)
    return lambda query, text, cut: not any(pattern.search(text) for pattern in patterns)


def _require(rest: str, folder: Path) -> Test:
    patterns = _listed(rest, folder)
    return lambda query, text, cut: all(pattern.search(text) for pattern in patterns)


def _regex(rest: str, folder: Path) -> Test:
    del folder
    if not rest:
        raise ValueError("a pattern is needed")
    pattern = re.compile(rest)
    return lambda query, text, cut: pattern.search(text) is not None


def _no_copy(rest: str, folder: Path) -> Test:
    name, _, share = rest.rpartition(":")
    if not name or not 0 <= float(share) < 1:
        raise ValueError("a file and a share are needed, as in no-copy:good.jsonl:0.3")
    corpus = [text.response for text in read_texts((folder / name,))]
    joined = "\0".join(corpus)
    pieces = {joined[i : i + _CHANCE] for i in range(len(joined) - _CHANCE + 1)}

    def test(query: str, text: str, cut: bool | None) -> bool:
        need = max(_CHANCE, int(float(share) * len(text)) + 1)
        row = 0  # places in a row at which a piece of the file begins: what is longer is made of these
        for end in range(_CHANCE, len(text) + 1):
            row = row + 1 if text[end - _CHANCE : end] in pieces else 0
            if row > need - _CHANCE and text[end - need : end] in joined:
                return False
        return True

    return test


def _form(rest: str, folder: Path) -> Test:
    del folder
    has_it = form(rest)
    return lambda query, text, cut: has_it(text)


def _python(rest: str, folder: Path) -> Test:
    function = load_function(rest, folder)

    def test(query: str, text: str, cut: bool | None) -> bool:
        said = function(query, text)
        if not isinstance(said, bool):
            raise InputError(f"python:{rest} answered {said!r}: a check says True or False; a score is a reward")
        return said

    return test


_MAKERS: dict[str, Callable[[str, Path], Test]] = {
    "length": _between(len),
    "words": _between(lambda text: len(units(text))),
    "finished": _plain(lambda query, text, cut: writing.finished(text, cut)),
    "no-repeat": _plain(lambda query, text, cut: not writing.loops(text)),
    "language": _language,
    "forbid": _forbid,
    "require": _require,
    "regex": _regex,
    "no-copy": _no_copy,
    "form": _form,
    "python": _python,
}
