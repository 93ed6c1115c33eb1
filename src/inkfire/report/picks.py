"""Which records of a run its page shows, and in what words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from inkfire.report.words import good_or_bad, number, shown

Row = Mapping[str, Any]

NO_PAIR = {
    "no_candidates": "nothing was written",
    "all_unscored": "no text got a verdict",
    "all_good": "all texts are good",
    "all_bad": "all texts are bad",
    "lengths_apart": "good and bad texts differ in length",
}
"""Why a query made no pair, in words."""


def one_of_each(transcripts: Iterable[Row]) -> list[Row]:
    """One debate that ended with good and one that ended with bad, the first of each."""
    found: dict[int, Row] = {}
    for row in transcripts:
        if row["label"] is not None:
            found.setdefault(row["label"], row)
        if len(found) == 2:
            break
    return [found[label] for label in sorted(found, reverse=True)]


def turns(row: Row) -> list[tuple[str, str]]:
    """A debate as a conversation: (who, what was said)."""
    said = [("candidate", shown(row["response"]))]
    for stance in ("positive", "negative"):
        if row[stance]:
            said.append((stance, "\n".join(f"{point}: {reason}" for point, reason in row[stance].items())))
    for agent in ("judge", "reflect"):
        if row[agent]:
            said.append((agent, f"{good_or_bad(row[agent]['judge'], 'unscored')} · {row[agent]['reason']}"))
    flipped = ", flipped by Reflect" if row["flipped"] else ""
    return [*said, ("verdict", good_or_bad(row["label"], "unscored") + flipped)]


def reasons(rows: Iterable[Row], most: int = 8) -> list[tuple[str, int]]:
    """The most frequent reasons for having no verdict, and how many have them."""
    return Counter(row["unscored"][:160] for row in rows if row["unscored"]).most_common(most)


def wrong(verdicts: Iterable[Row]) -> list[Row]:
    """Verdicts that are not the text's label."""
    return [row for row in verdicts if row["label"] is not None and row["label"] != row.get("expected", row["label"])]


def surest(verdicts: Iterable[Row], most: int = 4) -> list[Row]:
    """The verdicts that are furthest from one half."""

    def unsure(row: Row) -> float:
        return 0.0 if row["probability"] is None else -abs(row["probability"] - 0.5)

    return sorted((row for row in verdicts if row["label"] is not None), key=unsure)[:most]


def most_wrong(pairs: Iterable[Row]) -> list[Row]:
    """Pairs whose rejected text has no lower score, the widest difference first."""
    scored = [row for row in pairs if row["chosen"] is not None and row["rejected"] is not None]
    return sorted(
        (row for row in scored if row["chosen"] <= row["rejected"]), key=lambda r: r["chosen"] - r["rejected"]
    )


def highest_and_lowest(rows: Iterable[Row], name: str, most: int = 3) -> list[Row]:
    """The texts of highest and of lowest ``name`` (reward, score)."""
    ranked = sorted((row for row in rows if row[name] is not None), key=lambda row: -row[name])
    return ranked[:most] + ranked[max(most, len(ranked) - most) :]


def last_step(completions: Iterable[Row]) -> list[Row]:
    """What was written in the last step of a training."""
    rows: list[Row] = []
    for row in completions:
        if rows and row["step"] != rows[0]["step"]:
            rows.clear()
        rows.append(row)
    return rows


def enough_labels(curve: Row) -> int:
    """With how many labels the accuracy is within one point of what it is with all."""
    sizes: Sequence[int] = curve["labels"]
    return next(n for n in sizes if curve[f"accuracy_{n}"] >= curve[f"accuracy_{sizes[-1]}"] - 0.01)


def measured_probes(result: Row) -> dict[str, str]:
    """The changes of which a shift is known: the number's name → the change."""
    changes = [name for name in result["probes"] if name not in ("order", "self_preference")]
    return {f"{name}_shift": name for name in changes if result[f"{name}_shift"] is not None}


def shifts(result: Row, *, raised: bool) -> list[str]:
    """The changes that are shown to raise P(Good), in words; not ``raised``: the one that does most."""
    probes = measured_probes(result)
    found = (
        [shift for shift in probes if result[f"{shift}_ci"][0] > 0] if raised else [max(probes, key=result.__getitem__)]
    )
    said = []
    for shift in found:
        low, high = result[f"{shift}_ci"]
        n = result[f"{probes[shift]}_n"]
        said.append(f"{probes[shift]} ({result[shift]:+.2f}, {low:+.2f} to {high:+.2f}, n = {n})")
    return said


def of_alarm(alarm: Row) -> list[tuple[str, str]]:
    """The texts that an alarm shows, each by its query."""
    return [(shown(query, 80), shown(text)) for query, text in zip(alarm["queries"], alarm["texts"], strict=True)]


def said_by_writer(votes: Sequence[Row]) -> tuple[list[str], list[tuple[Any, ...]]]:
    """A table of exported votes: of rubrics a writer's mean points by dimension, of pairs how often each of two was
    preferred."""
    if "points" in votes[0]:
        dimensions, points = list(votes[0]["points"]), defaultdict[str, list[Row]](list)
        for vote in votes:
            points[vote["source"]].append(vote["points"])
        means = [
            (who, len(of), *(number(fmean(one[name] for one in of)) for name in dimensions))
            for who, of in points.items()
        ]
        return ["writer", "votes", *dimensions], means
    counts: dict[tuple[str, ...], Counter[str]] = {}
    for vote in votes:
        sides = vote["provenance"]
        pair = tuple(sorted(sides.values()))
        won = sides["chosen_source"] if vote["winner"] == "chosen" else vote["winner"]
        counts.setdefault(pair, Counter())[won] += 1
    said = [
        (a, b, count[a], count[b], count["tie"], count["both bad"], count.total()) for (a, b), count in counts.items()
    ]
    return ["first", "second", "first better", "second better", "alike", "both bad", "votes"], said


def said_by_rater(votes: Sequence[Row]) -> list[tuple[Any, ...]]:
    """(rater, votes, median seconds of one, votes on what they were shown a second time)."""
    of: dict[str, list[Row]] = {}
    for vote in votes:
        of.setdefault(vote["annotator"], []).append(vote)
    rows = []
    for rater, given in of.items():
        seconds = [vote["seconds"] for vote in given if vote["seconds"] is not None]
        took = f"{median(seconds):.0f} s" if seconds else "–"
        rows.append((rater, len(given), took, sum(bool(vote["repeat"]) for vote in given)))
    return rows
