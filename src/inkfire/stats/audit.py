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
from inkfire.stats.findings import findings

Found = dict[str, Any]
Responses = tuple[str, tuple[str, ...]]
"""A query and the texts that answer it in one row, as ``formats.read_any`` gives them."""

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
    writers: Mapping[tuple[str, str], str] = {},
    seed: int = 0,
) -> Found:
    """Audit preference pairs, labelled texts, or both; ``against`` are the rows of other files, a list each.

    ``files`` are the rows of the audited files themselves, where they are several: what stands in two is counted.
    ``tags`` maps a query to its tags, by which classes are counted (``slices``). ``writers`` maps a query and a text to
    who wrote it; of pairs their own provenance says it.

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
    names = [writers.get((row.query, row.response), "") for row in rows]
    names += [pair.provenance.get(f"{side}_source", "") for side in ("chosen", "rejected") for pair in preferences]
    out |= _diversity(pool) | _writers(pool, names, len(preferences), seed)
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
    """``overlap_…``: :func:`shared` with all --against files together; None without any."""
    if not against:
        return dict.fromkeys(("overlap_exact", "overlap_near", "overlap_query", "overlap_query_near"))
    ours: list[Responses] = [(pair.query, (pair.chosen, pair.rejected)) for pair in pairs]
    ours += [(row.query, (row.response,)) for row in rows]
    found = shared(ours, [row for file in against for row in file])
    return {f"overlap_{name}": count for name, count in found.items()}


def shared(ours: Sequence[Responses], theirs: Sequence[Responses]) -> dict[str, int]:
    """Rows of ours of which the query with a text (``exact``), a text exactly or nearly (``near``), the query
    (``query``), the query nearly (``query_near``) stand in theirs."""
    ours = [(query.strip(), both) for query, both in ours]
    items = {(query.strip(), text.strip()) for query, both in theirs for text in both}
    queries = {query.strip() for query, _ in theirs}
    near_texts = texts.repeats({text for _, text in items}, {text for _, both in ours for text in both}, NEAR)
    near_queries = texts.repeats(queries, {query for query, _ in ours}, NEAR)
    return {
        "exact": sum(any((query, text.strip()) in items for text in both) for query, both in ours),
        "near": sum(any(text in near_texts for text in both) for _, both in ours),
        "query": sum(query in queries for query, _ in ours),
        "query_near": sum(query in near_queries for query, _ in ours),
    }


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


def _diversity(pool: Sequence[Labelled]) -> Found:
    """``n_queries``, and distinct-1 and -2 (Li et al. 2016) of the good (chosen) and the bad (rejected) texts, which
    fall with the amount of text: the longer side looks less diverse than it is."""
    out: Found = {"n_queries": len({row.query for row in pool})}
    for name, label in (("good", 1), ("bad", 0)):
        part = [row.response for row in pool if row.label == label]
        out |= {f"distinct_{n}_{name}": texts.distinct(part, n) if part else None for n in (1, 2)}
    return out


def _writers(pool: Sequence[Labelled], names: Sequence[str], n_pairs: int, seed: int) -> Found:
    """``writers`` (name → texts, and the share of good or chosen ones), and what the name alone tells: ``writer_auc``
    of the labels, ``writer_accuracy`` of the sides of pairs, where one writer of both is half right.

    The chosen texts of the pairs, and then the rejected ones, are the last of ``pool``; "" is a writer nobody knows.
    """
    told = [i for i, name in enumerate(names) if name]
    rows, by = [pool[i] for i in told], [names[i] for i in told]
    out: Found = {"n_written": len(told), "writers": {}, "writer_auc": None, "writer_auc_ci": None}
    own: dict[str, list[tuple[bool, str]]] = {}
    for row, writer in zip(rows, by, strict=True):
        own.setdefault(writer, []).append((row.label == 1, row.query))
    for writer, hits in sorted(own.items(), key=lambda item: (-len(item[1]), item[0])):
        out["writers"][writer] = {"n": len(hits)} | _rate("good_share", hits)
    scores = twins.writer_cv_scores(rows, by, seed)
    if scores is None:
        return out | twins.rate("writer_accuracy", [], [])
    out |= intervals.bootstrap_auc([row.label for row in rows], scores, [row.query for row in rows], seed).named(
        "writer_auc"
    )
    of, first = dict(zip(told, scores, strict=True)), len(pool) - 2 * n_pairs
    sides = [(first + i, first + n_pairs + i) for i in range(n_pairs)]
    leads = [
        (of[chosen] - of[rejected], pool[chosen].query) for chosen, rejected in sides if {chosen, rejected} <= of.keys()
    ]
    right = [0.5 if lead == 0 else float(lead > 0) for lead, _ in leads]
    return out | twins.rate("writer_accuracy", right, [query for _, query in leads])


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
