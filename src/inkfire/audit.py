"""What is wrong with a data set before anything is trained on it: shortcuts, leaks, duplicates.

A shortcut is a property that tells good from bad without reading: length, or which characters occur (twins.py). A
leak is a row that stands in another file too, a test text in the training data for instance. The result is numbers
with intervals, and ``findings``: the same in sentences.

>>> audit(pairs=read_pairs("pairs.jsonl"), against=[read_any("test.jsonl")])["findings"][0]      # doctest: +SKIP
'Length is a shortcut: in 96.1 % of pairs the chosen text is the longer one (95 % interval 95.6 to 96.6 %).'
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

from inkfire import statistics, texts, twins
from inkfire.errors import DataError, InputError
from inkfire.records import Labelled, Preference
from inkfire.statistics import Interval

Found = dict[str, Any]
Responses = tuple[str, tuple[str, ...]]
"""A query and the texts that answer it in one row, as ``datafiles.read_any`` gives them."""

NEAR = 0.8
"""Jaccard similarity of character 3-grams from which two texts count as near-duplicates."""


def audit(
    *,
    pairs: Sequence[Preference] | None = None,
    labelled: Sequence[Labelled] | None = None,
    against: Sequence[Sequence[Responses]] = (),
    seed: int = 0,
) -> Found:
    """Audit preference pairs, labelled texts, or both; ``against`` are the rows of other files, a list each.

    The texts of pairs count as labelled (chosen 1, rejected 0) in ``length_auc``, ``length_best_accuracy`` and
    ``ngram_auc``. ``ngram_accuracy`` is the share of pairs ordered rightly, and without pairs the share of labels.
    Both n-gram numbers are cross-validated by query. What the data cannot give is None.

    Raises:
        InputError: neither pairs nor labelled texts.
    """
    if not pairs and not labelled:
        raise InputError("nothing to audit; give --pairs FILE, --labelled FILE or both")
    preferences, rows = list(pairs or []), list(labelled or [])
    pool = [*rows, *(Labelled(pair.query, pair.chosen, 1) for pair in preferences)]
    pool += [Labelled(pair.query, pair.rejected, 0) for pair in preferences]
    out: Found = {"n": len(preferences) + len(rows), "n_pairs": len(preferences), "n_labelled": len(rows)}
    out["good_share"] = sum(row.label for row in pool) / len(pool)
    out |= _pair_twins(preferences, seed)
    out |= _text_twins(pool, seed, with_accuracy=not preferences)
    out |= _overlap(preferences, rows, against)
    out |= _repeats(preferences, rows, pool)
    out["findings"] = findings(out)
    return out


def _pair_twins(pairs: Sequence[Preference], seed: int) -> Found:
    """What length and n-grams explain of the pairs, on all of them and where length cannot help."""
    try:
        slices = twins.NgramPairModel.cross_validate(pairs, seed=seed)
    except DataError:  # too few queries to cross-validate; what needs no model is still there
        slices = twins.pair_slices(pairs, [(0.0, 0.0)] * len(pairs))
        slices |= dict.fromkeys(name for name in slices if name.startswith("accuracy"))
    out = twins.rate("shorter_wins", [len(p.chosen) < len(p.rejected) for p in pairs])
    for name in ("longer_wins", "longer_wins_length_matched"):
        out |= {key: slices[key] for key in (name, f"{name}_ci")}
    out |= {name: slices[name] for name in ("n_length_matched", "n_chosen_shorter")}
    for name in ("accuracy", "accuracy_length_matched", "accuracy_chosen_shorter"):
        out |= {f"ngram_{key}": slices[key] for key in (name, f"{name}_ci")}
    return out


def _text_twins(pool: Sequence[Labelled], seed: int, *, with_accuracy: bool) -> Found:
    labels, queries = [row.label for row in pool], [row.query for row in pool]
    out = _interval("length_auc", twins.length_auc(pool, seed))
    out["length_best_accuracy"] = twins.length_best_accuracy(pool)
    scores = twins.ngram_cv_scores(pool, seed=seed)
    if scores is None:
        return out | {"ngram_auc": None, "ngram_auc_ci": None}
    out |= _interval("ngram_auc", statistics.bootstrap_auc(labels, scores, clusters=queries, seed=seed))
    if with_accuracy:
        hits = [(score > 0) == bool(label) for score, label in zip(scores, labels, strict=True)]
        out |= twins.rate("ngram_accuracy", hits)
    return out


def _interval(name: str, interval: Interval) -> Found:
    if interval.estimate != interval.estimate:  # NaN: one class only
        return {name: None, f"{name}_ci": None}
    return {name: interval.estimate, f"{name}_ci": [interval.low, interval.high]}


def _overlap(pairs: Sequence[Preference], rows: Sequence[Labelled], against: Sequence[Sequence[Responses]]) -> Found:
    """Rows whose (query, response), and rows whose query, stand in an --against file under any label."""
    if not against:
        return {"overlap_exact": None, "overlap_query": None}
    queries = {query.strip() for file in against for query, _ in file}
    items = {(query.strip(), text.strip()) for file in against for query, responses in file for text in responses}
    ours: list[Responses] = [(pair.query.strip(), (pair.chosen, pair.rejected)) for pair in pairs]
    ours += [(row.query.strip(), (row.response,)) for row in rows]
    return {
        "overlap_exact": sum(any((query, text.strip()) in items for text in both) for query, both in ours),
        "overlap_query": sum(query in queries for query, _ in ours),
    }


def _repeats(pairs: Sequence[Preference], rows: Sequence[Labelled], pool: Sequence[Labelled]) -> Found:
    """``duplicates``: rows that repeat an earlier row, whatever its label. ``near_duplicates``: texts that repeat an
    earlier text of any row, exactly or nearly."""
    keys: list[Hashable] = [(pair.query, pair.chosen, pair.rejected) for pair in pairs]
    keys += [(row.query, row.response) for row in rows]
    near = texts.near_duplicates([row.response for row in pool], NEAR)
    return {
        "duplicates": sum(count - 1 for count in Counter(keys).values()),
        "near_duplicates": len(near),
        "n_texts": len(pool),
    }


def findings(found: Found) -> list[str]:
    """The audit in plain words: one sentence or two on length, wording, overlap and repeats each."""
    said = [_say_longer(found), _say_length(found), _say_ngrams(found), *_say_overlap(found), *_say_repeats(found)]
    return [sentence for sentence in said if sentence]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _between(interval: Sequence[float]) -> str:
    return f"95 % interval {100 * interval[0]:.1f} to {100 * interval[1]:.1f} %"


def _say_longer(found: Found) -> str:
    if found["longer_wins"] is None:
        return ""
    for side, word in (("longer_wins", "longer"), ("shorter_wins", "shorter")):
        share, interval = found[side], found[f"{side}_ci"]
        if interval[0] > 0.5:
            verdict = "a shortcut" if share >= 0.6 else "a weak shortcut"
            return (
                f"Length is {verdict}: in {_percent(share)} of pairs the chosen text is the {word} one "
                f"({_between(interval)})."
            )
    return (
        f"Length is no shortcut in the pairs: the chosen text is the longer one in {_percent(found['longer_wins'])} "
        f"of them ({_between(found['longer_wins_ci'])}) and the shorter one in {_percent(found['shorter_wins'])}."
    )


def _say_length(found: Found) -> str:
    if found["length_auc"] is None:
        return "All texts have one label: nothing can be said about shortcuts in single texts."
    estimate, (low, high) = found["length_auc"], found["length_auc_ci"]
    numbers = f"AUC {estimate:.3f}, 95 % interval {low:.3f} to {high:.3f}"
    cut = f"the best single cut in length gets {_percent(found['length_best_accuracy'])} of the labels right"
    if low <= 0.5 <= high or abs(estimate - 0.5) < 0.05:
        return f"Length does not tell good texts from bad ones ({numbers}; {cut})."
    kind = "longer" if estimate > 0.5 else "shorter"
    strength = "strongly" if abs(estimate - 0.5) >= 0.2 else "somewhat"
    return f"Length alone tells good texts from bad ones {strength}: the good ones are {kind} ({numbers}; {cut})."


def _say_ngrams(found: Found) -> str:
    if found["ngram_auc"] is None:
        return "The data are too few, or of one label, for an n-gram model to be cross-validated."
    estimate, (low, high) = found["ngram_auc"], found["ngram_auc_ci"]
    numbers = f"cross-validated AUC {estimate:.3f}, 95 % interval {low:.3f} to {high:.3f}"
    if found["ngram_accuracy"] is not None:
        numbers += f"; {_percent(found['ngram_accuracy'])} of the {'pairs' if found['n_pairs'] else 'labels'} right"
    if found["ngram_accuracy_length_matched"] is not None:
        matched = _percent(found["ngram_accuracy_length_matched"])
        numbers += f", {matched} of the {found['n_length_matched']} length-matched ones"
    if estimate >= 0.85:
        return f"Wording is a shortcut: which characters occur nearly gives the label away ({numbers})."
    if low > 0.5:
        return f"Wording explains part of the labels: a bag of characters does better than chance ({numbers})."
    return f"Wording is no shortcut: a bag of characters does no better than chance ({numbers})."


def _say_overlap(found: Found) -> list[str]:
    if found["overlap_exact"] is None:
        return []
    exact, query, n = found["overlap_exact"], found["overlap_query"], found["n"]
    if exact:
        first = f"Leak: {exact} of {n} rows ({_percent(exact / n)}) stand with their text in the other files."
    else:
        first = "No row stands with its text in the other files."
    return [first, f"The queries of {query} of {n} rows ({_percent(query / n)}) occur in the other files."]


def _say_repeats(found: Found) -> list[str]:
    rows, near, n = found["duplicates"], found["near_duplicates"], found["n_texts"]
    return [
        f"{rows} of {found['n']} rows repeat an earlier row." if rows else "No row is repeated.",
        f"{near} of {n} texts ({_percent(near / n)}) repeat an earlier text, exactly or nearly."
        if near
        else "No text repeats another, exactly or nearly.",
    ]
