"""What ``inkfire cost`` found, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inkfire.report.pareto import measure_of
from inkfire.report.words import change, duration, percent, several, value

Row = Mapping[str, Any]


def said(result: Row) -> tuple[list[str], list[str]]:
    """(the findings, what a reader of the numbers must know)."""
    rewards = result["rewards"]
    told = [_reward(row, measure_of(rewards)) for row in rewards]
    if twin := next((row for row in rewards if row["common_length_auc"] is not None), None):
        told.append(
            f"On the same {several(twin['common_n'], 'text')} length alone has AUC {value(twin, 'common_length_auc')}."
        )
    warnings = [line for row in rewards for line in _doubts(row)]
    warnings += [
        f"{row['stage']}: {several(row['earlier_calls'], 'call')} of it were made by earlier tries under its name."
        for row in result["stages"]
        if row["earlier_calls"] > 0
    ]
    for run in result["runs"]:
        warnings += _beside_ledger(run)
    if (curves := result.get("curves")) is not None:
        told += _curves(curves)
    if (cascade := result.get("cascade")) is not None:
        told.append(_cascade(cascade))
        warnings += _left_out(cascade["left_out"], "learnt from by one of the two signals")
        warnings += [
            f"{several(n, 'text')} had no answer of {cascade[arm]}: {why}"
            for arm in ("cheap", "dear")
            for why, n in cascade["why_unscored"][arm].items()
        ]
    if not told:
        told.append("No reward was made in these runs: there is nothing to hold a cost against.")
    return told, warnings


def _reward(row: Row, auc: str) -> str:
    took = ["an unknown number of labels"]
    if row["labels"] is not None:
        by_use = ", ".join(f"{n:,} for {use}" for use, n in row["labels_by_use"].items() if use != "test")
        took = [several(row["labels"], "human label") + (f" ({by_use})" if by_use else "")]
    took.append("unknown calls" if row["calls"] is None else several(row["calls"], "call"))
    took.append("unknown time" if row["seconds"] is None else duration(row["seconds"]))
    reached = "no AUC is known"
    if row[auc] is not None:
        n = row["common_n"] if auc == "common_auc" else row["auc_n"]
        reached = f"AUC {value(row, auc, n)}"
    name = f"Strategy {row['strategy']} ({row['run']}/{row['reward']})"
    return f"{name}: {reached}, for {took[0]}, {took[1]} and {took[2]}."


def _doubts(row: Row) -> list[str]:
    name, lines = f"{row['run']}/{row['reward']}", []
    if row["recalled"]:
        replies = several(row["recalled"], "reply", "replies")
        lines.append(f"{name}: {replies} came from the ledger, paid for by an earlier stage, try or run.")
    if row["missing"]:
        lines.append(f"{name}: what {', '.join(row['missing'])} took is not known, so no sum is: name its run too.")
    if row["unread"]:
        lines.append(f"{name}: its labels are not counted: {'; '.join(row['unread'])}.")
    return lines


def _beside_ledger(run: Row) -> list[str]:
    """What no stage of a recipe has: a run that was never stopped or changed has nothing of that."""
    more = run.get("ledger_tokens_more")
    if not more:
        return []
    if more > 0:
        return [f"{run['run']}: {several(more, 'token')} in the ledger are of no stage: tries stopped or redone."]
    return [f"{run['run']}: {several(-more, 'token')} of its stages are not in the ledger: it is another one now."]


def _left_out(n: int, why: str) -> list[str]:
    return [f"{several(n, 'labelled text')} of queries {why}: left out."] if n else []


def _curves(curves: Row) -> list[str]:
    lines = []
    for key, name in (("rm", "A reward model on pairs of labelled texts"), ("judge", "The judge, calibrated,")):
        rows = curves[key]
        if rows:
            first, last = rows[0], rows[-1]
            ends = f"AUC {value(first, 'auc')} with {several(first['labels'], 'label')}"
            ends += f", {value(last, 'auc')} with {last['labels']:,}" if last is not first else ""
            lines.append(f"{name} has {ends} (n = {curves['n_test']:,}).")
    lines.append(f"On the same texts length alone has AUC {value(curves, 'length_auc')}.")
    if not curves["rm"] or curves["rm"][0]["labels"]:
        lines.append("With no label there is no reward model: the runs have no curated pairs.")
    if curves["judge"] is None:
        lines.append("The runs have no judge: strategy B has no row.")
    return lines


def _cascade(found: Row) -> str:
    asked = f"The cascade asks {found['dear']} about {percent(found['asked_share'])} of {several(found['n'], 'text')}"
    saved = [
        f"{percent(abs(share))} of its {name} {'saved' if share >= 0 else 'more'}"
        for name in ("calls", "seconds")
        if (share := found[f"{name}_saved_share"]) is not None
    ]
    lost = change(found, "accuracy_difference", found["n_paired"])
    bounds = found["accuracy_difference_ci"]
    sure = ""
    if bounds is not None and bounds[0] <= 0 <= bounds[1]:
        sure = f"; a loss of {max(0.0, -100 * bounds[0]):.1f} points is not excluded"
    took = f"; {', '.join(saved)}" if saved else ""
    return f"{asked}{took}. Its accuracy less that of {found['dear']} alone: {lost}{sure}."
