"""Votes become data with the writers' names: one row a vote, and one a text or pair by all who rated it.

    votes.jsonl, .csv  every vote that stands, repeats too: {query, response, annotator, points, …}, or of two texts
                       {query, chosen, rejected, winner: chosen | tie | both bad, annotator, …}
    ratings.jsonl      {query, response, annotator, points, source}           of rubrics: one row a text and rater
    rated.jsonl        {query, response, rating, ratings, source}             one row a text, the mean over raters
    labelled.jsonl     {query, response, label, source}
    pairs.jsonl        TRL's preference, with query and provenance

The last vote of a rater on an item counts, so of a text that was shown twice the second time. Between two texts a
rating is a win (1), a tie (0.5) or neither (0: lost, or both bad).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from inkfire.evaluation.ballots import Ballot, Item, Slot, Vote
from inkfire.evaluation.form import Form
from inkfire.records import Preference
from inkfire.tasks.rubric import reaches

Row = dict[str, Any]


@dataclass(frozen=True)
class Tally:
    """The votes of all raters on the items of a form."""

    form: Form
    items: Mapping[int, Item]
    ballots: Mapping[str, Ballot]

    def votes(self) -> Iterable[tuple[Item, Slot, Vote]]:
        """Every vote that stands, rater by rater in the order of the list: a repeat after what it repeats."""
        for ballot in self.ballots.values():
            for slot in ballot.slots:
                if (vote := ballot.standing.get(slot.position)) is not None:
                    yield self.items[slot.item], slot, vote

    def counting(self) -> dict[int, dict[str, Vote]]:
        """Item → rater → the vote that counts."""
        found: dict[int, dict[str, Vote]] = {number: {} for number in self.items}
        for item, _, vote in self.votes():
            found[item.item][vote.rater] = vote
        return {number: by for number, by in found.items() if by}

    # ---- rows ------------------------------------------------------------------------------------------------------

    def vote_rows(self) -> list[Row]:
        """One row a vote, of pairs with the text that was preferred as ``chosen``."""
        rows = []
        for item, slot, vote in self.votes():
            said = _points_row(item, vote) if vote.points is not None else _choice_row(item, slot, vote)
            row: Row = {"query": item.query} | said | {"annotator": vote.rater, "item": item.item}
            row |= {"position": slot.position, "repeat": slot.repeat}
            rows.append(row | {"note": vote.note, "seconds": vote.seconds, "at": vote.at})
        return rows

    def rating_rows(self) -> list[Row]:
        """One row a text and rater (of rubrics), a repeat as one more of the same rater."""
        names = ("query", "response", "annotator", "points", "source", "seconds", "repeat")
        return [{name: row[name] for name in names} for row in self.vote_rows() if "points" in row]

    def rated_rows(self) -> list[Row]:
        """One row a text: ``rating``, the mean of its raters, and in ``ratings`` each rater's place, null where they
        did not rate it. What is in several pairs has the mean of these."""
        found: dict[tuple[str, str, str], dict[str, list[float]]] = {}
        for number, by_rater in self.counting().items():
            item = self.items[number]
            for place, (response, source) in enumerate(zip(item.responses, item.sources, strict=True)):
                of_text = found.setdefault((item.query, response, source), {})
                for rater, vote in by_rater.items():
                    of_text.setdefault(rater, []).append(self._rating(vote, place))
        rows = []
        for (query, response, source), of_text in found.items():
            each = {rater: fmean(given) for rater, given in of_text.items()}
            row: Row = {"query": query, "response": response, "rating": fmean(each.values())}
            rows.append(row | {"ratings": [each.get(rater) for rater in self.ballots], "source": source})
        return rows

    def labelled_rows(self) -> list[Row]:
        """Of rubrics: good from the task's ``excellent`` on; between two texts: good above a half, bad below.

        None where nothing says which are good.
        """
        rows = []
        for row in self.rated_rows():
            if self.form.mode == "pairwise":
                label = None if row["rating"] == 0.5 else int(row["rating"] > 0.5)
            else:
                label = None if self.form.excellent is None else int(reaches(row["rating"], self.form.excellent))
            if label is not None:
                rows.append({name: row[name] for name in ("query", "response")} | {"label": label} | _source(row))
        return rows

    def pairs(self) -> list[Preference]:
        """Between two texts: what more raters preferred. Of rubrics: every two texts of a query with unlike means."""
        return self._chosen() if self.form.mode == "pairwise" else self._ranked()

    def _chosen(self) -> list[Preference]:
        pairs = []
        for number, by_rater in self.counting().items():
            item, said = self.items[number], [vote.choice for vote in by_rater.values()]
            ahead = said.count("a") - said.count("b")
            if ahead and max(said.count("a"), said.count("b")) > said.count("bad"):
                won = 0 if ahead > 0 else 1
                texts = list(zip(item.responses, item.sources, strict=True))
                pairs.append(_pair(item.query, texts[won], texts[1 - won], len(said)))
        return pairs

    def _ranked(self) -> list[Preference]:
        of_query: dict[str, list[Row]] = {}
        for row in self.rated_rows():
            of_query.setdefault(row["query"], []).append(row)
        pairs = []
        for query, rows in of_query.items():
            best = sorted(rows, key=lambda row: -row["rating"])
            for place, row in enumerate(best):
                for other in best[place + 1 :]:
                    if other["rating"] < row["rating"] and other["response"] != row["response"]:
                        chosen, rejected = ((one["response"], one["source"]) for one in (row, other))
                        raters = min(_raters(row), _raters(other))
                        pairs.append(_pair(query, chosen, rejected, raters))
        return pairs

    def _rating(self, vote: Vote, place: int) -> float:
        if vote.points is not None:
            return self.form.weighted(vote.points)
        return 0.5 if vote.choice == "tie" else float(vote.choice == "ab"[place])

    # ---- numbers ---------------------------------------------------------------------------------------------------

    def progress(self) -> dict[str, Any]:
        """``planned``, ``done`` and ``left`` votes, each rater's, how long a vote takes, and self-consistency."""
        raters = {rater: _of_rater(ballot) for rater, ballot in self.ballots.items()}
        out: dict[str, Any] = {name: sum(one[name] for one in raters.values()) for name in ("planned", "done", "left")}
        raters_of = [len(by_rater) for by_rater in self.counting().values()]
        out |= {
            "items": len(self.items),
            "items_rated": len(raters_of),
            "items_by_several": sum(n > 1 for n in raters_of),
        }
        out["seconds_median"] = _median(vote for _, _, vote in self.votes())
        repeats = [one["repeats"] for one in raters.values()]
        out["repeats"] = {name: sum(one[name] for one in repeats) for name in ("planned", "n", "same")}
        return out | {"raters": raters}

    def results(self) -> list[Row]:
        """What the votes say of each writer (rubrics) or each two of them, before anything is claimed of it."""
        if self.form.mode == "rubric":
            found: dict[str, list[float]] = {}
            for row in self.rated_rows():
                found.setdefault(row["source"], []).append(row["rating"])
            return [{"policy": source, "n": len(means), "mean": fmean(means)} for source, means in found.items()]
        counts: dict[tuple[str, ...], Counter[str]] = {}
        for number, by_rater in self.counting().items():
            count = counts.setdefault(self.items[number].sources, Counter())
            count.update(str(vote.choice) for vote in by_rater.values())
        names = {"a": "a_better", "b": "b_better", "tie": "tie", "bad": "both_bad"}
        return [
            {"a": a, "b": b, "n": count.total()} | {name: count[choice] for choice, name in names.items()}
            for (a, b), count in counts.items()
        ]


def _of_rater(ballot: Ballot) -> dict[str, Any]:
    done, planned = len(ballot.standing), len(ballot.slots)
    first = {slot.item: ballot.standing.get(slot.position) for slot in ballot.slots if not slot.repeat}
    again = [slot for slot in ballot.slots if slot.repeat]
    both = [
        (before, after)
        for slot in again
        if (after := ballot.standing.get(slot.position)) is not None and (before := first[slot.item]) is not None
    ]
    same = sum(before.choice == after.choice and before.points == after.points for before, after in both)
    out: dict[str, Any] = {"planned": planned, "done": done, "left": planned - done}
    out["seconds_median"] = _median(ballot.standing.values())
    return out | {"repeats": {"planned": len(again), "n": len(both), "same": same}}


def _median(votes: Iterable[Vote]) -> float | None:
    seconds = [vote.seconds for vote in votes if vote.seconds is not None]
    return median(seconds) if seconds else None


def _points_row(item: Item, vote: Vote) -> Row:
    return {"response": item.responses[0], "source": item.sources[0], "points": dict(vote.points or {})}


def _choice_row(item: Item, slot: Slot, vote: Vote) -> Row:
    first = 1 if vote.choice == "b" else 0
    sides = {"chosen": first, "rejected": 1 - first}
    row: Row = {side: item.responses[place] for side, place in sides.items()}
    row["winner"] = {"tie": "tie", "bad": "both bad"}.get(str(vote.choice), "chosen")
    row["provenance"] = {f"{side}_source": item.sources[place] for side, place in sides.items()}
    return row | {"left": next(side for side, place in sides.items() if place == int(slot.swapped))}


def _raters(row: Row) -> int:
    return sum(rating is not None for rating in row["ratings"])


def _source(row: Row) -> Row:
    return {"source": row["source"]} if row["source"] else {}


def _pair(query: str, chosen: Sequence[str], rejected: Sequence[str], raters: int) -> Preference:
    provenance = {"chosen_source": chosen[1], "rejected_source": rejected[1], "by": "people", "raters": str(raters)}
    return Preference(query, chosen[0], rejected[0], provenance)
