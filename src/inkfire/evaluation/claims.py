"""The comparison in plain words: nothing is claimed that an interval does not support.

A claim needs a paired 95 % interval that excludes zero and an exact sign test at 5 % (three of eight queries that all
got better exclude zero, p = 0.25), from a signal that was not the policy's own reward. Several such signals are as many
chances of a false claim: their p are adjusted by Holm's method, so that the chance stays one in twenty for a policy
against another, however many signals look at it.
When length alone predicts half of a difference or more, the sentence says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from inkfire.records import Identity
from inkfire.stats.intervals import FEW, holm

LEVEL = 0.05


def own_signals(
    signals: Mapping[str, Sequence[Identity]], policies: Mapping[str, Sequence[Identity]]
) -> dict[str, list[str]]:
    """policy → the signals of which any part is one of its own rewards, in the order of ``signals``.

    Args:
        signals: signal → its parts (``identities`` of a reward; none for what no policy is trained against).
        policies: policy → all that it and those before it were trained against (``policy.trained_against``).
    """
    return {
        policy: [name for name, parts in signals.items() if any(part.same(reward) for part in parts for reward in own)]
        for policy, own in policies.items()
    }


def points(value: float) -> str:
    """A difference of rates in percentage points, signed."""
    return f"{100 * value:+.0f}"


def claims(evaluation: Mapping[str, Any]) -> list[dict[str, str]]:
    """One sentence for every policy against its baselines, with ``kind`` better | worse | open | none."""
    policies = evaluation["policies"]
    rows = [row for row in with_holm(evaluation["differences"]) if row["signal"] != "length"]
    out = []
    for policy in policies:
        for against in dict.fromkeys(row["against"] for row in rows if row["policy"] == policy):
            mine = [row for row in rows if (row["policy"], row["against"]) == (policy, against)]
            out.append(_claim(policy, against, mine))
    return out


def with_holm(differences: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows with ``difference_p_holm``: adjusted over the independent signals of one policy against another.

    None for a row that no claim can rest on: the policy's own reward, the length twin, nothing scored.
    """
    families: dict[tuple[str, str], list[int]] = {}
    for i, row in enumerate(differences):
        if _independent(row):
            families.setdefault((row["policy"], row["against"]), []).append(i)
    adjusted: dict[int, float] = {}
    for rows in families.values():
        adjusted |= zip(rows, holm([differences[i]["difference_p"] for i in rows]), strict=True)
    return [{**row, "difference_p_holm": adjusted.get(i)} for i, row in enumerate(differences)]


def _independent(row: Mapping[str, Any]) -> bool:
    return not row["own_reward"] and row["signal"] != "length" and row["difference"] is not None


def _claim(policy: str, against: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    independent = [row for row in rows if _independent(row)]
    if not independent:
        why = "every signal was the policy's own reward or gave no score, so nothing is claimed"
        text = f"{policy} against {against}: {why}."
        return {"kind": "none", "policy": policy, "against": against, "text": text}
    shown = [row for row in independent if _excludes_zero(row) and row["difference_p_holm"] <= LEVEL]
    better = [row for row in shown if row["difference_ci"][0] > 0]
    worse = [row for row in shown if row["difference_ci"][1] < 0]
    details = "; ".join(_detail(row) for row in independent)
    if better and worse:
        kind, head = "open", f"The signals disagree about {policy} against {against}"
    elif better:
        kind = "better"
        silent = len(independent) - len(better)
        by = ", ".join(row["signal"] for row in better)
        head = f"{policy} is better than {against} by {by}" + (
            f" ({silent} other independent signal{'s' * (silent > 1)} not decided)" if silent else ""
        )
    elif worse:
        kind, head = "worse", f"{policy} is worse than {against} by {', '.join(row['signal'] for row in worse)}"
    else:
        kind, head = "open", f"No difference between {policy} and {against} is shown"
    warning = "".join(_length_warning(row) for row in better)
    return {
        "kind": kind,
        "policy": policy,
        "against": against,
        "text": f"{head}: {details}.{warning}",
    }


def _excludes_zero(row: Mapping[str, Any]) -> bool:
    low, high = row["difference_ci"]
    return not low <= 0 <= high


def _detail(row: Mapping[str, Any]) -> str:
    (low, high), p = row["difference_ci"], row["difference_p_holm"]
    said = f"{row['signal']} {points(row['difference'])} points ({points(low)} to {points(high)}, n = {row['n']}"
    queries = row.get("difference_clusters", FEW)
    if queries < FEW <= row["n"]:
        said += f" of only {queries} {'query' if queries == 1 else 'queries'}"
    if _excludes_zero(row) and p > LEVEL:
        said += f"; sign test p = {p:.2f}" + (" by Holm" if p > row["difference_p"] else "")
    return f"{said})"


def _length_warning(row: Mapping[str, Any]) -> str:
    by_length = row["difference_by_length"]
    if by_length is None or by_length < 0.5 * row["difference"]:
        return ""
    gain = f"{points(row['difference'])} points by {row['signal']}"
    return f" Careful: length alone predicts {points(by_length)} of the {gain}."


def caveats(evaluation: Mapping[str, Any]) -> list[str]:
    """What else a difference may be due to: texts that are missing, and several engines or precisions."""
    said, writers = [], dict[str, list[str]]()
    for name, policy in evaluation["policies"].items():
        if missing := policy.get("missing"):
            said.append(f"{name} has no text for {missing} of {evaluation['n']} queries; they are left out.")
        if by := policy.get("written_by"):
            writers.setdefault(by, []).append(name)
    if len(writers) > 1:
        each = "; ".join(f"{listed(names)}: {by}" for by, names in writers.items())
        said.append(f"Not all texts are by one engine at one precision, and differences may be due to that ({each}).")
    return said


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
        return f"{on} {_who_beats_whom(every)}."
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
    return text


def _who_beats_whom(said: Sequence[Mapping[str, str]]) -> str:
    verbs = {"better": "is shown to write better", "worse": "is shown to write worse"}
    shown = [
        f"{c['policy']} {verb} than {c['against']}" for kind, verb in verbs.items() for c in said if c["kind"] == kind
    ]
    return listed(shown) if shown else "no difference between the policies is shown"


def listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
