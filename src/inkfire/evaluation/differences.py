"""Policies against their baselines: paired differences, raw and at equal length, and what would settle them.

A query is one piece of evidence, however many texts it has: what is compared is the mean of a policy's texts of a query
with the mean of the baseline's. A policy that was trained with several seeds is the mean over them, and what each of
them gains stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from inkfire.evaluation.claims import independent, with_holm
from inkfire.evaluation.length_control import controlled_rates, controlled_win_rate, matched_difference
from inkfire.evaluation.settle import more_queries
from inkfire.evaluation.sight import COUNTED, LENGTH, UNKNOWN, Sight
from inkfire.evaluation.signals import Duel, Opinion
from inkfire.evaluation.texts import Text, Texts
from inkfire.records import Preference
from inkfire.rewards.writing import finished, loops
from inkfire.stats import intervals, twins
from inkfire.stats.intervals import Floats

Opinions = dict[str, dict[str, list[Opinion]]]
"""policy → signal → one opinion a text."""

_WON = {"a": 1.0, "tie": 0.5, "b": 0.0}
_LIKE_TEXTS, _LIKE_PAIRS = 0.5, 0.25
"""Fewer texts, or pairs of a duel, of like length than this share: the regression says what it has not seen."""


@dataclass(frozen=True)
class Controlled:
    """The rates of all policies by one signal at equal length: ``whole`` (policies,), ``resampled`` (samples,
    policies), in the order of ``policies``."""

    policies: Sequence[str]
    whole: Floats
    resampled: Floats

    @classmethod
    def of(cls, signal: str, opinions: Opinions, texts: Texts, seed: int) -> Controlled | None:
        """None where the signal labels too little, or all alike."""
        rows = [
            (opinion.label, number, len(row.text), row.query)
            for number, (name, given) in enumerate(opinions.items())
            for row, opinion in zip(texts.of(name), given[signal], strict=True)
            if opinion.label is not None
        ]
        if len({label for label, *_ in rows}) < 2:
            return None
        labels, policies, lengths, queries = (list[Any](column) for column in zip(*rows, strict=True))
        index = intervals.cluster_index(queries, len(rows))
        n = len(opinions), int(index.max()) + 1
        return cls(list(opinions), *controlled_rates(labels, policies, lengths, index, n, seed))

    def rate(self, policy: str, name: str, n: int) -> dict[str, Any]:
        at = self.policies.index(policy)
        estimate = float(self.whole[at])
        return intervals.between_0_and_1(estimate, self.resampled[:, at], n, n, max(1, n)).named(name)

    def difference(self, policy: str, against: str, queries: int) -> dict[str, Any]:
        a, b = self.policies.index(policy), self.policies.index(against)
        resampled = self.resampled[:, a] - self.resampled[:, b]
        found = intervals.percentiles(float(self.whole[a] - self.whole[b]), resampled, queries, queries)
        return found.named("difference_lc") | {"difference_lc_p": _p(found.estimate, found.low, found.high)}


def _p(estimate: float, low: float, high: float) -> float:
    """Two-sided p of no difference, by the normal distribution whose 95 % are as wide as an interval."""
    from scipy.special import ndtr

    error = (high - low) / (2 * 1.96)
    return float(2 * ndtr(-abs(estimate) / error)) if error > 0 else float(estimate == 0)


@dataclass(frozen=True)
class Field:
    """What differences are worked out of; ``own``: policy → signals that it was trained against."""

    texts: Texts
    opinions: Opinions
    own: Mapping[str, Sequence[str]]
    sights: Mapping[str, Sight]
    controlled: Mapping[str, Controlled | None]
    seed: int

    def sight(self, signal: str) -> Sight:
        return LENGTH if signal == "length" else self.sights.get(signal, UNKNOWN)

    def pairs(self, baselines: Sequence[str]) -> list[tuple[str, str]]:
        """(policy, against), the baselines in their order and none of them twice."""
        there = [name for name in baselines if name in self.opinions]
        return [
            (policy, against)
            for against in there
            for policy in self.opinions
            if policy != against and not (policy in there and there.index(policy) < there.index(against))
        ]


def differences(field: Field, duels: Sequence[Duel], baselines: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each policy, baseline and signal; see ``compare``."""
    rows, by_query = [], []
    for policy, against in field.pairs(baselines):
        worse = _counted_more(field, policy, against)
        for signal in field.opinions[policy]:
            row, each = _row(field, policy, against, signal)
            rows.append(_described(row, field, each, worse))
            by_query.append(each)
        for duel in duels:
            row, each = _duel(field, policy, against, duel)
            rows.append(_described(row, field, each, worse))
            by_query.append(each)
    told = with_holm(rows)
    several = sum(independent(row) for row in told)
    for row, each in zip(told, by_query, strict=True):
        row["more_queries"] = None
        if independent(row) and not (row["difference_p_holm"] <= 0.05 and _excludes_zero(row)):
            row["more_queries"] = more_queries([a - b for a, b in each], comparisons=several, seed=field.seed)
    return told


def _excludes_zero(row: Mapping[str, Any]) -> bool:
    low, high = row["difference_ci"]
    return not low <= 0 <= high


def _described(
    row: dict[str, Any], field: Field, each: Sequence[tuple[float, float]], worse: Sequence[str]
) -> dict[str, Any]:
    """The row with its raw difference, and whether a claim may rest on its signal here."""
    signal, sight = row["signal"], field.sight(row["signal"])
    spoilt = [kind for kind in worse if kind in sight.blind]
    row["own_reward"] = signal in field.own[row["policy"]] or signal in field.own[row["against"]]
    row["qualified"] = sight.qualified and not spoilt
    row["unqualified_because"] = (
        None
        if row["qualified"]
        else sight.why
        if not spoilt
        else f"it does not see {', '.join(spoilt)} texts, and there are more of them"
    )
    if each:
        mine, theirs = [a for a, _ in each], [b for _, b in each]
        clusters = range(len(each))
        interval = intervals.bootstrap_mean_difference(mine, theirs, clusters=clusters, seed=field.seed)
        row |= interval.named("difference") | {"difference_clusters": len(each)}
        row["difference_p"] = intervals.sign_test(mine, theirs, clusters=clusters)
    return row


def _empty(policy: str, against: str, signal: str, n: int) -> dict[str, Any]:
    row: dict[str, Any] = {"policy": policy, "against": against, "signal": signal, "n": n}
    nothing = ("difference", "difference_ci", "difference_p", "difference_by_length", "difference_lc")
    row |= dict.fromkeys((*nothing, "difference_lc_ci", "difference_matched", "difference_matched_ci"))
    return row | {"n_matched": 0, "difference_lc_p": None}


def _row(field: Field, policy: str, against: str, signal: str) -> tuple[dict[str, Any], list[tuple[float, float]]]:
    """A signal's labels: the share that it calls excellent."""
    labelled = {name: _labelled(field, name, signal) for name in (policy, against)}
    means = {name: _by_query(rows) for name, rows in labelled.items()}
    both = [query for query in means[policy] if query in means[against]]
    each = [(means[policy][query], means[against][query]) for query in both]
    row = _empty(policy, against, signal, len(both))
    if both and signal != "length":
        if (controlled := field.controlled.get(signal)) is not None:
            row |= controlled.difference(policy, against, len(both))
            row["difference_by_length"] = fmean(a - b for a, b in each) - row["difference_lc"]
        else:  # every label is the same
            row |= {"difference_lc": 0.0, "difference_lc_ci": [0.0, 0.0], "difference_by_length": 0.0}
        matched = matched_difference(
            _sized(labelled[policy]), _sized(labelled[against]), len(field.texts.queries), field.seed
        )
        row |= matched.named("difference_matched") | {"n_matched": matched.n}
        texts = min(len(labelled[policy]), len(labelled[against]))
        row["lengths_apart"] = matched.n < _LIKE_TEXTS * texts
    seeds = [_by_query([one for one in labelled[policy] if one[0].seed == seed]) for seed in _seeds(field, policy)]
    if len(seeds) > 1:
        row["seeds"] = [
            fmean(shared)
            for means_of in seeds
            if (shared := [mean - means[against][query] for query, mean in means_of.items() if query in means[against]])
        ]
    return row, each


def _seeds(field: Field, policy: str) -> range:
    return range(len(field.texts.written[policy]))


def _labelled(field: Field, policy: str, signal: str) -> list[tuple[Text, int]]:
    given = zip(field.texts.of(policy), field.opinions[policy][signal], strict=True)
    return [(row, opinion.label) for row, opinion in given if opinion.label is not None]


def _by_query(rows: Sequence[tuple[Text, float]]) -> dict[int, float]:
    """Query → the mean over its texts."""
    found: dict[int, list[float]] = {}
    for row, value in rows:
        found.setdefault(row.query, []).append(value)
    return {query: fmean(values) for query, values in found.items()}


def _sized(rows: Sequence[tuple[Text, int]]) -> tuple[list[int], list[int], Any]:
    """Labels, lengths and queries."""
    queries = np.array([row.query for row, _ in rows], int)
    return [label for _, label in rows], [len(row.text) for row, _ in rows], queries


# ---- wins ----------------------------------------------------------------------------------------------------------


def _duel(field: Field, policy: str, against: str, duel: Duel) -> tuple[dict[str, Any], list[tuple[float, float]]]:
    """A judge of pairs: ``win_rate`` (a tie is a half), whose difference is that from one half."""
    theirs: dict[int, list[str]] = {}
    for row in field.texts.of(against):
        theirs.setdefault(row.query, []).append(row.text)
    met: dict[int, int] = {}
    pairs, rows = [], []
    for row in field.texts.of(policy):
        if row.query in theirs:
            turn = met[row.query] = met.get(row.query, -1) + 1
            other = theirs[row.query][turn % len(theirs[row.query])]
            pairs.append(Preference(field.texts.asked[row.query], row.text, other))
            rows.append(row)
    said = duel.compare(pairs) if pairs else []
    given = [
        (row, pair, one, _WON[one.winner])
        for row, pair, one in zip(rows, pairs, said, strict=True)
        if one.winner is not None
    ]
    wins = [(row, won) for row, _, _, won in given]
    means = _by_query(wins)
    out = _empty(policy, against, duel.name, len(means)) | {"compared": len(pairs), "unscored": len(pairs) - len(given)}
    queries = [row.query for row, _ in wins]
    out |= twins.rate("win_rate", [won for _, won in wins], queries)
    out |= twins.rate("order_flip_rate", [one.place is not None for _, _, one, _ in given], queries)
    out["ties"] = sum(one.winner == "tie" for _, _, one, _ in given)
    alike = [(row, won) for row, pair, _, won in given if twins.like_length(pair)]
    out |= twins.rate("win_rate_matched", [won for _, won in alike], [row.query for row, _ in alike])
    out["n_matched"] = len(alike)
    lengths = [(len(pair.chosen), len(pair.rejected)) for _, pair, _, _ in given]
    index = intervals.cluster_index(queries, len(queries)) if queries else np.zeros(0, int)
    out |= controlled_win_rate([won for _, won in wins], lengths, index, field.seed).named("win_rate_lc")
    out["lengths_apart"] = len(alike) < _LIKE_PAIRS * len(given)
    for end in ("lc", "matched"):
        if (rate := out[f"win_rate_{end}"]) is not None:
            out[f"difference_{end}"] = rate - 0.5
            out[f"difference_{end}_ci"] = [bound - 0.5 for bound in out[f"win_rate_{end}_ci"]]
    if out["difference_lc"] is not None:
        out["difference_lc_p"] = _p(out["difference_lc"], *out["difference_lc_ci"])
        out["difference_by_length"] = fmean(means.values()) - 0.5 - out["difference_lc"]
    by_seed = [_by_query([one for one in wins if one[0].seed == seed]) for seed in _seeds(field, policy)]
    if len(by_seed) > 1:
        out["seeds"] = [fmean(one.values()) - 0.5 for one in by_seed if one]
    return out, [(mean, 0.5) for mean in means.values()]


# ---- what code counts ----------------------------------------------------------------------------------------------


def damage_shares(texts: Texts, policy: str) -> dict[str, list[tuple[Text, float]]]:
    """Of each text, whether code counts it as looped, or as cut."""
    rows = texts.of(policy)
    return {
        "looped": [(row, float(loops(row.text))) for row in rows],
        "cut": [(row, float(not finished(row.text))) for row in rows],
    }


def _counted_more(field: Field, policy: str, against: str) -> list[str]:
    """The kinds of damage of which a policy's texts are shown to have more than the baseline's."""
    mine, theirs = (damage_shares(field.texts, name) for name in (policy, against))
    found = []
    for kind in COUNTED:
        ours, other = _by_query(mine[kind]), _by_query(theirs[kind])
        both = [(ours[query], other[query]) for query in ours if query in other]
        if both:
            a, b = [one for one, _ in both], [one for _, one in both]
            interval = intervals.bootstrap_mean_difference(a, b, range(len(both)), field.seed)
            if interval.low > 0 and intervals.sign_test(a, b, range(len(both))) <= 0.05:
                found.append(kind)
    return found
