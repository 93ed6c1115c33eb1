"""How varied a set of texts is, with intervals: of so many texts, each cut to so many units.

Measures of variety favour short texts and few of them (2505.16245), so sets are compared at one length and one number:
:func:`equal_length` cuts them. Texts of a query count as one in every interval.

>>> distinct([(0, ("one", "two", "three", "four")), (1, ("one", "two", "six", "seven"))], 2).estimate
0.8333333333333334
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from inkfire.stats.intervals import Interval, clustered_rate
from inkfire.stats.texts import units

Unit = tuple[str, ...]
Cut = Sequence[tuple[int, Unit]]
"""Texts: the number of the query, and the units."""

LEAST_TEXTS, MOST_TEXTS, LEAST_UNITS = 8, 300, 4
OPENING = 2
"""Units that are an opening."""
TEMPLATE, TEMPLATE_SHARE = 5, 0.1
"""Units of a phrase, and the share of other queries' texts (three at least) that have it, from which on it is a
template."""
_BLEU = 4


@dataclass(frozen=True)
class EqualLength:
    """The texts of each set, each of ``units`` units and as many of each; a set that is too small is missing."""

    of: Mapping[str, Cut]
    units: int
    texts: int


def equal_length(sets: Mapping[str, Sequence[tuple[int, str]]], seed: int) -> EqualLength:
    """Cut the texts (query, text) of several sets to one length: that which three quarters of each set's texts have.

    One text of a query before a second one. Sets whose texts are mostly of fewer than :data:`LEAST_UNITS` units, or of
    fewer than :data:`LEAST_TEXTS` texts, are left out.
    """
    rows = {name: [(query, tuple(units(text))) for query, text in texts] for name, texts in sets.items()}
    quarter = {
        name: sorted(len(row) for _, row in texts)[len(texts) // 4]
        for name, texts in rows.items()
        if len(texts) >= LEAST_TEXTS
    }
    kept = [name for name, size in quarter.items() if size >= LEAST_UNITS]
    if not kept:
        return EqualLength({}, 0, 0)
    size = min(quarter[name] for name in kept)
    long = {name: [(query, row[:size]) for query, row in rows[name] if len(row) >= size] for name in kept}
    n = min(MOST_TEXTS, *(len(texts) for texts in long.values()))
    return EqualLength({name: _spread(texts, n, seed) for name, texts in long.items()}, size, n)


def _spread(texts: Cut, n: int, seed: int) -> Cut:
    drawn = list(texts)
    random.Random(seed).shuffle(drawn)
    met: Counter[int] = Counter()
    turns = []
    for query, _ in drawn:
        turns.append(met[query])
        met[query] += 1
    return [drawn[i] for i in sorted(range(len(drawn)), key=turns.__getitem__)[:n]]


def distinct(texts: Cut, n: int) -> Interval:
    """distinct-n (Li et al. 2016): different n-grams over all; the interval is a jackknife over queries."""
    grams = _of_queries(texts, lambda row: Counter(_grams(row, n)))
    holders = Counter(gram for found in grams.values() for gram in found)
    total = sum(found.total() for found in grams.values())
    if not total:
        return _nothing(texts)
    without = []
    for found in grams.values():
        alone = sum(holders[gram] == 1 for gram in found)
        if total > found.total():
            without.append((len(holders) - alone) / (total - found.total()))
    return _jackknife(len(holders) / total, without, len(texts), most=1.0)


def opening_entropy(texts: Cut) -> Interval:
    """Shannon entropy in bits of the first :data:`OPENING` units: 0 where all texts begin alike; a jackknife.

    Where all texts begin otherwise nothing varies: one pair more that begins alike, 2 / n bits, is always doubted.
    """
    openings = _of_queries(texts, lambda row: Counter([row[:OPENING]]))
    every: Counter[Unit] = sum(openings.values(), Counter())
    if not every:
        return _nothing(texts)
    without = [_entropy(every - found) for found in openings.values()]
    return _jackknife(_entropy(every), without, len(texts), most=math.inf, doubt=2 / len(texts))


def _entropy(counts: Counter[Unit]) -> float:
    n = counts.total()
    return -sum(count / n * math.log2(count / n) for count in counts.values() if count) if n else 0.0


def self_bleu(texts: Cut) -> Interval:
    """Mean BLEU-4 of each text against those of all other queries (Zhu et al. 2018), smoothed (Lin and Och 2004).

    1 where all say the same. The error of a mean over pairs is at most twice that of its items (Hoeffding 1948).
    """
    sizes = range(1, _BLEU + 1)
    best: dict[Unit, list[tuple[int, int]]] = {}
    of_query: dict[tuple[int, Unit], int] = {}
    counts = [(query, Counter(gram for n in sizes for gram in _grams(row, n))) for query, row in texts]
    for query, found in counts:
        for gram, count in found.items():
            of_query[query, gram] = max(count, of_query.get((query, gram), 0))
    for (query, gram), count in of_query.items():
        best[gram] = sorted([*best.get(gram, ()), (count, query)], reverse=True)[:2]
    scores: dict[int, list[float]] = defaultdict(list)
    for query, found in counts:
        matched, total = Counter[int](), Counter[int]()
        for gram, count in found.items():
            most = next((most for most, owner in best[gram] if owner != query), 0)
            matched[len(gram)] += min(count, most)
            total[len(gram)] += count
        logs = [math.log((matched[n] + (n > 1)) / (total[n] + (n > 1))) if matched[n] or n > 1 else -9.0 for n in sizes]
        scores[query].append(math.exp(sum(logs) / _BLEU))
    return _mean_of_pairs(scores, len(texts))


def templates(texts: Cut) -> tuple[Interval, list[tuple[str, float]]]:
    """The share of texts with a phrase of :data:`TEMPLATE` units that many other queries' texts have, and the phrases
    that most have, each with its share of queries."""
    holders: dict[Unit, set[int]] = defaultdict(set)
    for query, row in texts:
        for gram in _grams(row, TEMPLATE):
            holders[gram].add(query)
    queries = len({query for query, _ in texts})
    least = max(3, math.ceil(TEMPLATE_SHARE * (queries - 1)))
    common = {gram for gram, of in holders.items() if len(of) > least}
    hits = [float(any(gram in common for gram in _grams(row, TEMPLATE))) for _, row in texts]
    share = clustered_rate(hits, [query for query, _ in texts])
    shown: list[tuple[str, float]] = []
    seen = set[str]()
    for gram in sorted(common, key=lambda gram: (-len(holders[gram]), gram)):
        if not seen & set(_grams(gram, 3)):
            shown.append((_joined(gram), len(holders[gram]) / queries))
            seen |= set(_grams(gram, 3))  # type: ignore[arg-type]
    return share, list(islice(shown, 3))


def repetition(texts: Cut, n: int) -> Interval:
    """The mean share of a text's n-grams that stood in it before."""
    shares: dict[int, list[float]] = defaultdict(list)
    for query, row in texts:
        grams = list(_grams(row, n))
        shares[query].append(1 - len(set(grams)) / len(grams) if grams else 0.0)
    return mean_of(shares, len(texts))


def mean_of(by_query: Mapping[int, Sequence[float]], n: int, *, times: float = 1.0) -> Interval:
    """The mean over texts, with Student's interval by the means of the queries."""
    from scipy.special import stdtrit

    every = [value for values in by_query.values() for value in values]
    if not every:
        return Interval(math.nan, math.nan, math.nan, 0, 0)
    mean, k = sum(every) / len(every), len(by_query)
    if k < 2:
        return Interval(mean, mean, mean, n, k)
    ahead = [sum(values) - mean * len(values) for values in by_query.values()]  # a ratio of cluster totals
    error = math.sqrt(k / (k - 1) * sum(one * one for one in ahead)) / len(every)
    half = times * float(stdtrit(k - 1, 0.975)) * error
    return Interval(mean, mean - half, mean + half, n, k)


def _mean_of_pairs(by_query: Mapping[int, Sequence[float]], n: int) -> Interval:
    found = mean_of(by_query, n, times=2.0)
    return Interval(found.estimate, max(0.0, found.low), min(1.0, found.high), n, found.clusters)


def _jackknife(estimate: float, without: Sequence[float], n: int, *, most: float, doubt: float = 0.0) -> Interval:
    """Student's interval by the variance of the estimates that leave one query out (Efron and Stein 1981)."""
    from scipy.special import stdtrit

    k = len(without)
    if k < 2:
        return Interval(estimate, estimate, estimate, n, k)
    mean = sum(without) / k
    error = math.sqrt((k - 1) / k * sum((one - mean) ** 2 for one in without) + doubt**2)
    half = float(stdtrit(k - 1, 0.975)) * error
    return Interval(estimate, max(0.0, estimate - half), min(most, estimate + half), n, k)


def _of_queries(texts: Cut, counted: Callable[[Unit], Counter[Unit]]) -> dict[int, Counter[Unit]]:
    found: dict[int, Counter[Unit]] = {}
    for query, row in texts:
        found.setdefault(query, Counter()).update(counted(row))
    return found


def _grams(row: Unit, n: int) -> list[Unit]:
    return [row[i : i + n] for i in range(len(row) - n + 1)]


def _joined(row: Unit) -> str:
    return ("" if all(ord(unit[0]) > 0x2E7F for unit in row) else " ").join(row)


def _nothing(texts: Cut) -> Interval:
    return Interval(math.nan, math.nan, math.nan, len(texts), 0)
