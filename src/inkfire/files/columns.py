"""What the columns of a row say, by whichever names: its query, its texts, its label, its scores.

A null is a column that is absent. A row that carries more than one query and one response is refused
(``conversations.Carries``), for nothing of it is cut off unsaid.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from inkfire.files.conversations import HISTORY, SYSTEM, TALKS, Carries, Turns, Unfit, transcript, turns
from inkfire.files.jsonl import json_kind
from inkfire.files.reading import COLUMNS, Reading
from inkfire.records import Label, Labelled, Preference

Row = dict[str, Any]
Scored = list[tuple[str, float]]
"""Answers to one query, with their scores."""

TEXTS = ("response", "output", "completion")
_ANSWERS = ("completions", "responses", "answers")
_SCORES = ("score", "scores", "rating", "ratings", "overall_score", "overall_scores")
_BY_WORD: Mapping[str, Label] = {"1": 1, "0": 0, "true": 1, "false": 0}
_NUMBERED = re.compile(r"(response|answer|completion|output)_?(\w{1,2})")


class Columns:
    """The columns of the rows of one data set, as a :class:`Reading` says."""

    def __init__(self, reading: Reading):
        self.reading = reading
        self.names = reading.names
        self.words = {word.casefold(): label for word, label in reading.words.items()}
        self.met: set[str] = set()  # the system turns of the rows until now, "" for none

    def row(self, raw: Row) -> Row:
        """The row with our names, without nulls."""
        taken = {theirs: ours for ours, theirs in self.names.items() if theirs in raw}
        hidden = taken.values() - taken.keys()  # another column is meant by this name
        there = {key: value for key, value in raw.items() if value is not None and value == value}  # NaN is a null
        kept = {taken.get(key, key): value for key, value in there.items() if key not in hidden}
        for key in list(kept):  # Query, as a spreadsheet heads it
            if key not in COLUMNS and (ours := key.strip().lower()) in COLUMNS and ours not in kept:
                kept[ours] = kept.pop(key)
        return kept

    def need(self, row: Row, *wanted: str) -> None:
        """Whether the row has these of query, response, label, chosen and rejected, in any form.

        Raises:
            Unfit: it lacks some; all of them are named, with the option that says what they are called.
        """
        if lacking := [name for name in wanted if not _has(row, name)]:
            has = ", ".join(repr(self.names.get(name, name)) for name in row) or "no keys"
            wrong = [f"{name}={self.names[name]}" for name in lacking if name in self.names]
            raise Unfit(
                f"no {', '.join(map(repr, lacking))}; the row has {has}"
                + (f", and nothing that --column {' '.join(wrong)} names" if wrong else "")
                + f"; say what is called otherwise: --column {' '.join(f'{name}=THEIRS' for name in lacking)}"
            )

    def query(self, row: Row) -> str:
        """What the user asks for, without the prefix that is to be stripped."""
        self.need(row, "query")
        query, system = _asked(row)
        if row.get("history"):
            raise Carries(HISTORY)
        self._meet("\n\n".join(filter(None, (_own_system(row), system))))
        query = query.removeprefix(self.reading.strip_prefix)
        if not query.strip():
            raise Unfit("the query is empty")
        return query

    def _meet(self, system: str) -> None:
        if len(self.met) < 2:
            self.met.add(system)
        if self.reading.system == "refuse" and system:
            raise Carries(SYSTEM)
        if self.reading.system == "drop" and len(self.met) > 1:
            raise Unfit(f"--system drop: {_short(system)} is not the system turn of the rows before")

    def texts(self, row: Row) -> list[str]:
        """The responses of a row: one, or those of a list, whether scored or not; nulls in it are none.

        Raises:
            Unfit: it has no column of them.
        """
        if (text := response(row)) is not None:
            return [text]
        if (key := _list_of(row)) is not None:
            return [text for text, _ in _listed(row, key)]
        if scored := self.answers(row):
            return [text for text, _ in scored]
        raise Unfit(f"no text that answers the query; the row has {keys(row)}")

    def labelled(self, row: Row) -> list[Labelled]:
        """A labelled text; of a pair two, its chosen text labelled 1, then the rejected one labelled 0."""
        if "label" not in row and "chosen" in row:
            pair = self.pair(row)
            return [Labelled(pair.query, pair.chosen, 1), Labelled(pair.query, pair.rejected, 0)]
        self.need(row, "query", "response", "label")
        query, texts = self.query(row), self.texts(row)
        if len(texts) != 1:
            raise Unfit(f"a label is of one text, the row has {len(texts)}")
        return [Labelled(query, texts[0], self.label(row), text_of(row, "annotator", ""))]

    def label(self, row: Row) -> Label:
        label = row["label"]
        if label == "":
            raise Unfit("the label is empty")
        if isinstance(label, (bool, int, float, str)):
            word = str(label).strip().casefold()
            if re.fullmatch(r"[+-]?\d+\.0*", word):
                word = word.partition(".")[0]
            found = self.words.get(word, _BY_WORD.get(word))
            if found is not None:
                return found
        raise Unfit(
            f"label must be 0 or 1, found {_short(label)}; say what the data's words mean, good is 1 and bad is 0: "
            "--label WORD=1 OTHER=0"
        )

    def pair(self, row: Row) -> Preference:
        provenance = row.get("provenance") or {}
        if not isinstance(provenance, dict):
            raise Unfit(f"provenance must be an object, found {json_kind(provenance)}")
        self.need(row, "query", "chosen", "rejected")
        query = self.query(row)
        asked = None if "query" in row else _asked(row)[0]
        return Preference(
            query=query,
            chosen=_side(row, "chosen", asked),
            rejected=_side(row, "rejected", asked),
            # Parquet gives every row every key of the column; those without a value are none of this row's.
            provenance={key: str(value) for key, value in provenance.items() if value is not None},
        )

    def answers(self, row: Row) -> Scored | None:
        """The answers with their scores that a row holds; None where it holds no such."""
        if (key := _list_of(row)) is not None:
            return [(text, score) for text, score in _listed(row, key) if score is not None]  # unrated makes no pair
        scored = []
        for name in row:
            if (found := _NUMBERED.fullmatch(name)) is not None:
                ends = (f"{score}{gap}{found[2]}" for score in ("score", "rating") for gap in ("_", ""))
                if (score := next((row[end] for end in ends if end in row), None)) is not None:
                    scored.append((text_of(row, name), number(score, name)))
        return scored or None

    def rated(self, row: Row) -> tuple[str, float] | None:
        """The text and the score of a row that has one of each; None where it has none."""
        key = next((key for key in _SCORES if key in row), None)
        text = response(row) if key is not None else None
        return None if key is None or text is None else (text, number(row[key], key))

    def scored(self, row: Row) -> Scored:
        """The text, or the texts, of a row with their scores.

        Raises:
            Unfit: it has none.
        """
        if answers := self.answers(row):
            return answers
        if (one := self.rated(row)) is None:
            self.need(row, "query", "response", "score")
        return [one] if one else []


def _has(row: Row, name: str) -> bool:
    """Whether a row has a query, a response or a column of that name."""
    if name == "query":
        asked = ("query", "instruction", *TALKS, "prompt")
        return any(key in row for key in asked) or ("chosen" in row and not _plain(row["chosen"]))
    if name == "response":
        texts = (*TEXTS, *TALKS, *_ANSWERS)
        return any(key in texts or _NUMBERED.fullmatch(key) for key in row) or isinstance(row.get("prompt"), list)
    return name in row


def response(row: Row) -> str | None:
    """The text that answers a row's query; None where it has none."""
    for key in TEXTS:
        if isinstance(row.get(key), str) and key == "completion":
            return str(row[key])
        if key in row:
            return _turns(row, key).response if key == "completion" else text_of(row, key)
    talk = next((key for key in TALKS if key in row), None)
    if talk is not None:
        return _turns(row, talk).response
    if isinstance(row.get("prompt"), list) and "chosen" not in row:
        return _turns(row, "prompt").response
    return None


def text_of(row: Row, key: str, default: str | None = None) -> str:
    if key not in row and default is None:
        raise Unfit(f"no {key!r}; the row has {keys(row)}")
    value = row.get(key, default)
    if not isinstance(value, str):
        raise Unfit(f"{key} must be a string, found {json_kind(value)}")
    return value


def keys(row: Row) -> str:
    return ", ".join(map(repr, row)) if row else "no keys"


def number(value: Any, key: str) -> float:
    try:
        score = float(value) if isinstance(value, (int, float, str)) else math.nan
    except (ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        raise Unfit(f"the score of {key} must be a number, found {_short(value)}")
    return score


def tags(row: Row) -> tuple[str, ...]:
    value = row.get("tags") or []
    if isinstance(value, str):  # of a table
        value = [tag for part in re.split(r"[,;|]", value) if (tag := part.strip())]
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise Unfit("tags must be a list of strings")
    return tuple(value)


def clicks(row: Row) -> int:
    value = row.get("clicks") or 0
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value):
        value = int(value)
    if type(value) is not int or value < 0:
        raise Unfit(f"clicks must be a whole number from 0, found {_short(value)}")
    return value


def _asked(row: Row) -> tuple[str, str]:
    """(the query as it stands, the system turn that is told with it)"""
    if "query" in row:
        return text_of(row, "query"), ""
    if "instruction" in row:
        more = text_of(row, "input") if row.get("input") else ""
        return text_of(row, "instruction") + (f"\n{more}" if more else ""), ""
    told = [key for key in (*TALKS, "prompt") if key in row]
    if "chosen" in row and not _plain(row["chosen"]):  # which may repeat the prompt, or say it alone
        told.append("chosen")
    said = [_turns(row, key) for key in told]
    query = next((one.query for one in said if one.query is not None), None)
    if query is None:
        raise Unfit(f"{told[0]} has 0 user turns; a query is exactly one")
    return query, next((one.system for one in said if one.system), "")


def _own_system(row: Row) -> str:
    return next((text_of(row, key) for key in ("system", "system_prompt") if row.get(key)), "")


def _turns(row: Row, key: str) -> Turns:
    """What a row's conversation says; an answer in it that another column answers once more is a history."""
    said = turns(row[key], key)
    again = {"completion", "response"} & row.keys()
    if "chosen" in row and key != "chosen" and ("prompt" not in row or key == "prompt"):
        again |= {"chosen"} if _plain(row["chosen"]) or turns(row["chosen"], "chosen").query is None else set()
    if None not in (said.query, said.response) and again - {key}:
        raise Carries(HISTORY)
    return said


def _plain(value: Any) -> bool:
    return isinstance(value, str) and transcript(value) is None


def _side(row: Row, key: str, asked: str | None) -> str:
    """A text of a pair; where it is told with its query, that is ``asked``."""
    if _plain(row[key]):
        return str(row[key])
    said = turns(row[key], key)
    if said.response is None:
        raise Unfit(f"{key} must be one text of the assistant, with the query before it or in prompt")
    if None not in (asked, said.query) and str(asked).strip() != str(said.query).strip():
        raise Unfit(f"{key} answers another query than the row's: {_short(said.query)}")
    return said.response


def _list_of(row: Row) -> str | None:
    return next((key for key in _ANSWERS if key in row), None)


def _listed(row: Row, key: str) -> list[tuple[str, float | None]]:
    answers = row[key]
    if not isinstance(answers, list):
        raise Unfit(f"{key} must be a list of answers, found {json_kind(answers)}")
    beside = next((row[name] for name in _SCORES if isinstance(row.get(name), list)), None)
    if beside is not None and len(beside) != len(answers):
        raise Unfit(f"{key} has {len(answers)} answers and {len(beside)} scores")
    listed = []
    for i, answer in enumerate(answers):
        if answer is None:
            continue
        inner = answer if isinstance(answer, dict) else {}
        text = next((inner[name] for name in (*TEXTS, "text", "content", "answer") if name in inner), answer)
        score = beside[i] if beside is not None else next((inner[n] for n in _SCORES if inner.get(n) is not None), None)
        if not isinstance(text, str):
            raise Unfit(f"{key}: an answer needs a text")
        listed.append((text, None if score is None else number(score, key)))
    return listed


def ranked(query: str, answers: Sequence[tuple[str, float]]) -> list[Preference]:
    """A pair of every two answers of different scores, the best first."""
    best = sorted(answers, key=lambda one: -one[1])
    return [
        Preference(query, text, other)
        for i, (text, score) in enumerate(best)
        for other, less in best[i:]
        if less < score
    ]


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:80]
