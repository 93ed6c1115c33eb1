"""What ``inkfire agree`` found, in words: which reward to train with, whether raters agree, what would settle it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inkfire.evaluation.claims import listed
from inkfire.report.findings import Finding
from inkfire.report.words import number, rate, several, value
from inkfire.stats.settle import MOST

Result = Mapping[str, Any]


def agreed(result: Result) -> Finding:
    """The recommendation first, where rewards were tried."""
    said = [recommendation(result), *_next(result)] if "rewards" in result else []
    said += [_settle(result["settle_rewards"])] if "settle_rewards" in result else []
    if "alpha" in result:
        said += [_agreement(result), *_strongest(result)]
    said += [_consistency(result)] if any(row["repeats"] for row in result["raters"]) else []
    said += [_settle(settle) for settle in [result.get("settle")] if settle is not None]
    return Finding(said, _warnings(result))


def recommendation(result: Result) -> str:
    """Which reward to train with, in one sentence."""
    rows = result["rewards"]
    of = f"{several(result['rated']['n_texts'], 'text')} of {several(result['rated']['n_queries'], 'query', 'queries')}"
    best = next((row for row in rows if row["reward"] == result["train_with"]), None)
    if best is None:
        tried = f"none of the {len(rows)} rewards is" if len(rows) > 1 else f"{rows[0]['reward']} is not"
        return f"Train with none of them: {tried} shown to rank the texts of a query as the ratings do ({of})."
    return (
        f"Train with {best['reward']}: it ranks the texts of a query as the ratings do, correlation "
        f"{value(best, 'correlation')} on {of}."
    )


def _next(result: Result) -> list[str]:
    if result["train_with"] is None or (row := result.get("next")) is None or row["behind"] is None:
        return []
    shown = "is behind" if row["behind_ci"][0] > 0 else "is not shown to be worse: behind"
    return [f"{row['reward']} {shown} by {value(row, 'behind')}."]


def _agreement(result: Result) -> str:
    who = listed(result["voices"]) if len(result["voices"]) <= 3 else f"{len(result['voices'])} raters"
    on = f"{several(result['n'], 'text')} of {several(result['queries'], 'query', 'queries')}"
    if result["alpha"] is None:
        return f"{who} gave all of {on} that two of them rated one answer, or none: whether they agree is not known."
    low, high = result["alpha_ci"]
    how = (
        "agree better than chance"
        if low > 0
        else "agree less than chance does"
        if high < 0
        else "are not shown to agree better than chance"
    )
    kappa = "kappa (quadratic weights)" if result["level"] == "ordinal" else "kappa"
    return (
        f"{who} {how}: Krippendorff's alpha {value(result, 'alpha')} ({result['level']}), {kappa} "
        f"{value(result, 'kappa')}, the same answer on {rate(result, 'accuracy')} of {on}."
    )


def _strongest(result: Result) -> list[str]:
    rows = [f"{name} {number(row['strength'])}" for name, row in result.get("strengths", {}).items()]
    return [f"Strengths by the votes (log-odds against the average writer): {', '.join(rows)}."] if rows else []


def _consistency(result: Result) -> str:
    rows = [row for row in result["raters"] if row["repeats"] and row["same"] is not None]
    told = [f"{row['rater']} {rate(row, 'same')} of {row['repeats']}" for row in rows]
    return f"Of what they were shown twice, raters said the same of: {listed(told)}."


def _settle(row: Result) -> str:
    """What would settle it, as what it is: a guess from the texts at hand."""
    what = {
        "chance": "whether they agree better than chance",
        "alpha": "alpha to ±0.1",
        "goes with": "whether the best reward goes with the ratings",
        "better": "whether the first reward is better than the next",
        "correlation": "its correlation to ±0.1",
    }[row["question"]]
    if row["queries"] is None:
        return f"More texts like these would not soon tell {what}: {MOST} times as many queries are not enough."
    if row["queries"] == 0 and row["question"] in ("alpha", "correlation"):
        return f"These texts are enough to tell {what}."
    if row["queries"] == 0:
        return f"If others are like these, as many others would tell {what}, four times in five."
    return (
        f"If others are like these, about {row['queries']:,} more queries ({several(row['texts'], 'text')}) would tell "
        f"{what}; a guess by drawing from these, too low where few were rated or the effect is smaller."
    )


def _warnings(result: Result) -> list[str]:
    said = list(result.get("warnings", ()))
    for row in result["files"]:
        if row["missing"]:
            said.append(f"{row['missing']:,} of {several(row['rows'], 'row')} of {row['file']} have no value.")
    alone = {name: n for name, n in result.get("only", {}).items() if n}
    if alone:
        told = listed([f"{n:,} by {name} alone" for name, n in alone.items()])
        said.append(f"Texts that no other rated are left out of the agreement: {told}.")
    if result.get("tied"):
        said.append(f"On {several(result['tied'], 'text')} a file's raters are split evenly: left out.")
    for row in result.get("rewards", ()):
        if row["refused"]:
            said.append(f"Not to train with: {row['refused']}")
        if row["missing"]:
            said.append(f"{row['reward']} gave {several(row['missing'], 'text')} no score.")
    return said
