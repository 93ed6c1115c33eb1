"""The folder that people rate in: what ``inkfire annotate new`` lays out and the other commands of that name open.

form.json     what is asked, and the template with which a writer is asked for a query
items.jsonl   {item, query, responses, sources}: one text or two
plan.jsonl    {rater, position, item, swapped, repeat}
votes.jsonl   {rater, position, item, choice | points, note, seconds, at} or {rater, position, undo, at}
raters.json   a rater's token: who has it may vote in that name. For the owner's eyes alone
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inkfire.errors import DataError, InputError, RunFolderError
from inkfire.evaluation.ballots import Ballot, Item, Slot, Vote, seconds_of, vote_row
from inkfire.evaluation.form import Form
from inkfire.evaluation.sitting import Sitting
from inkfire.evaluation.tally import Tally
from inkfire.files.formats import pair_row
from inkfire.files.jsonl import read_json, read_jsonl, write_json, write_jsonl
from inkfire.files.log import Log, read_log
from inkfire.files.run import locked
from inkfire.models.card import Template
from inkfire.records import Preference

FORM, ITEMS, PLAN, VOTES, TOKENS = "form.json", "items.jsonl", "plan.jsonl", "votes.jsonl", "raters.json"
FILES = (FORM, ITEMS, PLAN, VOTES, TOKENS)

Row = dict[str, Any]


@dataclass(frozen=True)
class RatedSet:
    """A set as it lies in its folder, with the votes until now."""

    out: Path
    tally: Tally
    template: Template | None

    @classmethod
    def read(cls, out: Path) -> RatedSet:
        """
        Raises:
            RunFolderError: the folder holds no set.
            DataError: a file of it is damaged; file and line are named.
        """
        if not (out / PLAN).is_file() or not (out / FORM).is_file():
            raise RunFolderError(
                f"{out} holds no texts to rate: inkfire annotate new --policy P --queries F --out {out} lays them out"
            )
        try:
            data = read_json(out / FORM)
            form = Form.read(data["form"])
            template = None if data["template"] is None else Template(**data["template"])
        except (OSError, UnicodeDecodeError, KeyError, TypeError, InputError) as problem:
            if isinstance(problem, DataError):
                raise
            raise DataError(f"not what inkfire annotate new writes: {problem}", path=out / FORM) from None
        items = {item.item: item for item in _items(out / ITEMS)}
        lists: dict[str, list[Slot]] = {}
        for slot in _slots(out / PLAN):
            lists.setdefault(slot.rater, []).append(slot)
        said = _votes(out / VOTES, lists, form)
        ballots = {rater: Ballot.of(slots, said[rater]) for rater, slots in lists.items()}
        return cls(out, Tally(form, items, ballots), template)

    @staticmethod
    def write(
        out: Path, form: Form, template: Template | None, items: list[Item], lists: Mapping[str, list[Slot]]
    ) -> None:
        """Lay a set out; the plan comes last: with it the set is whole."""
        write_json(out / FORM, {"form": form.to_json(), "template": None if template is None else asdict(template)})
        write_jsonl(out / ITEMS, map(asdict, items))
        write_jsonl(out / PLAN, (asdict(slot) for slots in lists.values() for slot in slots))

    def tokens(self) -> dict[str, str]:
        """Each rater's token, made when they are first asked for; readable by the owner alone."""
        path = self.out / TOKENS
        if path.is_file():
            known = {str(rater): str(token) for rater, token in read_json(path).items()}
            if known.keys() == self.tally.ballots.keys():
                return known
        tokens = {rater: secrets.token_urlsafe(16) for rater in self.tally.ballots}
        before = os.umask(0o077)
        try:
            write_json(path, tokens)
        finally:
            os.umask(before)
        return tokens

    def pair_row(self, pair: Preference) -> Row:
        """A line of pairs.jsonl; without a template the query itself is what a writer is asked."""
        plain = [{"role": "user", "content": pair.query}]
        return pair_row(pair, plain if self.template is None else self.template.messages(pair.query))


@contextmanager
def sitting(out: Path) -> Iterator[tuple[RatedSet, Sitting]]:
    """A set that is open for votes, by this process alone.

    Raises:
        RunFolderError: it is no set, or another process holds it (its number is said).
        DataError: a file of it is damaged.
    """
    RatedSet.read(out)  # before a lock file is made beside what is no set
    with locked(out), Log(out / VOTES) as log:
        opened = RatedSet.read(out)
        yield opened, Sitting(opened.tally, log.append)


def votes_in(out: Path) -> int:
    """How many rows of votes a folder holds."""
    return sum(1 for _ in read_log(out / VOTES))


def _items(path: Path) -> Iterator[Item]:
    for number, row in enumerate(read_jsonl(path), 1):
        try:
            yield Item(row["item"], row["query"], tuple(row["responses"]), tuple(row["sources"]))
        except (KeyError, TypeError) as problem:
            raise DataError(f"not an item: {problem!r}", path=path, line=number) from None


def _slots(path: Path) -> Iterator[Slot]:
    for number, row in enumerate(read_jsonl(path), 1):
        try:
            yield Slot(**row)
        except TypeError as problem:
            raise DataError(f"not a slot of a plan: {problem}", path=path, line=number) from None


def _votes(path: Path, lists: Mapping[str, list[Slot]], form: Form) -> dict[str, list[Vote | int]]:
    """Each rater's votes and positions taken back, in order.

    Raises:
        DataError: a row that fits neither plan nor form: a vote of another set.
    """
    said: dict[str, list[Vote | int]] = {rater: [] for rater in lists}
    for number, row in read_log(path):
        rater, position = row.get("rater"), row.get("position")
        slots = lists.get(rater, []) if isinstance(rater, str) else []
        if not isinstance(position, int) or not 1 <= position <= len(slots):
            raise DataError(f"the plan has no position {position!r} of {rater!r}", path=path, line=number)
        assert isinstance(rater, str)
        if row.get("undo"):
            said[rater].append(position)
            continue
        points, choice = row.get("points"), form.choice(row.get("choice"))
        seconds, at = seconds_of(row.get("seconds")), str(row.get("at", ""))
        vote = Vote(rater, position, choice, points, str(row.get("note", "")), seconds, at)
        try:
            form.check(vote)
        except InputError as problem:
            raise DataError(str(problem), path=path, line=number) from None
        if vote_row(vote, slots[position - 1])["item"] != row.get("item"):
            raise DataError("the plan has another item at that position", path=path, line=number)
        said[rater].append(vote)
    return said
