"""What is wrong with a data set before anything is trained on it: shortcuts, leaks, duplicates.

A shortcut is a property that tells good from bad without reading: length, or which characters occur (twins.py). A
leak is a row that stands in another file too, a test text in the training data for instance. The result is numbers
with intervals, and ``findings``: the same in sentences.

>>> audit(pairs=read_pairs("pairs.jsonl"), against=[read_any("test.jsonl")])["findings"][0]      # doctest: +SKIP
'Length is a shortcut: in 96.1 % of pairs the chosen text is the longer one (95 % interval 95.6 to 96.6 %).'
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from inkfire.errors import DataError, InputError
from inkfire.records import Labelled, Preference
from inkfire.stats import intervals, texts, twins
from inkfire.stats.intervals import FEW

Found = dict[str, Any]
Responses = tuple[str, tuple[str, ...]]
"""A query and the texts that answer it in one row, as ``formats.read_any`` gives them."""

SLICE = 20
"""Texts that a slice must have before something is said about its balance."""

_UNSEEN = re.compile(r"[\s\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]*")

NEAR = 0.8
"""Jaccard similarity of character 3-grams from which two texts count as near-duplicates."""


def audit(
    *,
    pairs: Sequence[Preference] | None = None,
    labelled: Sequence[Labelled] | None = None,
    against: Sequence[Sequence[Responses]] = (),
    files: Sequence[Sequence[Responses]] = (),
    tags: Mapping[str, Sequence[str]] = {},
    seed: int = 0,
) -> Found:
    """Audit preference pairs, labelled texts, or both; ``against`` are the rows of other files, a list each.

    ``files`` are the rows of the audited files themselves, where they are several: what stands in two is counted.
    ``tags`` maps a query to its tags, by which classes are counted (``slices``).

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
    out |= _across(files) | _blank(pool)
    out |= _impurities(pool)
    out["slices"] = _slices(preferences, rows, tags)
    out["findings"] = findings(out)
    return out


def _pair_twins(pairs: Sequence[Preference], seed: int) -> Found:
    """What length and n-grams explain of the pairs, on all of them and where length cannot help."""
    try:
        slices = twins.NgramPairModel.cross_validate(pairs, seed=seed)
    except DataError:  # too few queries to cross-validate; what needs no model is still there
        slices = twins.pair_slices(pairs, [(0.0, 0.0)] * len(pairs))
        slices |= dict.fromkeys(name for name in slices if name.startswith("accuracy"))
    out = twins.rate("shorter_wins", [len(p.chosen) < len(p.rejected) for p in pairs], [p.query for p in pairs])
    for name in ("longer_wins", "longer_wins_length_matched"):
        out |= {key: slices[key] for key in (name, f"{name}_ci", f"{name}_clusters")}
    out |= {name: slices[name] for name in ("n_length_matched", "n_chosen_shorter")}
    for name in ("accuracy", "accuracy_length_matched", "accuracy_chosen_shorter"):
        out |= {f"ngram_{key}": slices[key] for key in (name, f"{name}_ci", f"{name}_clusters")}
    return out


def _text_twins(pool: Sequence[Labelled], seed: int, *, with_accuracy: bool) -> Found:
    labels, queries = [row.label for row in pool], [row.query for row in pool]
    out = twins.length_auc(pool, seed).named("length_auc")
    out["length_best_accuracy"] = twins.length_best_accuracy(pool)
    hits = twins.length_cv_hits(pool, seed=seed)
    out |= twins.rate("length_cv_accuracy", hits or [], queries if hits else [])
    scores = twins.ngram_cv_scores(pool, seed=seed)
    if scores is None:
        return out | {"ngram_auc": None, "ngram_auc_ci": None}
    out |= intervals.bootstrap_auc(labels, scores, clusters=queries, seed=seed).named("ngram_auc")
    if with_accuracy:
        hits = [(score > 0) == bool(label) for score, label in zip(scores, labels, strict=True)]
        out |= twins.rate("ngram_accuracy", hits, queries)
    return out


def _overlap(pairs: Sequence[Preference], rows: Sequence[Labelled], against: Sequence[Sequence[Responses]]) -> Found:
    """Rows of which the (query, response), a text nearly, the query, the query nearly stand in an --against file."""
    names = ("overlap_exact", "overlap_near", "overlap_query", "overlap_query_near")
    if not against:
        return dict.fromkeys(names)
    items = {(query.strip(), text.strip()) for file in against for query, both in file for text in both}
    queries = {query.strip() for file in against for query, _ in file}
    ours: list[Responses] = [(pair.query.strip(), (pair.chosen, pair.rejected)) for pair in pairs]
    ours += [(row.query.strip(), (row.response,)) for row in rows]
    near_texts = texts.repeats({text for _, text in items}, {text for _, both in ours for text in both}, NEAR)
    near_queries = texts.repeats(queries, {query for query, _ in ours}, NEAR)
    counts = (
        sum(any((query, text.strip()) in items for text in both) for query, both in ours),
        sum(any(text in near_texts for text in both) for _, both in ours),
        sum(query in queries for query, _ in ours),
        sum(query in near_queries for query, _ in ours),
    )
    return dict(zip(names, counts, strict=True))


def _repeats(pairs: Sequence[Preference], rows: Sequence[Labelled], pool: Sequence[Labelled]) -> Found:
    """``duplicates``: rows that repeat an earlier row, whatever its label. ``near_duplicates``: texts that repeat an
    earlier text of any row, exactly or nearly. ``contradictions``: texts labelled both ways for one query."""
    keys: list[Hashable] = [(pair.query, pair.chosen, pair.rejected) for pair in pairs]
    keys += [(row.query, row.response) for row in rows]
    near = texts.near_duplicates([row.response for row in pool], NEAR)
    bad = {(row.query, row.response) for row in pool if row.label == 0}
    return {
        "duplicates": sum(count - 1 for count in Counter(keys).values()),
        "near_duplicates": len(near),
        "contradictions": len({(row.query, row.response) for row in pool if row.label == 1} & bad),
        "n_texts": len(pool),
    }


def _across(files: Sequence[Sequence[Responses]]) -> Found:
    """Rows of a later file of which the query with a text stands in an earlier one; None where there is one file."""
    seen: set[tuple[str, str]] = set()
    count = 0
    for file in files:
        items = [{(query.strip(), text.strip()) for text in both} for query, both in file]
        count += sum(bool(row & seen) for row in items)
        seen = seen.union(*items)
    return {"repeats_across": count if len(files) > 1 else None}


def _blank(pool: Sequence[Labelled]) -> Found:
    """Texts that are empty or hold nothing that can be seen, in all and among the good ones."""
    blank = [row.label for row in pool if _UNSEEN.fullmatch(row.response)]
    return {"blank": len(blank), "blank_good": sum(blank)}


def _impurities(pool: Sequence[Labelled]) -> Found:
    """Texts that mix in another script, and texts that are a model's refusal, in all and among the good and the bad."""
    script = texts.main_script([row.response for row in pool])
    out: Found = {"script": script}
    for name, hit in (
        ("mixed", lambda text: script is not None and texts.is_mixed(text, script)),
        ("refusal", texts.is_refusal),
    ):
        hits = [(hit(row.response), row.label, row.query) for row in pool]
        for which, labels in (("", (0, 1)), ("_good", (1,)), ("_bad", (0,))):
            part = [(found, query) for found, label, query in hits if label in labels]
            out |= _rate(f"{name}_share{which}", part)
    return out


def _slices(pairs: Sequence[Preference], rows: Sequence[Labelled], tags: Mapping[str, Sequence[str]]) -> Found:
    """Tag → pairs and how often the longer text wins, labelled texts and the share of good ones; largest first."""
    of_tag: dict[str, tuple[list[tuple[bool, str]], list[tuple[bool, str]]]] = {}
    for pair in pairs:
        for tag in tags.get(pair.query, ()):
            of_tag.setdefault(tag, ([], []))[0].append((len(pair.chosen) > len(pair.rejected), pair.query))
    for row in rows:
        for tag in tags.get(row.query, ()):
            of_tag.setdefault(tag, ([], []))[1].append((row.label == 1, row.query))
    largest_first = sorted(of_tag.items(), key=lambda item: (-sum(map(len, item[1])), item[0]))
    return {
        tag: {"n_pairs": len(longer), "n_labelled": len(good)}
        | _rate("longer_wins", longer)
        | _rate("good_share", good)
        for tag, (longer, good) in largest_first
    }


def _rate(name: str, hits: Sequence[tuple[bool, str]]) -> Found:
    """Of (hit, query)."""
    return twins.rate(name, [hit for hit, _ in hits], [query for _, query in hits])


def findings(found: Found) -> list[str]:
    """The audit in plain words: a sentence or two on length, wording, overlap, repeats, languages, refusals, slices."""
    said = [_say_longer(found), _say_length(found), _say_ngrams(found), *_say_overlap(found), *_say_repeats(found)]
    said += [_say_blank(found)]
    said += [_say_mixed(found), _say_refusals(found), *_say_slices(found)]
    return [sentence for sentence in said if sentence]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _between(found: Found, name: str) -> str:
    (low, high), queries = found[f"{name}_ci"], found[f"{name}_clusters"]
    few = f", of only {queries} {'query' if queries == 1 else 'queries'}" if queries < FEW else ""
    return f"95 % interval {100 * low:.1f} to {100 * high:.1f} %{few}"


def _say_longer(found: Found) -> str:
    if found["longer_wins"] is None:
        return ""
    for side, word in (("longer_wins", "longer"), ("shorter_wins", "shorter")):
        share, interval = found[side], found[f"{side}_ci"]
        if interval[0] > 0.5:
            verdict = "a shortcut" if share >= 0.6 else "a weak shortcut"
            return (
                f"Length is {verdict}: in {_percent(share)} of pairs the chosen text is the {word} one "
                f"({_between(found, side)})."
            )
    return (
        f"Length is no shortcut in the pairs: the chosen text is the longer one in {_percent(found['longer_wins'])} "
        f"of them ({_between(found, 'longer_wins')}) and the shorter one in {_percent(found['shorter_wins'])}."
    )


def _say_length(found: Found) -> str:
    if found["length_auc"] is None:
        return "All texts have one label: nothing can be said about shortcuts in single texts."
    estimate, (low, high) = found["length_auc"], found["length_auc_ci"]
    numbers = f"AUC {estimate:.3f}, 95 % interval {low:.3f} to {high:.3f}"
    cut = f"the best single cut in length gets {_percent(found['length_best_accuracy'])} of the labels right"
    if found["length_cv_accuracy"] is not None:
        cut += f", {_percent(found['length_cv_accuracy'])} cross-validated ({_between(found, 'length_cv_accuracy')})"
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
    near = found["overlap_near"]
    return [
        first,
        f"{near} of {n} rows ({_percent(near / n)}) have a text that exactly or nearly repeats one of the other files.",
        f"The queries of {query} of {n} rows ({_percent(query / n)}) occur in the other files, "
        f"{found['overlap_query_near']} nearly.",
    ]


def _say_repeats(found: Found) -> list[str]:
    rows, near, n = found["duplicates"], found["near_duplicates"], found["n_texts"]
    both, across = found["contradictions"], found["repeats_across"]
    return [
        f"{both} texts are labelled good and bad for the same query." if both else "",
        f"{rows} of {found['n']} rows repeat an earlier row." if rows else "No row is repeated.",
        f"{near} of {n} texts ({_percent(near / n)}) repeat an earlier text, exactly or nearly."
        if near
        else "No text repeats another, exactly or nearly.",
        f"{across} rows stand with their text in more than one of the audited files." if across else "",
    ]


def _say_blank(found: Found) -> str:
    blank, good = found["blank"], found["blank_good"]
    if not blank:
        return ""
    which = f"{good} of them labelled good" if good else "none of them labelled good"
    return f"{blank} of {found['n_texts']} texts are empty or blank, {which}."


def _say_mixed(found: Found) -> str:
    if not found["mixed_share"]:
        return ""
    said = f"{_percent(found['mixed_share'])} of the texts mix other scripts into {found['script']}"
    if _differ(found["mixed_share_good_ci"], found["mixed_share_bad_ci"]):
        good, bad = _percent(found["mixed_share_good"]), _percent(found["mixed_share_bad"])
        return f"{said}: {good} of the good ones and {bad} of the bad ones, which gives labels away."
    return f"{said}."


def _say_refusals(found: Found) -> str:
    if not found["refusal_share"]:
        return ""
    good = found["refusal_share_good"]
    return f"{_percent(found['refusal_share'])} of the texts are a model's refusal to write" + (
        f", {_percent(good)} of the good ones." if good else ", none of the good ones."
    )


def _say_slices(found: Found) -> list[str]:
    """Slices whose labels are not balanced as the whole is: the topic then tells the label."""
    return [
        f"In slice {tag} {_percent(row['good_share'])} of {row['n_labelled']} texts are good "
        f"({_between(row, 'good_share')}), in all {_percent(found['good_share'])}."
        for tag, row in found["slices"].items()
        if not found["n_pairs"]
        and row["n_labelled"] >= SLICE
        and _differ(row["good_share_ci"], [found["good_share"]] * 2)
    ]


def _differ(a: Sequence[float] | None, b: Sequence[float] | None) -> bool:
    """Whether two intervals lie apart."""
    return a is not None and b is not None and (a[1] < b[0] or b[1] < a[0])
