"""``inkfire judge``: judge texts, and measure the judge; how many labels it needs; what fools and what moves it."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from cyclopts import App, Parameter

from inkfire.cli import shown
from inkfire.cli.common import Json, Out, Seed, Yes, emit, flat
from inkfire.judge.spec import COMPARING, JudgeSettings
from inkfire.runs import stress
from inkfire.runs.context import Access, Place
from inkfire.runs.curve import CurveInputs
from inkfire.runs.curve import curve as draw_curve
from inkfire.runs.judge import JudgeInputs, JudgeOptions, compare
from inkfire.runs.judge import judge as judge_texts
from inkfire.runs.stress import AttackSettings, ProbeSettings, SubjectInputs

app = App(name="judge")


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
    reward. With --mode pairwise the texts of pairs, with --mode rank those of
    each query: OUT/comparisons.jsonl.

    Example: inkfire judge --task greetings-zh --model local/qwen2.5-coder-1.5b \
        --data texts.jsonl --calibration labelled.jsonl --examples 32 \
        --examples-choice fixed --out runs/judge

    Pairs: inkfire judge --mode pairwise --task greetings-zh --data pairs.jsonl \
        --model local/qwen2.5-coder-1.5b --out runs/pairs

    Groups: inkfire judge --mode rank --task greetings-zh --data labelled.jsonl \
        --model local/qwen2.5-coder-1.5b --out runs/rank
    """
    place = Place(out, seed, access, yes)
    work = compare if settings.mode in COMPARING else judge_texts
    emit(work(inputs, settings, place), as_json=json, show=partial(shown.run, out))


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
    emit(draw_curve(inputs, settings, Place(out, seed, access, yes)), as_json=json, show=partial(shown.run, out))


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
    emit(stress.attack(inputs, settings, Place(out, seed, access, yes)), as_json=json, show=partial(shown.run, out))


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
    emit(stress.probe(inputs, settings, Place(out, seed, access, yes)), as_json=json, show=partial(shown.run, out))
