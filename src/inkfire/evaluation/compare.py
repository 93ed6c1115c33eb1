"""Compare policies on the same held-out queries, and say how sure the comparison is.

Every policy answers every query, once or several times, so that differences are paired by query; a text that did not
come is left out of its policy's numbers, and a query without one of its differences. Rates carry Wilson intervals over
queries, differences a paired bootstrap and an exact sign test over queries, adjusted by Holm over all signals and
policies. Beside each number stands what is left of it at equal length (``length_control.py``), always.

    texts = Texts.single(queries, {"base": [...], "sft": [...]})
    result = compare(task, texts, signals, rewards={"rm-rl": ["rm"]}, sights={"rm": sight_of(card)})
    result["policies"]["sft"]["excellent_rate"]["judge"]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from inkfire.evaluation.differences import Controlled, Field, Opinions, damage_shares, differences
from inkfire.evaluation.faults import faults
from inkfire.evaluation.sight import PEOPLE, Sight
from inkfire.evaluation.signals import Duel, Opinion, Signal
from inkfire.evaluation.texts import Text, Texts
from inkfire.evaluation.variety import describe
from inkfire.stats import intervals, twins
from inkfire.stats.agreement import binary_metrics
from inkfire.tasks.task import Task


def compare(
    task: Task,
    texts: Texts,
    signals: Sequence[Signal],
    *,
    duels: Sequence[Duel] = (),
    rewards: Mapping[str, Sequence[str]] | None = None,
    sights: Mapping[str, Sight] | None = None,
    baselines: Sequence[str] = ("base", "sft"),
    seed: int = 0,
) -> dict[str, Any]:
    """Score every policy's texts by every signal.

    Args:
        duels: signals that compare a policy's texts with a baseline's.
        rewards: policy → the signals that were its own reward (marked, and not used for claims).
        sights: signal → which damage it sees; a claim rests on none that is not qualified. People are.
        baselines: policies that the others are compared with, where present.

    Returns:
        ``policies`` (name → rates, raw and at equal length, slices, what its texts are like; of ``n`` texts, with
        ``missing`` queries), ``differences`` (paired, with intervals), ``qualified`` (signal → what it sees),
        ``shortcut`` (what length explains, and the query), ``faults`` (``faults.py``), ``samples`` (texts side by side)
        and ``n`` (queries). Where people are a signal, ``agreement`` of each other one with them.
    """
    opinions: Opinions = {
        name: {signal.name: _asked(signal, texts, name) for signal in signals} for name in texts.written
    }
    own = {name: list((rewards or {}).get(name, ())) for name in texts.written}
    known = {"people": PEOPLE, **(sights or {})}
    controlled = {
        signal.name: None if signal.name == "length" else Controlled.of(signal.name, opinions, texts, seed)
        for signal in signals
    }
    field = Field(texts, opinions, own, known, controlled, seed)
    slices, described = _slices(task, texts), describe(texts, seed)
    policies = {}
    for name in texts.written:
        rows = texts.of(name)
        policies[name] = {
            **_rates(opinions[name], rows, range(len(rows))),
            **_at_equal_length(field, name),
            "missing": texts.missing(name),
            "seeds": len(texts.written[name]),
            "own_reward": own[name],
            "dimensions": _dimensions(opinions[name], rows, seed),
            "damage": _damage(texts, name),
            **described[name],
            "slices": {
                group: _rates(opinions[name], rows, [i for i, row in enumerate(rows) if row.query in inside])
                for group, inside in slices.items()
            },
        }
    names = [signal.name for signal in signals]
    result = {
        "n": len(texts.queries),
        "signals": names,
        "duels": [duel.name for duel in duels],
        "policies": policies,
        "differences": differences(field, duels, baselines),
        "qualified": {name: field.sight(name).to_json() for name in (*names, *(duel.name for duel in duels))},
        "shortcut": _shortcut(opinions, texts, seed),
        "samples": _samples(texts, opinions),
    }
    result["faults"] = faults(texts, result, baselines, seed)
    return result | ({"agreement": _agreement(opinions, texts, seed)} if "people" in names else {})


def _asked(signal: Signal, texts: Texts, policy: str) -> list[Opinion]:
    rows = texts.of(policy)
    return signal.label([texts.asked[row.query] for row in rows], [row.text for row in rows]) if rows else []


def _slices(task: Task, texts: Texts) -> dict[str, set[int]]:
    groups: dict[str, set[int]] = {}
    for i, query in enumerate(texts.queries):
        groups.setdefault(task.slice_of(query), set()).add(i)
    return groups


def _rates(opinions: Mapping[str, Sequence[Opinion]], rows: Sequence[Text], kept: Sequence[int]) -> dict[str, Any]:
    names = ("excellent_rate", "excellent_rate_ci", "mean_score", "scored", "unscored")
    out: dict[str, Any] = {"n": len(kept)} | {name: {} for name in names}
    for signal, given in opinions.items():
        labelled = [(label, rows[i].query) for i in kept if (label := given[i].label) is not None]
        excellent = twins.rate("rate", [label for label, _ in labelled], [query for _, query in labelled])
        scores = [score for i in kept if (score := given[i].score) is not None]
        out["excellent_rate"][signal] = excellent["rate"]
        out["excellent_rate_ci"][signal] = excellent["rate_ci"]
        out["mean_score"][signal] = fmean(scores) if scores else None
        out["scored"][signal] = len(labelled)
        out["unscored"][signal] = len(kept) - len(labelled)
    return out


def _at_equal_length(field: Field, policy: str) -> dict[str, Any]:
    """The rates at the lengths of all policies' texts; None where no label differs."""
    out: dict[str, Any] = {"excellent_rate_lc": {}, "excellent_rate_lc_ci": {}}
    for signal, controlled in field.controlled.items():
        found: dict[str, Any] = {"rate": None, "rate_ci": None}
        if controlled is not None and any(one.label is not None for one in field.opinions[policy][signal]):
            found = controlled.rate(policy, "rate", len({row.query for row in field.texts.of(policy)}))
        out["excellent_rate_lc"][signal], out["excellent_rate_lc_ci"][signal] = found["rate"], found["rate_ci"]
    return out


def _dimensions(opinions: Mapping[str, Sequence[Opinion]], rows: Sequence[Text], seed: int) -> dict[str, Any]:
    """Signal → dimension of the rubric → the mean of its points, with its interval."""
    out: dict[str, Any] = {}
    for signal, given in opinions.items():
        rated = [(one.points, row.query) for one, row in zip(given, rows, strict=True) if one.points]
        for dimension in rated[0][0] if rated else ():
            points = [float(of[dimension]) for of, _ in rated]
            clusters = [query for _, query in rated]
            found = intervals.bootstrap_mean_difference(points, [0.0] * len(points), clusters, seed)
            out.setdefault(signal, {})[dimension] = found.named("mean") | {"n": len(points)}
    return out


def _damage(texts: Texts, policy: str) -> dict[str, Any]:
    """The shares of texts that code counts as looped, and as cut."""
    out: dict[str, Any] = {}
    for kind, rows in damage_shares(texts, policy).items():
        out |= twins.rate(kind, [share for _, share in rows], [row.query for row, _ in rows])
    return out


def _shortcut(opinions: Opinions, texts: Texts, seed: int) -> dict[str, dict[str, Any]]:
    """How well length alone tells the texts that a signal likes from the others (AUC 0.5: not at all), and how much of
    what differs between its scores is the query's (``query_share``: 1 is a judge that knows nothing else)."""
    out: dict[str, dict[str, Any]] = {}
    for signal in next(iter(opinions.values()), {}):
        rows = [
            (opinion.label, float(len(row.text)), row.query, row.text, opinion.score)
            for name in opinions
            for row, opinion in zip(texts.of(name), opinions[name][signal], strict=True)
            if opinion.label is not None
        ]
        out[signal] = {"n": len(rows), "length_auc": None, "length_auc_ci": None}
        if len({label for label, *_ in rows}) == 2:
            labels, scores, clusters, _, _ = (list[Any](column) for column in zip(*rows, strict=True))
            out[signal] |= intervals.bootstrap_auc(labels, scores, clusters, seed=seed).named("length_auc")
        different = {(query, text): float(label if score is None else score) for label, _, query, text, score in rows}
        share = intervals.cluster_share(list(different.values()), [query for query, _ in different], seed)
        out[signal] |= share.named("query_share")
    return out


def _agreement(opinions: Opinions, texts: Texts, seed: int) -> dict[str, dict[str, Any]]:
    """Of all policies' texts that a signal and people both labelled: how often they say the same, and kappa."""
    out = {}
    for signal in next(iter(opinions.values())):
        both = [
            (theirs.label, ours.label, row.query)
            for name, given in opinions.items()
            for theirs, ours, row in zip(given["people"], given[signal], texts.of(name), strict=True)
            if theirs.label is not None and ours.label is not None
        ]
        found = binary_metrics([row[0] for row in both], [row[1] for row in both], [row[2] for row in both], seed)
        kept = ("n", "accuracy", "accuracy_ci", "kappa", "kappa_ci")
        out[signal] = {name.replace("accuracy", "agreement"): found[name] for name in kept}
    del out["people"]
    return out


def _samples(texts: Texts, opinions: Opinions) -> list[dict[str, Any]]:
    """The first text of each policy to each query."""
    first: dict[str, dict[int, int]] = {}
    for name in opinions:
        for place, row in enumerate(texts.of(name)):
            first.setdefault(name, {}).setdefault(row.query, place)
    return [
        {
            "query": query.query,
            "responses": {
                name: {
                    "response": None if (at := first.get(name, {}).get(i)) is None else texts.of(name)[at].text,
                    "labels": {signal: None if at is None else given[at].label for signal, given in of.items()},
                    "scores": {signal: None if at is None else given[at].score for signal, given in of.items()},
                }
                for name, of in opinions.items()
            },
        }
        for i, query in enumerate(texts.queries)
    ]
