"""What an evaluation found, first: the headline, the one-sentence recommendation, and what else may be behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from inkfire.evaluation.claims import claims, independent, listed


def headline(evaluation: Mapping[str, Any]) -> str:
    """The finding: how many trained policies beat the untrained model, where it is among them; else who beats whom."""
    every = claims(evaluation)
    said = [claim for claim in every if claim["policy"] not in ("base", "sft")]
    against = [claim for claim in said if claim["against"] == "base"]
    over_sft = [claim for claim in said if claim["against"] == "sft"]
    won = [c["policy"] for c in against if c["kind"] == "better"]
    lost = [c["policy"] for c in against if c["kind"] == "worse"]
    on = f"On {evaluation['n']:,} held-out {'query' if evaluation['n'] == 1 else 'queries'}"
    if not every:
        return f"{on} there was nothing to compare {listed(evaluation['policies'])} with."
    if not against:
        return f"{on} {_who_beats_whom(every)}.{_only(every)}"
    if won:
        whose = "its" if len(won) == 1 else "their"
        text = f"{on} {listed(won)} wrote better than the base model by a signal that was not {whose} own reward."
    else:
        text = f"{on} no trained policy is shown to write better than the base model."
    if lost:
        text += f" {listed(lost)} wrote worse."
    if len(won) < len(against) - len(lost) and won:
        text += " For the others no difference is shown."
    if won and over_sft and not any(claim["kind"] == "better" for claim in over_sft):
        text += " None is shown to be better than SFT alone."
    return text + _only(against)


def _only(said: Sequence[Mapping[str, str]]) -> str:
    """What looks like a gain and is none."""
    text = ""
    if names := list(dict.fromkeys(claim["policy"] for claim in said if claim["kind"] == "length")):
        text += f" What tells {listed(names)} apart may be length alone."
    if names := list(dict.fromkeys(claim["policy"] for claim in said if claim["kind"] == "unqualified")):
        text += f" What tells {listed(names)} apart is only by signals that are not qualified."
    return text


def _who_beats_whom(said: Sequence[Mapping[str, str]]) -> str:
    verbs = {"better": "is shown to write better", "worse": "is shown to write worse"}
    shown = [
        f"{c['policy']} {verb} than {c['against']}" for kind, verb in verbs.items() for c in said if c["kind"] == kind
    ]
    return listed(shown) if shown else "no difference between the policies is shown"


def recommendation(evaluation: Mapping[str, Any]) -> tuple[str | None, str]:
    """The policy to use (None: none is shown to be better), and the one sentence that says so.

    Of several that are shown to be better than a baseline it is the one that is so against most of them, and then the
    one that gains most; never one that is worse than another baseline, or that a fault was found in.
    """
    every = claims(evaluation)
    faulty = {fault["policy"] for fault in evaluation.get("faults", ()) if fault["policy"] is not None}
    won: dict[str, list[str]] = {}
    for claim in every:
        if claim["kind"] == "better":
            won.setdefault(claim["policy"], []).append(claim["against"])
    lost = {claim["policy"] for claim in every if claim["kind"] == "worse"}
    fit = [name for name in won if name not in lost | faulty]
    if not fit:
        against = list(dict.fromkeys(claim["against"] for claim in every))
        if not against:
            return None, "There is nothing to choose between."
        return None, f"No policy is shown to be better than {listed(against)}."

    def gain(name: str) -> tuple[int, float]:
        rows = [row for row in evaluation["differences"] if row["policy"] == name and independent(row)]
        return len(won[name]), fmean(row["difference"] for row in rows)

    best = max(fit, key=gain)
    at = evaluation["policies"][best].get("at")
    where = f" ({at})" if at and at != best else ""
    return best, f"Use {best}{where}: it is shown to be better than {listed(won[best])}."


def caveats(evaluation: Mapping[str, Any]) -> list[str]:
    """What is wrong with the comparison (``faults.py``), and what else a difference may be due to: queries that were
    trained on, texts that are missing, several engines or precisions."""
    said, writers = list[str](), dict[str, list[str]]()
    said += [fault["text"] for fault in evaluation.get("faults", ())]
    known = evaluation.get("overlap") or {}
    for row in known.get("rows", ()):
        done = "left out" if known["left_out"] else "kept: what is said of them is what it remembers"
        of = "" if row["run"] == row["by"] else f" of {row['run']}"
        total = evaluation["n"] + known["left_out"]
        said.append(
            f"Leak: {row['queries']} of the {total} queries are part of what {row['by']} was trained on "
            f"({row['as']}{of}); they are {done}."
        )
    for name, policy in evaluation["policies"].items():
        if missing := policy.get("missing"):
            said.append(f"{name} has no text for {missing} of {evaluation['n']} queries; they are left out.")
        if by := policy.get("written_by"):
            writers.setdefault(by, []).append(name)
    if len(writers) > 1:
        each = "; ".join(f"{listed(names)}: {by}" for by, names in writers.items())
        said.append(f"Not all texts are by one engine at one precision, and differences may be due to that ({each}).")
    return said
