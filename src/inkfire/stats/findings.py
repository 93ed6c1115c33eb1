"""An audit in plain words: what ``audit.py`` counted, as sentences with their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inkfire.stats.intervals import FEW

Found = Mapping[str, Any]

SLICE = 20
"""Texts that a slice must have before something is said about its balance."""

WRITERS = 6
"""Writers that are named, those of the most texts."""


def findings(found: Found) -> list[str]:
    """The audit in plain words: a sentence or two on length, wording, writers, overlap, repeats, variety, languages,
    refusals, slices."""
    said = [_say_longer(found), _say_length(found), _say_ngrams(found), _say_writers(found), *_say_overlap(found)]
    said += [*_say_repeats(found), _say_diversity(found), _say_blank(found)]
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


def _say_writers(found: Found) -> str:
    """Who wrote what, and whether that alone gives the label away."""
    writers, n = found["writers"], found["n_written"]
    if not writers:
        return ""
    good, _ = _sides(found)
    told = [f"{name} {row['n']} ({_percent(row['good_share'])} {good})" for name, row in writers.items()]
    who = ", ".join(told[:WRITERS]) + (f" and {len(told) - WRITERS} more" if len(told) > WRITERS else "")
    if found["writer_auc"] is None:
        return f"Of {n} texts the writer is known: {who}. Nothing can be said of what the name tells."
    estimate, (low, high) = found["writer_auc"], found["writer_auc_ci"]
    numbers = f"cross-validated AUC {estimate:.3f}, 95 % interval {low:.3f} to {high:.3f}"
    if found["writer_accuracy"] is not None:
        numbers += f"; {_percent(found['writer_accuracy'])} of the pairs right, a pair of one writer half"
    tells = "tells" if low > 0.5 else "does not tell"
    return f"The writer's name alone {tells} good texts from bad ones ({numbers}). Texts by writer: {who}."


def _sides(found: Found) -> tuple[str, str]:
    """What good and bad texts are called: of pairs alone, the chosen and the rejected ones."""
    return ("chosen", "rejected") if found["n_pairs"] and not found["n_labelled"] else ("good", "bad")


def _say_diversity(found: Found) -> str:
    said = [
        f"the {side} ones have distinct-1 {found[f'distinct_1_{name}']:.3f} and distinct-2 "
        f"{found[f'distinct_2_{name}']:.3f}"
        for name, side in zip(("good", "bad"), _sides(found), strict=True)
        if found[f"distinct_1_{name}"] is not None
    ]
    return f"The texts answer {found['n_queries']} queries; {', '.join(said)}."


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
