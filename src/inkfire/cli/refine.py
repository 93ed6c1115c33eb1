"""``inkfire refine``: improve the judge's principles, keeping only what proves better; ``inkfire refine diff``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from inkfire.cli import shown
from inkfire.cli.common import Json, Out, Seed, Yes, emit, flat, say
from inkfire.refine.diff import RuleSet
from inkfire.refine.diff import diff as compare
from inkfire.refine.settings import RefineSettings
from inkfire.report.words import change, several
from inkfire.runs.context import Access, Place
from inkfire.runs.refine import RefineInputs
from inkfire.runs.refine import refine as run_rounds

app = App(name="refine")


@app.default
def refine(
    *,
    inputs: Annotated[RefineInputs, flat],
    settings: Annotated[RefineSettings, flat] = RefineSettings(),
    access: Annotated[Access, flat] = Access(),
    out: Out,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    r"""Evolve principles and flaw strategies against each other.

    They and how they came about: OUT/principles.toml, history.jsonl,
    attacks.jsonl. --detector verdict takes a model without log-probabilities,
    --preset paper refines as the paper does.

    Example: inkfire refine --task greetings-zh --prompts queries.jsonl \
        --labelled labelled.jsonl --model local/qwen2.5-coder-1.5b --rounds 2 \
        --out runs/refine
    """
    emit(run_rounds(inputs, settings, Place(out, seed, access, yes)), as_json=json, show=partial(shown.run, out))


@app.command
def diff(
    a: Annotated[Path, Parameter(help="A run folder of inkfire refine, or a principles.toml.")],
    b: Annotated[Path, Parameter(help="The other one, the later of the two.")],
    /,
    *,
    json: Json = False,
) -> None:
    """What changed between two sets of principles, why, and what it was worth.

    The worth is measured on held-out texts; what a rule costs is its tokens.

    Example: inkfire refine diff runs/refine-1 runs/refine-2
    """
    emit(compare(RuleSet.read(a), RuleSet.read(b)), as_json=json, show=_show_diff)


def _show_diff(result: Mapping[str, Any]) -> None:
    changed = {name: len(result[name]) for name in ("added", "removed", "changed")}
    found = ", ".join(f"{n} {name}" for name, n in changed.items() if n) or "none changed"
    say(f"Of the rules {found}, {result['kept']} kept: from {_set(result['from'])} to {_set(result['to'])}.")
    for rule in result["removed"]:
        say(f"\n- {rule['text']}")
        if rule["round"] is not None:
            say("    " + "; ".join([f"dropped in round {rule['round']}", *_worth(rule)]))
    for rule in result["changed"]:
        say(f"\n~ {rule['from']}\n→ {rule['text']}")
        _show_reasons(rule)
    for rule in result["added"]:
        say(f"\n+ {rule['text']}")
        _show_reasons(rule)


def _set(about: Mapping[str, Any]) -> str:
    tokens = "" if about["tokens"] is None else f", {several(about['tokens'], 'token')}"
    return f"{about['version']} ({several(about['rules'], 'rule')}{tokens})"


def _show_reasons(rule: Mapping[str, Any]) -> None:
    say(f"    {rule['origin']}" + (f", round {rule['round']}" if rule["round"] else ""))
    if rule["why"]:
        say(f"    why: {rule['why']}")
    for example in rule["counterexamples"]:
        label, judged = (("bad", "good")[example[name]] for name in ("label", "judged"))
        say(f"    {label} text judged {judged}: {example['query']!r} → {example['response']!r}")
    if worth := _worth(rule):
        say(f"    {'; '.join(worth)}")


def _worth(rule: Mapping[str, Any]) -> list[str]:
    """The numbers of a rule that were measured, in words."""
    said = []
    for name, what in (("effect", "held-out AUC of the change"), ("contribution", "of the rule alone")):
        if rule.get(name) is not None:
            said.append(f"{what} {change(rule, name, rule[f'{name}_n'])}")
    return said + ([several(rule["tokens"], "token")] if rule.get("tokens") is not None else [])
