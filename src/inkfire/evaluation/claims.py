"""The comparison in plain words: nothing is claimed that an interval does not support.

A claim needs a paired 95 % interval that excludes zero and an exact sign test at 5 % (three of eight queries that all
got better exclude zero, p = 0.25), by a signal that was not the policy's own reward, nor a part of it, and that sees
every kind of damage (``sight.py``). It must hold at equal length too, by regression; and where a policy was trained
with several seeds, for each of them. Several such signals and policies are as many chances of a false claim: their p
are adjusted together by Holm's method, so that the chance stays one in twenty for all that is said.

What only a signal shows that is not qualified, or only the longer texts, is called that: a claim's ``kind`` is better,
worse, length, unqualified, open or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from inkfire.records import Identity
from inkfire.stats.intervals import FEW, holm

LEVEL = 0.05
Row = Mapping[str, Any]


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
    return f"{100 * value:+z.0f}"


def claims(evaluation: Mapping[str, Any]) -> list[dict[str, str]]:
    """One sentence for every policy against its baselines, with its ``kind``."""
    policies = evaluation["policies"]
    rows = [row for row in _with_unqualified(with_holm(evaluation["differences"])) if row["signal"] != "length"]
    out = []
    for policy in policies:
        for against in dict.fromkeys(row["against"] for row in rows if row["policy"] == policy):
            mine = [row for row in rows if (row["policy"], row["against"]) == (policy, against)]
            out.append(_claim(policy, against, mine))
    return out


def with_holm(differences: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows with ``difference_p_holm`` and, at equal length, ``difference_lc_p_holm``, each adjusted over all
    signals and policies that a claim may rest on: where length decides, every raw difference is real, and chance is in
    the other.

    None for a row that none can rest on: a policy's own reward, a signal that is not qualified, the length twin,
    nothing scored.
    """
    out = [{**row} for row in differences]
    for name in ("difference_p", "difference_lc_p"):
        family = [row for row in out if independent(row) and row.get(name) is not None]
        adjusted = {id(row): p for row, p in zip(family, holm([row[name] for row in family]), strict=True)}
        for row in out:
            row[f"{name}_holm"] = adjusted.get(id(row))
    return out


def _with_unqualified(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of signals that are not qualified with p adjusted among themselves, as ``p``."""
    family = [i for i, row in enumerate(rows) if _scored(row) and not row["own_reward"] and not independent(row)]
    adjusted = dict(zip(family, holm([rows[i]["difference_p"] for i in family]), strict=True))
    return [row | ({"p": adjusted[i]} if i in adjusted else {}) for i, row in enumerate(rows)]


def independent(row: Row) -> bool:
    """Whether a claim may rest on it. A row of an earlier version does not say what its signal sees."""
    return _scored(row) and not row["own_reward"] and row.get("qualified", True)


def _scored(row: Row) -> bool:
    return row["signal"] != "length" and row["difference"] is not None


def _claim(policy: str, against: str, rows: Sequence[Row]) -> dict[str, str]:
    resting = [row for row in rows if independent(row)]
    unqualified = [row for row in rows if _scored(row) and not row["own_reward"] and not independent(row)]
    differ = [row for row in resting if _excludes_zero(row) and row["difference_p_holm"] <= LEVEL]
    shown = [row for row in differ if holds_at_equal_length(row) and _of_every_seed(row)]
    better, worse = ([row for row in shown if _sign(row) == sign] for sign in (1, -1))
    only_gain = [row for row in unqualified if _excludes_zero(row) and row["p"] <= LEVEL]
    said = "; ".join(_detail(row) for row in resting)
    more = ""
    if better and worse:
        kind, head = "open", f"The signals disagree about {policy} against {against}"
    elif better or worse:
        kind, head = ("better" if better else "worse"), _shown(policy, against, better or worse, resting)
        more = "".join(map(_length_warning, better))
    elif differ:
        kind = "open" if all(map(holds_at_equal_length, differ)) else "length"
        head, more = _explained(policy, against, differ)
    elif only_gain:
        kind, head, said = "unqualified", _unqualified(policy, against, only_gain), _details(only_gain)
        more = _settling(resting)
    elif resting:
        kind, head, more = "open", f"No difference between {policy} and {against} is shown", _settling(resting)
    else:
        return {"kind": "none", "policy": policy, "against": against, "text": _nothing(policy, against, unqualified)}
    return {"kind": kind, "policy": policy, "against": against, "text": f"{head}: {said}.{more}"}


def _shown(policy: str, against: str, rows: Sequence[Row], resting: Sequence[Row]) -> str:
    by, side = ", ".join(row["signal"] for row in rows), "better" if _sign(rows[0]) > 0 else "worse"
    silent = len(resting) - len(rows)
    others = f" ({silent} other independent signal{'s' * (silent > 1)} not decided)" if silent else ""
    return f"{policy} is {side} than {against} by {by}{others if side == 'better' else ''}"


def _explained(policy: str, against: str, rows: Sequence[Row]) -> tuple[str, str]:
    """What is said of a difference that length, or one of several trainings, takes away."""
    by = ", ".join(row["signal"] for row in rows)
    side = "better" if _sign(rows[0]) > 0 else "worse"
    if any(not holds_at_equal_length(row) for row in rows):
        return (
            f"{by} calls {policy} {side} than {against}, and at equal length no difference is shown",
            " Its lengths may explain all of it; nothing is claimed.",
        )
    return f"{by} calls {policy} {side} than {against}, and not after every training of it", " Nothing is claimed."


def _unqualified(policy: str, against: str, rows: Sequence[Row]) -> str:
    gains = _sign(rows[0]) > 0
    why = "; ".join(f"{row['signal']}: {row.get('unqualified_because') or 'not qualified'}" for row in rows)
    return (
        f"{policy} {'gains over' if gains else 'loses to'} {against} only by signals that are not qualified ({why}), "
        f"which is not shown to be {'better' if gains else 'worse'} writing"
    )


def _nothing(policy: str, against: str, unqualified: Sequence[Row]) -> str:
    if unqualified:
        why = "; ".join(f"{row['signal']}: {row.get('unqualified_because') or 'not qualified'}" for row in unqualified)
        text = f"{policy} against {against}: no signal is qualified ({why}), so nothing is claimed"
        return f"{text}: {_details(unqualified)}."
    why = "every signal was the policy's own reward or gave no score, so nothing is claimed"
    return f"{policy} against {against}: {why}."


def _details(rows: Sequence[Row]) -> str:
    return "; ".join(_detail(row) for row in rows)


def _settling(rows: Sequence[Row]) -> str:
    """How many more queries would decide it, by the signal that needs fewest."""
    if not any("more_queries" in row for row in rows):
        return ""
    known = [row["more_queries"] for row in rows if row["more_queries"] is not None]
    if not known:
        return " Even ten times as many queries may not settle it." if rows else ""
    return f" About {min(known):,} more queries would settle it, four times in five."


def _sign(row: Row) -> int:
    return 1 if row["difference_ci"][0] > 0 else -1


def _excludes_zero(row: Row) -> bool:
    low, high = row["difference_ci"]
    return not low <= 0 <= high


def holds_at_equal_length(row: Row) -> bool:
    """Whether the same side is ahead when length is held equal, by an interval without zero and by Holm; where the
    lengths are too far apart for a regression to tell, on the texts of like length too. A row of an earlier version
    does not say, and holds."""
    if row.get("difference_lc_ci") is None:
        return not row.get("lengths_apart")
    if (p := row.get("difference_lc_p_holm")) is not None and p > LEVEL:
        return False
    ends = ("lc", "matched") if row.get("lengths_apart") else ("lc",)
    every = [row[f"difference_{end}_ci"] for end in ends]
    return all(bounds is not None and (bounds[0] > 0 if _sign(row) > 0 else bounds[1] < 0) for bounds in every)


def _of_every_seed(row: Row) -> bool:
    """Whether each of several trainings is on the same side."""
    return all(one * _sign(row) > 0 for one in row.get("seeds") or ())


def _detail(row: Row) -> str:
    (low, high), p = row["difference_ci"], row.get("difference_p_holm")
    said = f"{row['signal']} {points(row['difference'])} points ({points(low)} to {points(high)}, n = {row['n']}"
    if row.get("win_rate") is not None:
        said = f"{row['signal']} wins {row['win_rate']:.0%} ({_bounds(row['win_rate_ci'])}, n = {row['n']}"
    queries = row.get("difference_clusters", FEW)
    if queries < FEW <= row["n"]:
        said += f" of only {queries} {'query' if queries == 1 else 'queries'}"
    if _excludes_zero(row) and (row["difference_p"] if p is None else p) > LEVEL:
        said += f"; sign test p = {p or row['difference_p']:.2f}" + (
            " by Holm" if p and p > row["difference_p"] else ""
        )
    if row.get("difference_lc") is not None:
        said += f"; at equal length {points(row['difference_lc'])}"
    if seeds := row.get("seeds"):
        said += f"; by seed {', '.join(map(points, seeds))}"
    return f"{said})"


def _bounds(bounds: Sequence[float]) -> str:
    return f"{100 * bounds[0]:.0f} to {100 * bounds[1]:.0f}"


def _length_warning(row: Row) -> str:
    by_length = row["difference_by_length"]
    if by_length is None or by_length < 0.5 * row["difference"]:
        return ""
    gain = f"{points(row['difference'])} points by {row['signal']}"
    return f" Careful: length alone predicts {points(by_length)} of the {gain}."


def listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
