"""What ``inkfire refine`` found: what became of the proposals, and the judge before and after on texts it never saw."""

from __future__ import annotations

from itertools import islice
from typing import Any

from inkfire.judge.principles import read_principles
from inkfire.report.folder import Folder, Result
from inkfire.report.judging import SAMPLES
from inkfire.report.sections import Page, Sample, Section, Table, dots, shown
from inkfire.report.words import rate, sentence, value

_NUMBERS = {
    "auc": ("AUC", value),
    "auc_within_query": ("AUC within a query", value),
    "accuracy": ("accuracy", rate),
    "balanced_accuracy": ("balanced accuracy", rate),
    "length_auc": ("AUC of length alone", value),
}


def refine(folder: Folder, result: Result) -> Page:
    before, after = result["before"], result["after"]
    n = after["scored"]
    length = f"length alone has {value(after, 'length_auc')} on them."
    if result["accepted"]:
        headline = (
            f"On {n} test texts the judge's AUC went from {value(before, 'auc')} to {value(after, 'auc')}; {length}"
        )
    else:
        headline = "No proposal made the judge better on the validation texts, so its principles are what they were: "
        headline += f"AUC {value(before, 'auc')} on {n} test texts; {length}"
    said = [
        f"Rounds that changed the principles: {result['accepted']} of {result['rounds']}. A candidate is taken only "
        "where it is shown to judge the validation texts better or, where it only drops rules, no worse; the test "
        "texts decide nothing.",
        f"Texts with a hidden flaw that fooled the judge: {result['attacks']}.",
    ]
    if result["stopped"]:
        said.append(sentence(f"it stopped early: {result['stopped']}"))
    rows = [
        (label, form(before, name), form(after, name))
        for name, (label, form) in _NUMBERS.items()
        if after.get(name) is not None
    ]
    both = {f"auc_{when}{end}": numbers.get(f"auc{end}") for when, numbers in (("before", before), ("after", after))
            for end in ("", "_ci")}  # fmt: skip
    return Page(
        headline,
        said,
        [sentence(after["doubt"])] if after.get("doubt") else [],
        [
            Section(
                "Before and after",
                [f"On {n} labelled texts that refinement did not see."],
                Table(("", "before", "after"), rows),
                dots(both, {"auc_before": "before", "auc_after": "after"}, "AUC"),
            ),
            Section(
                "Rounds",
                table=Table(
                    ("round", "attacks", "caught", "fooled it", "proposals", "taken", "why"),
                    [_round(row) for row in folder.rows("history.jsonl")],
                ),
            ),
            _principles(folder),
            Section(
                "Texts that fooled the judge",
                samples=[
                    Sample(row["query"], [("text", shown(row["text"])), ("its hidden flaw", row["flaw"])])
                    for row in islice(folder.rows("attacks.jsonl"), SAMPLES)
                ],
            ),
        ],
    )


def _round(row: Result) -> list[str]:
    def count(name: str) -> str:
        return str(row.get(name, "–"))

    taken = "yes" if row["accepted"] else "no"
    usable = sum(not proposal["refused"] for proposal in row["proposals"])
    proposals = f"{usable} of {len(row['proposals'])} usable"
    return [str(row["round"]), count("attacks"), count("caught"), count("fooled"), proposals, taken, row["why"]]


def _principles(folder: Folder) -> Section:
    path = folder.path / "principles.toml"
    items = read_principles(path).items if path.is_file() else ()
    rows: list[tuple[Any, ...]] = [
        (str(place), item.text, item.origin, str(item.round) if item.round else "")
        for place, item in enumerate(items, 1)
    ]
    return Section("The principles now", table=Table(("", "principle", "from", "round"), rows))
