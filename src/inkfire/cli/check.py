"""``inkfire check``: hold texts to checks."""

from __future__ import annotations

from typing import Annotated

from inkfire.cli import shown
from inkfire.cli.common import Json, emit, flat
from inkfire.runs.check import CheckInputs
from inkfire.runs.check import check as hold


def check(*, inputs: Annotated[CheckInputs, flat], json: Json = False) -> None:
    """Hold texts to checks: length, whole sentences, loops, language, fluency.

    length:20..90       characters; words:15..60 words; either end may be left out
    finished            the last sentence is whole
    no-repeat           no clause or row of words comes again and again
    language:zh         by script; among Latin languages by function words
    forbid:F|word,word  none of a file's lines, or of the words, is in it
    require:F|word,word each of them is
    regex:PATTERN       the pattern is found in it
    no-copy:F:0.3       no text of F covers more of it in one piece
    form:jueju          four lines of five or seven Chinese characters; lines 2 and 4 rhyme
    form:haiku          three lines that can be read with 5, 7 and 5 syllables of English
    python:F.py:NAME    a function of (query, response) says so
    fluent              as likely under --base as the texts of --reference

    Example: inkfire check --data texts.jsonl --check length:20..90 --check finished
    """
    emit(hold(inputs), as_json=json, show=shown.checked)
