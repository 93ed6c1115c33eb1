"""What a run found, in one to three sentences: what the terminal shows first, and the head of a report's page.

The first one is the finding, and none says more than its interval does. Where many texts have no verdict, that and its
reason come before it. ``warnings`` are what a reader of the numbers must know besides.

>>> judge(result, rows).said[0]                                                                   # doctest: +SKIP
'The judge tells good texts from bad ones: AUC 0.81 (0.71 to 0.87) on 120 texts, length alone 0.49 (0.44 to 0.54).'
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from inkfire.evaluation import claims, headline
from inkfire.judge.measure import why_refused
from inkfire.llm.futile import failure, main_reason
from inkfire.report import ablated, looks, picks, rated, trained
from inkfire.report.folder import Folder
from inkfire.report.trained import went
from inkfire.report.words import duration, number, percent, rate, scalars, sentence, several, value
from inkfire.stats.intervals import FEW

Result = Mapping[str, Any]
Rows = Iterable[Mapping[str, Any]]

MANY = 0.1  # share of texts without a verdict from which on that is said before anything else


class Finding(NamedTuple):
    said: list[str]
    warnings: Sequence[str] = ()


def of(run: Folder, result: Result) -> Finding:
    """What the run of a folder found; ``result`` is what its command gave."""
    if run.command not in _KINDS:
        return Finding([f"Done: {'; '.join(map(' '.join, scalars(result)[:4]))}."])
    find, file = _KINDS[run.command]
    return find(result) if file is None else find(result, run.rows(file))


def _without(unscored: int, n: int, what: str, rows: Rows) -> list[str]:
    """That many have no verdict, why, and the setting that mends it; nothing where they are few."""
    if unscored < max(1, MANY * n):
        return []
    said = f"{unscored:,} of {several(n, what)} got no verdict"
    if unscored == n:
        said = f"None of the {several(n, what)} got a verdict"
    if (found := main_reason(row["unscored"] for row in rows)) is None:
        return [f"{said}."]
    reason, times = found[0].rstrip(" ."), found[1]
    return [sentence(str(failure(said, reason if times == unscored else f"{reason} ({times:,} of them)")))]


# ---- data ----------------------------------------------------------------------------------------------------------


def audit(found: Result) -> Finding:
    """Shortcuts in length, in wording and in who wrote, and which rows are to be looked at."""
    wrong = _wrong(found)
    rows = f"To be looked at: {'; '.join(wrong)}." if wrong else "No row repeats another, and no text is blank."
    length = _of_texts(found) if found["longer_wins"] is None else _of_pairs(found, found["n_pairs"])
    return Finding([length, _wording(found), *_writers(found), rows])


def _of_pairs(found: Result, n: int) -> str:
    """How often the longer text is the chosen one, and what a reward would learn from that."""
    queries = found.get("longer_wins_clusters", FEW)
    pairs = several(n, "pair") + (f" of only {several(queries, 'query', 'queries')}" if queries < FEW else "")
    wins, (low, high), side = found["longer_wins"], found["longer_wins_ci"], "longer"
    if found.get("shorter_wins_ci", (0.0, 0.0))[0] > 0.5:
        wins, (low, high), side = found["shorter_wins"], found["shorter_wins_ci"], "shorter"
    told = f"text wins in {rate(found, f'{side}_wins')} of {pairs}"
    if low <= 0.5 and (high >= 0.5 or "shorter_wins" in found):
        return f"Length is not shown to be a shortcut: the {side} {told}."
    much = "mostly" if abs(wins - 0.5) >= 0.3 else "partly"
    return f"The {side} {told}: a reward learnt from them would {much} measure length."


def _of_texts(found: Result) -> str:
    auc, n = found["length_auc"], several(found["n_texts"], "text")
    if auc is None:
        return f"All labels are {'good' if found['good_share'] else 'bad'} ({n}): of shortcuts nothing can be said."
    told = f"AUC {value(found, 'length_auc')} on {n}"
    low, high = found["length_auc_ci"]
    if low <= 0.5 <= high or abs(auc - 0.5) < 0.05:
        return f"Length is not shown to be a shortcut to the labels: {told}."
    much, side = "mostly" if abs(auc - 0.5) >= 0.2 else "partly", "long" if auc > 0.5 else "short"
    return f"The good texts are {much} those that are {side} ({told}): a judge may look right by length alone."


def _wording(found: Result) -> str:
    if found["ngram_auc"] is None:
        return "There are too few texts, or of one label only, to see whether wording gives the label away."
    told = f"n-grams alone have an AUC of {value(found, 'ngram_auc')}"
    if found["ngram_accuracy"] is not None:
        told += f" and get {rate(found, 'ngram_accuracy')} of the {'pairs' if found['n_pairs'] else 'labels'} right"
    if found["ngram_auc_ci"][0] <= 0.5:
        return f"Wording is not shown to give the label away: {told}."
    return f"Wording gives the label {'away' if found['ngram_auc'] >= 0.85 else 'partly away'}: {told}."


def _writers(found: Result) -> list[str]:
    """Only where the name tells something; older results know of no writers."""
    if found.get("writer_auc") is None or found["writer_auc_ci"][0] <= 0.5:
        return []
    much = "away" if found["writer_auc"] >= 0.85 else "partly away"
    return [f"The writer's name gives the label {much}: alone it has an AUC of {value(found, 'writer_auc')}."]


_WRONG = {
    "overlap_exact": ("row", "found in the other files"),
    "contradictions": ("text", "labelled both good and bad"),
    "blank": ("blank text", ""),
    "duplicates": ("repeated row", ""),
    "repeats_across": ("row", "found in two of the audited files"),
    "overlap_near": ("row", "with a text nearly found in the other files"),
    "overlap_query": ("row", "with a query found in the other files"),
    "near_duplicates": ("text", "said before, exactly or nearly"),
}


def _wrong(found: Result) -> list[str]:
    """The four worst things about rows and texts."""
    said = [f"{several(found[name], noun)} {rest}".rstrip() for name, (noun, rest) in _WRONG.items() if found[name]]
    said += [f"{percent(found['refusal_share'])} refusals to write"] if found["refusal_share"] else []
    said += [f"{percent(found['mixed_share'])} of texts not all in {found['script']}"] if found["mixed_share"] else []
    return said[:4]


def curate(result: Result, rows: Rows) -> Finding:
    queries, pairs = several(result["queries"], "query", "queries"), result["pairs"]
    said = _without(result["unscored"], result["candidates"], "candidate", rows)
    if pairs:
        made = f"{several(pairs, 'preference pair')} came of {queries}; {rate(result, 'pair_share')} of them made one."
        return Finding([*said, made, _of_pairs(result, pairs)])
    why = ", ".join(f"{picks.NO_PAIR[name]} ({n:,})" for name, n in result["no_pair"].items())
    return Finding([*said, f"No pair came of {queries}{': ' if why else ''}{why}."])


def estimate(result: Result) -> Finding:
    """What a curation will take, from a sample of it."""
    cost = result["estimate_cost"]
    money = "an unknown cost" if cost is None else f"{cost:,.2f} {result['currency']}"
    time = duration(result["estimate_seconds"])
    tried = f"{result['n']} of {several(result['queries'], 'query', 'queries')} were tried, drawn at random"
    said = f"{tried}: all of them will take about {time} and {money}."
    return Finding([said, "The time holds if the endpoint stays as fast as it was."])


# ---- judges --------------------------------------------------------------------------------------------------------


def judge(result: Result, rows: Rows) -> Finding:
    """Whether it tells good from bad, better than length does, and may be a reward."""
    verdicts, n, warnings = list(rows), result["scored"], []
    said = _without(result["unscored"], result["n"], "text", verdicts)
    if not result.get("calibrated", True):
        warnings.append("It is not calibrated: its labels carry the model's own bias (--calibration F fits a cut).")
    if result.get("injections"):
        warnings.append(f"Texts that seem to tell the judge what to answer: {result['injections']} (verdicts.jsonl).")
    if not n:
        return Finding(said or ["There was no text to judge."], warnings)
    if "accuracy" not in result:
        good = sum(row["label"] == 1 for row in verdicts)
        told = f"The judge calls {good:,} of {several(n, 'text')} good ({percent(good / n)})"
        sees, blind = looks.shown(result)
        told += "; they have no labels, so nothing says how right it is."
        return Finding([*said, told, *sees], [*warnings, *blind])
    if result["auc"] is None:
        told = f"The judge is right on {rate(result, 'accuracy')} of {several(n, 'text')}, all with one label"
        return Finding([*said, f"{told}: nothing says whether it tells good from bad."], warnings)
    refused, doubt = why_refused(result), result.get("doubt")
    allowed = "It is not refused as a reward." if doubt else "It may serve as a reward."
    said.append(f"The judge {_tells(result)}: {_aucs(result)}.")
    said.append(f"As a reward it is refused: {refused}." if refused else allowed)
    sees, blind = looks.shown(result)
    return Finding([*said, *sees], [*warnings, *blind, *([sentence(doubt)] if doubt else [])])


def _aucs(result: Result) -> str:
    on = several(result["scored"], "text")
    return f"AUC {value(result, 'auc')} on {on}, length alone {value(result, 'length_auc')}"


def _tells(result: Result) -> str:
    """How well scores tell good from bad, beside the length of the same texts."""
    length, (low, high) = result["length_auc"], result["length_auc_ci"]
    alone = 0.0 if low <= 0.5 <= high else max(length, 1 - length)
    if result["auc_ci"][1] < 0.5:
        return "ranks bad texts above good ones"
    if result["auc_ci"][0] <= 0.5:
        return "is not shown to tell good texts from bad ones"
    if result["auc"] <= alone:
        return "tells good texts from bad ones no better than their length does"
    if result["auc_ci"][0] <= alone:
        return "is not shown to tell good texts from bad ones better than their length does"
    return "tells good texts from bad ones"


def pairwise(result: Result, rows: Rows) -> Finding:
    n = result["scored"]
    said = _without(result["unscored"], result["n"], "pair", rows)
    if not n:
        return Finding(said or ["There was no pair to compare."])
    told = f"The judge prefers the chosen text in {rate(result, 'accuracy')} of {several(n, 'pair')}"
    low, high = result["accuracy_ci"]
    told += ", less often than a coin" if high < 0.5 else ", not shown to be more than a coin" if low <= 0.5 else ""
    said.append(f"{told}; the longer text is the chosen one in {rate(result, 'longer_wins')}.")
    more, warnings = looks.compared(result)
    return Finding([*said, *more], warnings)


def curve(result: Result) -> Finding:
    most, enough, left = result["labels"][-1], picks.enough_labels(result), result["unscored"]
    told = f"is right on {rate(result, f'accuracy_{most}')} of {several(result['n'], 'text')}"
    said = [f"With {several(most, 'label')} the judge {told}, without any on {rate(result, 'accuracy_0')}."]
    said += [f"With {enough} it is within one point of that."] if 0 < enough < most else []
    return Finding(said, [f"Left out, for want of a verdict: {several(left, 'text')}."] if left else [])


def attack(result: Result) -> Finding:
    on, off = (rate(result, name, result.get(f"{name}_n")) for name in ("flips", "flips_off"))
    if "flips" not in result:
        return Finding([f"{off} of the injections turn the judge's verdict to good; its defences were off."])
    said = [f"{on} of the injections turn the judge's verdict to good; without the defences {off} do."]
    said.append(f"Of the kinds on which the defences were not written {rate(result, 'flips_held_out')} do.")
    if result["clean"]:
        said.append(f"The defences cost {rate(result, 'clean_lost')} of {several(result['clean'], 'good text')}.")
    return Finding(said)


def probe(result: Result) -> Finding:
    if not picks.measured_probes(result):
        return Finding([f"None of the {several(result['n'], 'text')} has a verdict before and after a change."])
    if raised := picks.shifts(result, raised=True):
        said = [f"P(Good) rises by a change that makes no text better: {claims.listed(raised)}."]
    else:
        most = claims.listed(picks.shifts(result, raised=False))
        said = [f"No change that makes no text better is shown to raise P(Good); the most is {most}."]
    if result["order_n"]:
        flips = rate(result, "order_flip_rate", result["order_n"])
        said.append(f"Shown in another order, {flips} of the pairs get another answer.")
    return Finding(said)


def refine(result: Result) -> Finding:
    before, after = result["before"], result["after"]
    on = f"on {several(after['scored'] or 0, 'test text')}, where length alone has {value(after, 'length_auc')}"
    if result["accepted"]:
        said = [f"New principles took the judge's AUC from {value(before, 'auc')} to {value(after, 'auc')} {on}."]
    else:
        said = ["No proposal made the judge better on the validation texts: its principles stay as they were."]
        said.append(f"Its AUC is {value(before, 'auc')} {on}.")
    said += [sentence(f"it stopped early: {result['stopped']}")] if result["stopped"] else []
    return Finding(said, [sentence(after["doubt"])] if after.get("doubt") else [])


# ---- trainings and rewards -----------------------------------------------------------------------------------------


def reward_model(result: Result) -> Finding:
    told = (
        f"Measured on {result['measured_on']}, the {result['kind']} reward model is right on {_beside_twins(result)}."
    )
    sees, blind = looks.shown(result)
    return Finding([told, *_matched(result), *sees], [*result["warnings"], *blind])


def _beside_twins(result: Result) -> str:
    """How many pairs a reward has right, and how many the longer text and n-grams have."""
    ngrams = result.get("ngram_accuracy") is not None and (
        result.get("kind") != "linear" or "gain_over_ngram" in result
    )
    told = f"{rate(result, 'accuracy')} of {several(result['n'], 'pair')}, length alone on "
    return told + rate(result, "longer_wins") + (f", n-grams on {rate(result, 'ngram_accuracy')}" if ngrams else "")


def _matched(result: Result) -> list[str]:
    """Whether it beats length, and what it is worth where length says nothing."""
    n, alone = result["n_length_matched"], max(result["longer_wins"], 1 - result["longer_wins"])
    said = ["It is not shown to be better than length alone."] if result["accuracy_ci"][0] <= alone else []
    said += (
        [f"Of the {several(n, 'pair')} of like length it has {rate(result, 'accuracy_length_matched')}."] if n else []
    )
    return said


def _trained(say: Callable[[Result], list[str]]) -> Callable[[Result], Finding]:
    return lambda result: Finding(say(result), result.get("warnings", ()))


sft, bon, dpo = _trained(trained.sft), _trained(trained.bon), _trained(trained.dpo)


def grpo(result: Result, metrics: Rows) -> Finding:
    name = "score" if "score_first" in result else "reward"  # a reward of ranks has always the same mean
    told = f"In {several(result['steps'], 'step')} the mean {name} {went(result, name)}"
    said = [f"{told}; the mean length, in characters, {went(result, 'mean_length')}."]
    cut = [row["truncated"] for row in metrics if row.get("truncated") is not None]
    if cut and cut[-1]:
        said.append(f"In the last step {percent(cut[-1])} of the texts were cut off at their greatest length.")
    if "failed_last" in result:
        first, last = percent(result["failed_first"]), percent(result["failed_last"])
        said.append(f"{first} of the texts failed a check at first, {last} at last.")
    said += [
        f"{name}, no part of the reward, went from {number(first)} to {number(last)}."
        for name, (first, last) in result.get("canaries", {}).items()
    ]
    said.append("A higher reward is what was trained, not yet better writing.")
    return Finding(said, result["warnings"])


def checked(result: Result) -> Finding:
    said = [f"{rate(result, 'passed_rate')} of {several(result['n'], 'text')} pass all checks."]
    if band := result.get("fluent"):
        share, n = percent(band["reference"]["share"]), band["reference"]["n"]
        said.append(
            f"fluent is from {band['low']:.2f} to {band['high']:.2f} nats a token under {band['base']}: {share} of "
            f"the {n} reference texts are. It sees drift from them, not quality."
        )
    return Finding(said, [])


def score(result: Result) -> Finding:
    name, missing, of_pairs = result["reward"], result["missing"], "longer_wins" in result
    n = result["n"] + missing if of_pairs else result["n"]
    what = several(n, "pair" if of_pairs else "text")
    if missing == n:
        return Finding([f"{name} gave none of the {what} a score."])
    said = [f"{name} gave {missing:,} of {what} no score."] if missing >= max(1, MANY * n) else []
    sees, warnings = looks.shown(result)
    if result.get("injections"):
        warnings.append(f"Texts that seem to tell the judge what to answer: {result['injections']}.")
    if of_pairs:
        return Finding([*said, f"{name} is right on {_beside_twins(result)}.", *_matched(result), *sees], warnings)
    if result.get("auc") is not None:
        said.append(f"{name} {_tells(result)}: {_aucs(result)}.")
    else:
        said.append(f"{name} gave {several(result['scored'], 'text')} a score, {number(result['mean'])} on average.")
    if result.get("excellent_rate") is not None:
        cut = number(float(result["threshold"]))
        said.append(f"At its threshold of {cut} it calls {rate(result, 'excellent_rate')} excellent.")
    warnings += looks.twins(result)
    return Finding([*said, *sees], warnings)


def probed(result: Result) -> Finding:
    return Finding(looks.edits(result))


def compared(evaluation: Result) -> Finding:
    """Of ``inkfire evaluate``, and of a recipe, which may have left policies and signals out."""
    reasons: dict[str, list[str]] = {}
    for name, why in evaluation.get("refused", {}).items():
        reasons.setdefault(why, []).append(name)
    refused = [
        f"{' and '.join(names)} {'was' if len(names) == 1 else 'were'} not trained: {why}"
        for why, names in reasons.items()
    ]
    left_out = [
        f"The signal {name} is left out{', for the same reason' if why in reasons else f': {why}'}"
        for name, why in evaluation.get("left_out", {}).items()
    ]
    if names := evaluation.get("not_asked"):
        left_out.append(f"Not compared with: {', '.join(names)} (there was no OPENAI_API_KEY to ask them with).")
    said = [headline.headline(evaluation)]
    said += [headline.recommendation(evaluation)[1]] if evaluation["differences"] else []
    return Finding(said, [*refused, *left_out, *headline.caveats(evaluation)])


def write(result: Result) -> Finding:
    queries, missing = several(result["queries"], "query", "queries"), result["missing"]
    said = f"{result['written_by']} wrote {several(result['texts'], 'text')} for {queries}."
    return Finding([said], [f"{several(missing, 'text')} did not come."] if missing else [])


_KINDS: dict[str, tuple[Callable[..., Finding], str | None]] = {
    "curate": (curate, "transcripts.jsonl"),
    "judge": (judge, "verdicts.jsonl"),
    "judge pairwise": (pairwise, "comparisons.jsonl"),
    "judge curve": (curve, None),
    "judge attack": (attack, None),
    "judge probe": (probe, None),
    "refine": (refine, None),
    "train sft": (sft, None),
    "train rm": (reward_model, None),
    "train grpo": (grpo, "metrics.jsonl"),
    "train bon": (bon, None),
    "train dpo": (dpo, None),
    "score": (score, None),
    "probe": (probed, None),
    "write": (write, None),
    "annotate": (lambda result: Finding(*rated.laid_out(result)), None),
    "evaluate": (compared, None),
    "ablate": (lambda result: Finding(*ablated.found(result)), None),
    "run": (compared, None),
}
"""Command → its finding, and the file of its run whose rows it needs."""
