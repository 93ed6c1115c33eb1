"""``inkfire judge``: judge texts, and measure the judge; how many labels it needs; what fools and what moves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from inkfire.cli.common import Json, Out, Seed, Yes, emit, flat, measured, say, say_measured
from inkfire.judge.measure import CLASSIFIER
from inkfire.judge.spec import JudgeSettings, Mode
from inkfire.runs import stress
from inkfire.runs.context import Access, Place
from inkfire.runs.curve import CurveInputs
from inkfire.runs.curve import curve as draw_curve
from inkfire.runs.judge import JudgeInputs, compare
from inkfire.runs.judge import judge as judge_texts
from inkfire.runs.stress import AttackSettings, ProbeSettings, SubjectInputs
from inkfire.settings import settings

app = App(name="judge")


@settings
class JudgeOptions(JudgeSettings):
    """Those of a judge; here it may also compare."""

    mode: Literal[Mode, "pairwise"] = "logprob"  # type: ignore[assignment]
    """logprob: one token; verdict: a reason, then 0/1; rubric: its ratings; debate: agents; pairwise: pairs."""


@app.default
def judge(
    *,
    inputs: Annotated[JudgeInputs, flat],
    settings: Annotated[JudgeOptions, flat] = JudgeOptions(),
    access: Annotated[Access, flat] = Access(),
    out: Out,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    r"""Judge texts, and measure the judge where they are labelled.

    OUT/verdicts.jsonl has them in their order, and OUT/judge.json serves as a
    reward. With --mode pairwise the texts of pairs: OUT/comparisons.jsonl.

    Example: inkfire judge --task greetings-zh --model local/qwen2.5-coder-1.5b \
        --data texts.jsonl --calibration labelled.jsonl --examples 32 \
        --examples-choice fixed --out runs/judge

    Pairs: inkfire judge --mode pairwise --task greetings-zh --data pairs.jsonl \
        --model local/qwen2.5-coder-1.5b --out runs/pairs
    """
    place = Place(out, seed, access, yes)
    if settings.mode == "pairwise":
        emit(compare(inputs, settings, place), as_json=json, show=_show_pairs)
    else:
        emit(judge_texts(inputs, settings, place), as_json=json, show=_show)


@app.command
def curve(
    *,
    inputs: Annotated[CurveInputs, flat],
    settings: Annotated[JudgeSettings, flat] = JudgeSettings(),
    access: Annotated[Access, flat] = Access(),
    out: Out,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    r"""How accuracy and AUC grow with the labels that fit a calibration.

    Texts are judged once: OUT/curve.jsonl.

    Example: inkfire judge curve --task greetings-zh --data labelled.jsonl \
        --model local/qwen2.5-coder-1.5b --out runs/curve
    """
    emit(draw_curve(inputs, settings, Place(out, seed, access, yes)), as_json=json, show=_show_curve)


@app.command
def attack(
    *,
    inputs: Annotated[SubjectInputs, flat] = SubjectInputs(),
    settings: Annotated[AttackSettings, Parameter(name="*", negative_bool="no-")] = AttackSettings(),
    access: Annotated[Access, flat] = Access(),
    out: Out,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    r"""Put injections into bad texts and count how often the judge then says good.

    What became of each: OUT/trials.jsonl.

    Example: inkfire judge attack --task greetings-zh --limit 280 \
        --model local/qwen2.5-coder-1.5b --calibration labelled.jsonl \
        --out runs/attack
    """
    emit(stress.attack(inputs, settings, Place(out, seed, access, yes)), as_json=json, show=_show_attack)


@app.command
def probe(
    *,
    inputs: Annotated[SubjectInputs, flat] = SubjectInputs(),
    settings: Annotated[ProbeSettings, flat],
    access: Annotated[Access, flat] = Access(),
    out: Out,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    r"""Change texts in ways that make them no better and count the verdicts that turn.

    What became of each: OUT/probes.jsonl.

    Example: inkfire judge probe --judge runs/judge --data labelled.jsonl \
        --limit 60 --out runs/probe
    """
    emit(stress.probe(inputs, settings, Place(out, seed, access, yes)), as_json=json, show=_show_probe)


def _show_curve(result: Mapping[str, Any]) -> None:
    say(f"{result['n']} test texts, {result['unscored']} of all unscored, {result['calls']} calls")
    say("labels  accuracy                balanced accuracy       auc")
    for size in result["labels"]:
        cells = [measured(result, f"{name}_{size}") for name in ("accuracy", "balanced_accuracy", "auc")]
        say(f"{size:<7} " + "    ".join(cells))


_PAIRS = (
    "accuracy",
    "accuracy_decided",
    "order_flip_rate",
    "first_place_rate",
    "accuracy_length_matched",
    "longer_wins",
)
_MEASURED = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "kappa", "auc", "auc_within_query")
_CLASSIFIERS = {
    f"{whose}{name}": f"{name} {of}".strip()
    for whose, of in {"": "", "length_": "of length alone", "ngram_": "of n-grams"}.items()
    for name in CLASSIFIER
}
_TWINS = {name: label for name, label in _CLASSIFIERS.items() if name not in CLASSIFIER} | {
    "length_auc": "auc of length alone",
    "ngram_auc": "auc of n-grams",
    "examples_auc": "auc of examples' labels",
    "auc_minus_examples_auc": "auc, minus that",
    "auc_length_matched": "auc, length-matched",
    "ngram_auc_length_matched": "auc of n-grams, matched",
    "examples_auc_length_matched": "of examples' labels, matched",
    "accuracy_length_matched": "accuracy, length-matched",
}


def _show_pairs(result: Mapping[str, Any]) -> None:
    say(f"{result['n']} pairs, {result['unscored']} unscored, {result['ties']} ties, {result['calls']} calls")
    say_measured(result, {name: name for name in _PAIRS}, 24)


def _show(result: Mapping[str, Any]) -> None:
    say(f"{result['n']} texts, {result['unscored']} unscored, {result['calls']} calls, {result['seconds']:.0f} s")
    if result["injections"]:
        say(f"{result['injections']} texts are suspected of telling the judge what to answer (verdicts.jsonl)")
    if not result["calibrated"]:
        say("uncalibrated: the labels carry the model's own bias (--calibration F fits a threshold)")
    if "auc" not in result:
        return
    say_measured(result, {name: name for name in _MEASURED}, 18)
    say(f"{'ece':18} {result['ece']:.3f}")
    say(f"{'brier':18} {result['brier']:.3f}")
    say("what the twins say of the same labels, and the judge where length says nothing:")
    say_measured(result, _TWINS, 28)
    say(f"{'length-matched texts':28} {result['n_length_matched']}")
    if result.get("n_overlap") is not None:
        say(f"without the {result['n_overlap']} texts that overlap, on {result['n_no_overlap']} texts:")
        say_measured(result, {f"{name}_no_overlap": label for name, label in _CLASSIFIERS.items()}, 28)
    if result.get("doubt"):
        say(result["doubt"])
    if "uncalibrated" in result:
        say(f"uncalibrated accuracy {result['uncalibrated']['accuracy']:.3f}")
    say("said P(Good) → found good")
    for row in result["reliability"]:
        low, high = row["found_ci"]
        say(f"  {row['said']:.2f} → {row['found']:.2f}  [{low:.2f}, {high:.2f}]  n {row['n']}")


def _show_attack(result: Mapping[str, Any]) -> None:
    say(
        f"{result['carriers_bad']} of {result['carriers']} carriers are bad to this judge by themselves; "
        f"{result['n']} attacks in them, {result['calls']} calls, {result['seconds']:.0f} s"
    )
    say(f"{'flips from bad to good':34} {'defended':>24} {'undefended':>24}")
    rows = [(f"{name} ({row['split']})", row, "") for name, row in result["families"].items()]
    rows += [(f"all {part}".strip(), result, part and f"_{part}") for part in ("development", "held_out", "")]
    for label, row, end in rows:
        say(f"{label:34} {measured(row, f'flips{end}', '.1%'):>24} {measured(row, f'flips_off{end}', '.1%'):>24}")
    if result.get("clean_lost") is not None:
        say(f"{measured(result, 'clean_lost', '.1%')} of {result['clean']} good texts are lost")


def _show_probe(result: Mapping[str, Any]) -> None:
    say(f"{result['n']} texts, {result['calls']} calls, {result['seconds']:.0f} s")
    say(f"{'probe':12} {'verdicts that turn':>24} {'bad to good':>24} {'shift of P(Good)':>24}")
    for name in result["probes"][:-1]:
        turned, better = measured(result, f"{name}_flip_rate", ".1%"), measured(result, f"{name}_to_good", ".1%")
        say(f"{name:12} {turned:>24} {better:>24} {measured(result, f'{name}_shift', '+.3f'):>24}")
    say(f"{'self':12} {measured(result, 'self_preference_shift', '+.3f')} ({result['self_preference']})")
