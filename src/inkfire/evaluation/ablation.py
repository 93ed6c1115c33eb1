"""What a part is worth: arms that have it and arms that have not, on the same texts.

An arm judges labelled texts, or makes pairs of texts, or both; the reward model that learns from its pairs is asked
about pairs of labelled texts that no arm saw. Everything is paired with the arm that it is held against, and clustered
by query. Beside a difference stands ``could_show``, the smallest that so many queries would have shown in four samples
of five: ``1.96 + 0.84`` standard errors, the first of which are half of the interval. What is smaller may be there.

A reward model of a few pairs is another one with a few other pairs, however many it is asked about. So it is fitted
again without each tenth of the queries that its pairs are of (``group_of``), and what it then has right gives its error
by delete-a-group jackknife (Kott 2001), which is added to that of the held-out queries, on t with nine degrees of
freedom.

    whole, lacking = Seen(verdicts=…, paired=…, held_out=…, models=…), Seen(…)
    described(lacking, seed=0)["accuracy"], against(lacking, whole, seed=0)["accuracy_difference_ci"]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inkfire.evaluation.settle import more_queries
from inkfire.judge.measure import CLASSIFIER, measure
from inkfire.records import Labelled, Preference, Query, Verdict
from inkfire.stats.agreement import binary_metrics
from inkfire.stats.intervals import Interval, bootstrap_mean_difference, cluster_index, holm, sign_test
from inkfire.stats.twins import length_cv_hits, like_length, ngram_cv_scores, pair_slices, rate

Right = float | None
"""1 where a reward has a pair right, 0 where it has not, None where it gave no score."""
Key = tuple[str, ...]
"""Of a text or a pair; its query comes first."""

GROUPS = 10

_MEASURED = ("n", "scored", "unscored", "says_good", *CLASSIFIER, "balanced_accuracy", "auc")
_SLICES: Mapping[str, Callable[[Preference], bool]] = {
    "rm_accuracy": lambda pair: True,
    "rm_accuracy_length_matched": like_length,
    "rm_accuracy_chosen_shorter": lambda pair: len(pair.chosen) < len(pair.rejected),
}
DIFFERENCES = ("accuracy", "pair_share", *_SLICES)
"""The numbers of an arm that are held against another's, as ``NAME_difference``."""

_Z = 1.959963984540054
_POWER = (_Z + 0.8416212335729143) / _Z


def group_of(query: str) -> int:
    """Which tenth of all queries one is in."""
    return Query.of(query).number % GROUPS


@dataclass(frozen=True)
class Seen:
    """What an arm made of the common material; what it did not touch is empty.

    ``verdicts`` of labelled texts. ``paired``: query → whether it made a pair. ``models``: whether the reward model of
    its pairs has each ``held_out`` pair right; the first is of all of its pairs, the k-th after it of those that are
    not of the k-th group of queries.
    """

    verdicts: Sequence[tuple[Labelled, Verdict]] = ()
    paired: Mapping[str, bool] = field(default_factory=dict)
    held_out: Sequence[Preference] = ()
    models: Sequence[Sequence[Right]] = ()

    def values(self) -> dict[str, dict[Key, float]]:
        """Of each of :data:`DIFFERENCES`, text (query, pair) → 1 where it is right (made a pair), else 0. What has no
        verdict or score is not in it."""
        return {
            "accuracy": {
                (row.query, row.response): float(row.label == verdict.label)
                for row, verdict in self.verdicts
                if verdict.scored
            },
            "pair_share": {(query,): float(made) for query, made in self.paired.items()},
            **(self.right(0) if self.models else {name: {} for name in _SLICES}),
        }

    def right(self, model: int) -> dict[str, dict[Key, float]]:
        """What one of its reward models has right, by slice."""
        scored = [(pair, hit) for pair, hit in zip(self.held_out, self.models[model], strict=True) if hit is not None]
        return {
            name: {(pair.query, pair.chosen, pair.rejected): hit for pair, hit in scored if of(pair)}
            for name, of in _SLICES.items()
        }


def described(seen: Seen, seed: int = 0) -> dict[str, Any]:
    """An arm by itself: ``n`` texts judged, ``scored``, ``unscored``, accuracy, precision, recall, F1, balanced
    accuracy and AUC; ``queries`` curated and ``pair_share``; ``rm_n`` held-out pairs, and the reward model's accuracy
    on all, the length-matched, and those whose chosen text is the shorter one. Each rate has ``NAME_ci``; what the arm
    did not do is not there."""
    out: dict[str, Any] = {}
    if seen.verdicts:
        rows, verdicts = [row for row, _ in seen.verdicts], [verdict for _, verdict in seen.verdicts]
        found = measure(rows, verdicts, seed=seed)
        out |= {name + end: found[name + end] for name in _MEASURED for end in ("", "_ci") if name + end in found}
    if seen.paired:
        out |= {"queries": len(seen.paired)} | rate("pair_share", list(seen.paired.values()))
    if seen.models:
        scores = [(None, None) if hit is None else (hit, 0.5) for hit in seen.models[0]]
        found = pair_slices(seen.held_out, scores)
        out |= {f"rm_{name}": value for name, value in found.items() if not name.endswith("_clusters")}
        each = [seen.right(model) for model in range(1, len(seen.models))]
        for name in _SLICES:
            if out[name] is not None:
                means = [sum(of[name].values()) / len(of[name]) for of in each]
                low, high = out[f"{name}_ci"]
                reach = _reach(Interval(out[name], low, high, 0), means)
                out[f"{name}_ci"] = [max(0.0, out[name] - reach), min(1.0, out[name] + reach)]
    return out


def against(mine: Seen, other: Seen, seed: int = 0) -> dict[str, Any]:
    """The :data:`DIFFERENCES` of an arm from another, of those that both have: for each NAME ``NAME_difference`` with
    its interval, ``_n`` texts (queries, pairs) that both have of ``_clusters`` queries, ``_changed`` of them that
    differ, ``_p`` (the sign test's; of reward models by t), and ``_could_show`` (None where nothing differs)."""
    out: dict[str, Any] = {}
    theirs = other.values()
    for name, values in mine.values().items():
        both = [key for key in values if key in theirs[name]]
        if both:
            a, b = [values[key] for key in both], [theirs[name][key] for key in both]
            key = f"{name}_difference"
            out |= _difference(key, a, b, [one[0] for one in both], seed)
            if name in _SLICES:
                out |= _of_models(key, out, name, mine, other)
    return out


def _difference(name: str, a: Sequence[float], b: Sequence[float], queries: Sequence[str], seed: int) -> dict[str, Any]:
    found = bootstrap_mean_difference(a, b, queries, seed)
    reach = (found.high - found.low) / 2
    return found.named(name) | {
        f"{name}_n": found.n,
        f"{name}_clusters": found.clusters,
        f"{name}_changed": sum(x != y for x, y in zip(a, b, strict=True)),
        f"{name}_p": sign_test(a, b, queries),
        f"{name}_could_show": reach * _POWER if reach else None,
    }


def _of_models(key: str, found: Mapping[str, Any], name: str, mine: Seen, other: Seen) -> dict[str, Any]:
    """The same with what other pairs to learn from could have made of it."""
    from scipy.stats import t

    each = []
    for model in range(1, len(mine.models)):
        a, b = mine.right(model)[name], other.right(model)[name]
        both = [one for one in a if one in b]
        each.append(sum(a[one] - b[one] for one in both) / len(both))
    estimate, (low, high) = found[key], found[f"{key}_ci"]
    reach = _reach(Interval(estimate, low, high, 0), each)
    if not reach:
        return {}
    p = 2 * float(t.sf(abs(estimate) / reach * float(t.ppf(0.975, GROUPS - 1)), GROUPS - 1))
    bounds = [max(-1.0, estimate - reach), min(1.0, estimate + reach)]
    return {f"{key}_ci": bounds, f"{key}_p": p, f"{key}_could_show": reach * _POWER}


def _reach(found: Interval, each: Sequence[float]) -> float:
    """Half the width of an interval that knows of both chances: the held-out queries (``found``), and the pairs that
    were learnt from (``each``: the estimate without each group of these)."""
    from scipy.stats import t

    mean = sum(each) / len(each)
    training = (len(each) - 1) / len(each) * sum((one - mean) ** 2 for one in each)
    asked = ((found.high - found.low) / 2 / _Z) ** 2
    return float(t.ppf(0.975, len(each) - 1)) * math.sqrt(training + asked)


def settled(rows: Sequence[dict[str, Any]], arms: Mapping[str, Seen], seed: int = 0) -> list[dict[str, Any]]:
    """The rows with p by Holm over all arms for each number (``_p_holm``) and whether a difference is ``_shown``. Where
    verdicts or shares of pairs differ and that is not shown: about how many more queries would show it
    (``_more_queries``; None: far more than there are).

    Args:
        rows: each with ``arm``, ``against`` and what :func:`against` gave.
        arms: by name.
    """
    out = [dict(row) for row in rows]
    for name in DIFFERENCES:
        key = f"{name}_difference"
        there = [row for row in out if key in row]
        for row, p in zip(there, holm([row[f"{key}_p"] for row in there]), strict=True):
            low, high = row[f"{key}_ci"]
            row[f"{key}_p_holm"] = p
            row[f"{key}_shown"] = bool(p <= 0.05 and not low <= 0 <= high)
            if row[f"{key}_changed"] and not row[f"{key}_shown"] and name not in _SLICES:
                each = _by_query(arms[row["arm"]].values()[name], arms[row["against"]].values()[name])
                row[f"{key}_more_queries"] = more_queries(each, comparisons=len(there), seed=seed)
    return out


def _by_query(mine: Mapping[Key, float], theirs: Mapping[Key, float]) -> list[float]:
    """The mean difference of each query."""
    of_query: dict[str, list[float]] = {}
    for key, value in mine.items():
        if key in theirs:
            of_query.setdefault(key[0], []).append(value - theirs[key])
    return [sum(values) / len(values) for values in of_query.values()]


def classifiers(judged: Mapping[str, Seen], seed: int = 0) -> list[dict[str, Any]]:
    """Whole frameworks as classifiers of the texts that all of them gave a verdict, beside what length and n-grams make
    of the same labels (cross-validated by query): ``name``, ``n``, ``queries``, accuracy, precision, recall and F1 with
    their intervals, and ``accuracy_difference`` from the n-grams, paired. Nothing where no text has all verdicts."""
    said = {
        name: {(row.query, row.response): (row, verdict) for row, verdict in seen.verdicts if verdict.scored}
        for name, seen in judged.items()
    }
    common = [key for key in next(iter(said.values()), {}) if all(key in of for of in said.values())]
    if not common:
        return []
    texts = [next(iter(said.values()))[key][0] for key in common]
    answers = {name: [int(of[key][1].label == 1) for key in common] for name, of in said.items()}
    cut, ngrams = length_cv_hits(texts, seed=seed), ngram_cv_scores(texts, seed=seed)
    labels, queries = [row.label for row in texts], [row.query for row in texts]
    if cut is not None:
        answers["length"] = [int(hit == label) for hit, label in zip(cut, labels, strict=True)]
    if ngrams is not None:
        answers["n-grams"] = [int(score > 0) for score in ngrams]
    right = {name: [float(a == b) for a, b in zip(labels, says, strict=True)] for name, says in answers.items()}
    out = []
    for name, says in answers.items():
        found = binary_metrics(labels, says, queries, seed)
        row = {"name": name, "n": len(texts), "queries": int(cluster_index(queries, len(texts)).max()) + 1}
        row |= {key + end: found[key + end] for key in CLASSIFIER for end in ("", "_ci")}
        if "n-grams" in right and name != "n-grams":
            row |= _difference("accuracy_difference", right[name], right["n-grams"], queries, seed)
        out.append(row)
    return out
