"""What is wrong with a comparison, whatever its signals say: found by rules fixed beforehand, and said in words.

    copies    a policy's texts are more often copied from the training texts than the baseline's
    collapse  its texts say the same to different queries: less variety at equal length, or more templates
    phrases   a phrase spreads across queries (as the alarms of a training say it)
    query     a signal tells queries apart, not texts
    length    a signal tells long texts from short ones, and little else
    own       a signal was part of what a policy was trained against
    leak      queries that a policy or its rewards were trained on

Each of the first three needs an effect that a reader would notice and chance at a level that is shared among the
policies. benchmarks/bench_evidence.py plants each of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from inkfire.evaluation.texts import Texts
from inkfire.evaluation.variety import COPIED_AT, copied_shares
from inkfire.rewards.phrases import inside, joined, phrases_of
from inkfire.stats.intervals import bootstrap_mean_difference, sign_test
from inkfire.stats.texts import units

QUERY_ALONE, LENGTH_ALONE = 0.8, 0.85
"""From which share of a signal's variance, and from which AUC of length, on it is said; the interval's end counts."""
_COPIED = 0.05
_LESS_VARIED, _MORE_TEMPLATES = 0.75, 0.2
_GROWN, _BY_CHANCE = 0.2, 1e-6


class Fault(NamedTuple):
    """``policy`` and ``signal`` are those that it is about, if any."""

    kind: str
    text: str
    policy: str | None = None
    signal: str | None = None


def faults(
    texts: Texts, result: Mapping[str, Any], baselines: Sequence[str], seed: int = 0
) -> list[dict[str, str | None]]:
    """The faults of a comparison, as rows of ``kind``, ``text``, ``policy`` and ``signal``.

    Args:
        result: ``policies`` with what ``variety.describe`` says, and ``shortcut``.
        baselines: each other policy is held against the first of these that is there.
    """
    found = [*_of_signals(result)]
    against = next((name for name in baselines if name in texts.written), None)
    others = [name for name in texts.written if name != against]
    for name in others if against is not None else ():
        assert against is not None
        every = (
            _copies(texts, name, against, 0.05 / len(others), seed),
            _collapse(result["policies"], name, against),
            _phrase(texts, name, against),
        )
        found += [fault for fault in every if fault is not None]
    return [fault._asdict() for fault in found]


# ---- of signals ----------------------------------------------------------------------------------------------------


def _of_signals(result: Mapping[str, Any]) -> list[Fault]:
    found = []
    for signal, row in result["shortcut"].items():
        if signal in ("length", "people"):
            continue
        share = row.get("query_share_ci")
        if share is not None and share[0] >= QUERY_ALONE:
            said = (
                f"{signal} tells queries apart, not texts: {row['query_share']:.0%} of what differs between its scores"
            )
            found.append(Fault("query", f"{said} is the query's. It says nothing of who writes better.", None, signal))
        bounds = row.get("length_auc_ci")
        if bounds is not None and (bounds[0] >= LENGTH_ALONE or bounds[1] <= 1 - LENGTH_ALONE):
            side = "long" if row["length_auc"] > 0.5 else "short"
            said = f"{signal} mostly likes {side} texts: length alone tells those that it likes with an AUC of"
            found.append(Fault("length", f"{said} {max(row['length_auc'], 1 - row['length_auc']):.2f}.", None, signal))
    for signal in result["qualified"]:
        if names := [name for name, policy in result["policies"].items() if signal in policy["own_reward"]]:
            who = ", ".join(names)
            said = f"{signal} is, or is part of, what {who} {'was' if len(names) == 1 else 'were'} trained against"
            found.append(Fault("own", f"{said}: no claim about {who} rests on it.", None, signal))
    return found


# ---- of policies ---------------------------------------------------------------------------------------------------


def _copies(texts: Texts, name: str, against: str, level: float, seed: int) -> Fault | None:
    """More copied texts than the baseline has, by a twentieth at least."""
    if not texts.corpus:
        return None
    means = [_by_query(texts, policy) for policy in (name, against)]
    both = [(means[0][query], means[1][query]) for query in means[0] if query in means[1]]
    if len(both) < 2:
        return None
    mine, theirs = [one for one, _ in both], [one for _, one in both]
    gain = bootstrap_mean_difference(mine, theirs, range(len(both)), seed)
    if gain.low <= _COPIED or sign_test(mine, theirs, range(len(both))) > level:
        return None
    share, before = sum(mine) / len(mine), sum(theirs) / len(theirs)
    said = (
        f"{name} copies: a training text covers half or more of {share:.0%} of its texts ({before:.0%} of {against}'s)"
    )
    return Fault("copies", f"{said}.", name)


def _by_query(texts: Texts, policy: str) -> dict[int, float]:
    """The share of copied texts of each query."""
    found: dict[int, list[float]] = defaultdict(list)
    for row, share in zip(texts.of(policy), copied_shares(texts, policy), strict=True):
        found[row.query].append(float(share >= COPIED_AT))
    return {query: sum(hits) / len(hits) for query, hits in found.items()}


def _collapse(policies: Mapping[str, Any], name: str, against: str) -> Fault | None:
    """Intervals apart, and a quarter less variety or a fifth more templates; no text long enough is one too."""
    mine, theirs = policies[name]["variety"], policies[against]["variety"]
    if theirs is None:
        return None
    if mine is None:
        short = policies[name]["mean_length"] < policies[against]["mean_length"] / 4
        said = f"{name} hardly writes: {policies[name]['mean_length']:.0f} characters a text"
        return (
            Fault("collapse", f"{said} ({policies[against]['mean_length']:.0f} of {against}).", name) if short else None
        )
    parts = []
    low, high = theirs["distinct_2_ci"][0], mine["distinct_2_ci"][1]
    if mine["distinct_2"] < _LESS_VARIED * theirs["distinct_2"] and high < low:
        parts.append(f"distinct-2 is {mine['distinct_2']:.2f} ({theirs['distinct_2']:.2f} of {against})")
    more = mine["templates"] - theirs["templates"]
    if more >= _MORE_TEMPLATES and mine["templates_ci"][0] > theirs["templates_ci"][1]:
        shown = f", such as {mine['template_phrases'][0][0]!r}" if mine["template_phrases"] else ""
        parts.append(f"{mine['templates']:.0%} of its texts have a template ({theirs['templates']:.0%}){shown}")
    if not parts:
        return None
    return Fault("collapse", f"{name} says the same to different queries: at equal length {' and '.join(parts)}.", name)


def _phrase(texts: Texts, name: str, against: str) -> Fault | None:
    """The phrase that spread most, where a fifth more queries have it than with the baseline."""
    from scipy.stats import hypergeom

    longest = min(_median_units(texts, policy) for policy in (name, against))  # a longer text has more phrases
    (mine, n), (theirs, m) = (_holders(texts, policy, longest) for policy in (name, against))
    if not n or not m:
        return None
    grown = {}
    for phrase, count in mine.items():
        other = theirs.get(phrase, 0)
        growth = count / n - other / m
        if growth >= _GROWN and float(hypergeom.sf(count - 1, n + m, count + other, n)) < _BY_CHANCE:
            grown[phrase] = growth
    if not grown:
        return None
    top = min(grown, key=lambda phrase: (-round(grown[phrase], 2), -len(phrase), phrase))
    top = max((one for one in grown if inside(top, one) and grown[one] > 0.9 * grown[top]), key=len, default=top)
    share, before = mine[top] / n, theirs.get(top, 0) / m
    said = f"{name} has a favourite phrase: {joined(top)!r} stands in the texts of {share:.0%} of the queries"
    return Fault("phrases", f"{said} ({before:.0%} with {against}).", name)


def _median_units(texts: Texts, policy: str) -> int:
    sizes = sorted(len(units(row.text)) for row in texts.of(policy))
    return sizes[len(sizes) // 2] if sizes else 0


def _holders(texts: Texts, policy: str, longest: int) -> tuple[dict[tuple[str, ...], int], int]:
    """Phrase → the queries whose first text has it within so many units, and whose words do not; and how many queries
    there are."""
    found: dict[tuple[str, ...], int] = defaultdict(int)
    seen = set[int]()
    for row in texts.of(policy):
        if row.query not in seen:
            seen.add(row.query)
            begins = joined(tuple(units(row.text)[:longest]))
            for phrase in phrases_of(begins) - phrases_of(texts.asked[row.query]):
                found[phrase] += 1
    return found, len(seen)
