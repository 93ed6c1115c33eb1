"""``inkfire refine``: improve the judge's principles, keeping only what proves better; ``inkfire refine diff``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from inkfire.cli import common
from inkfire.errors import InputError

refine_app = typer.Typer()


@refine_app.callback(invoke_without_command=True)
def refine(
    context: typer.Context,
    task: common.GroupTask = None,
    model: common.GroupModel = None,
    prompts: Annotated[Path | None, typer.Option("--prompts", help="Queries for the Generator, in any format.")] = None,
    labelled: Annotated[
        Path | None, typer.Option("--labelled", help="Labelled texts; split here by query into three.")
    ] = None,
    out: common.GroupOut = None,
    author_model: Annotated[
        str | None,
        typer.Option("--author-model", help="Model that writes attacks, reflections and rules; by default --model."),
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds of attack, reflection and test.")] = 1,
    attacks: Annotated[int, typer.Option("--attacks", min=1, help="Flawed texts a round.")] = 4,
    errors: Annotated[int, typer.Option("--errors", min=1, help="The judge's errors reflected on a round.")] = 6,
    validation: Annotated[
        int | None, typer.Option("--validation", min=4, help="At most so many texts test a candidate.")
    ] = None,
    test: Annotated[
        int | None,
        typer.Option("--test", min=4, help="At most so many texts, and half, measure the judge before and after."),
    ] = None,
    alpha: Annotated[
        float, typer.Option("--alpha", min=0.001, max=0.5, help="Chance, over the run, of accepting what is no better.")
    ] = 0.05,
    screen: Annotated[
        int,
        typer.Option("--screen", min=0, help="Reject a candidate that gains nothing on so many validation texts."),
    ] = 0,
    patience: Annotated[
        int, typer.Option("--patience", min=1, help="Stop after so many rounds in a row without a gain.")
    ] = 2,
    leave_one_out: Annotated[
        bool,
        typer.Option("--leave-one-out", help="Measure each rule in the end: one judging of the validation texts each."),
    ] = False,
    shorten: Annotated[
        bool,
        typer.Option("--shorten", help="Measure each rule, and drop those that add nothing if that is no worse."),
    ] = False,
    examples: common.ExamplesShown = 0,
    examples_choice: common.ExamplesChoice = "nearest",
    principles: Annotated[
        Path | None, typer.Option("--principles", help="Start from this principles.toml, not from the task's own.")
    ] = None,
    base_url: common.BaseUrl = None,
    concurrency: common.Concurrency = None,
    budget: common.BudgetMoney = None,
    budget_tokens: common.BudgetTokens = None,
    rpm: common.Rpm = None,
    tpm: common.Tpm = None,
    retry_unscored: common.RetryUnscored = False,
    seed: common.Seed = 0,
    json: common.Json = False,
) -> None:
    """Evolve principles and flaw strategies against each other: OUT/principles.toml, history.jsonl, attacks.jsonl.

    Example: inkfire refine --task greetings-zh --model local/qwen2.5-coder-1.5b --prompts queries.jsonl
    --labelled labelled.jsonl --rounds 2 --out runs/refine
    """
    if context.invoked_subcommand is not None:
        return
    if task is None or model is None or prompts is None or labelled is None or out is None:
        raise InputError("inkfire refine needs --task, --model, --prompts, --labelled and --out")
    from inkfire.judge.judging import Access
    from inkfire.refine.rounds import RefineSettings
    from inkfire.runs.refine import refine_data

    result = refine_data(
        task=task,
        model=model,
        prompts=prompts,
        labelled=labelled,
        out=out,
        author_model=author_model,
        principles=principles,
        validation=validation,
        test=test,
        examples=examples,
        examples_choice=examples_choice,
        settings=RefineSettings(
            rounds=rounds,
            attacks=attacks,
            errors=errors,
            alpha=alpha,
            screen=screen,
            patience=patience,
            leave_one_out=leave_one_out,
            shorten=shorten,
            seed=seed,
        ),
        access=Access(base_url, budget, budget_tokens, retry_unscored, concurrency, rpm, tpm),
        note=common.note,
    )
    common.emit(result, as_json=json, show=_show)


def _show(result: Mapping[str, Any]) -> None:
    typer.echo(f"{result['accepted']} candidates accepted, {result['rejected']} rejected, {result['calls']} calls")
    for when in ("before", "after"):
        measured = result[when]
        low, high = measured["auc_ci"]
        typer.echo(
            f"{when:7} AUC {measured['auc']:.3f} [{low:.3f}, {high:.3f}], accuracy {measured['accuracy']:.3f} "
            f"on {measured['n']} test texts"
        )
    if result["stopped"]:
        typer.echo(f"stopped early: {result['stopped']}")
    if not result["accepted"]:
        typer.echo("no proposal proved better on the validation texts: the principles are unchanged")


@refine_app.command("diff")
def diff(
    a: Annotated[Path, typer.Argument(help="A run folder of inkfire refine, or a principles.toml.")],
    b: Annotated[Path, typer.Argument(help="The other one, the later of the two.")],
    json: common.Json = False,
) -> None:
    """What changed between two sets of principles, why, what it was worth on held-out texts, and what it costs.

    Example: inkfire refine diff runs/refine-1 runs/refine-2
    """
    from inkfire.refine.diff import RuleSet
    from inkfire.refine.diff import diff as compare

    common.emit(compare(RuleSet.read(a), RuleSet.read(b)), as_json=json, show=_show_diff)


def _show_diff(result: Mapping[str, Any]) -> None:
    typer.echo(f"from {_set(result['from'])} to {_set(result['to'])}, {result['kept']} rules kept")
    for rule in result["removed"]:
        typer.echo(f"\n- {rule['text']}")
        if rule["round"] is not None:
            said = [f"dropped in round {rule['round']}", *_worth(rule)]
            typer.echo(f"    {'; '.join(said)}")
    for rule in result["changed"]:
        typer.echo(f"\n~ {rule['from']}\n→ {rule['text']}")
        _show_reasons(rule)
    for rule in result["added"]:
        typer.echo(f"\n+ {rule['text']}")
        _show_reasons(rule)


def _set(about: Mapping[str, Any]) -> str:
    tokens = "" if about["tokens"] is None else f", {about['tokens']} tokens"
    return f"{about['version']} ({about['rules']} rules{tokens})"


def _show_reasons(rule: Mapping[str, Any]) -> None:
    typer.echo(f"    {rule['origin']}" + (f", round {rule['round']}" if rule["round"] else ""))
    if rule["why"]:
        typer.echo(f"    why: {rule['why']}")
    for example in rule["counterexamples"]:
        label, judged = (("bad", "good")[example[name]] for name in ("label", "judged"))
        typer.echo(f"    {label} text judged {judged}: {example['query']!r} → {example['response']!r}")
    if worth := _worth(rule):
        typer.echo(f"    {'; '.join(worth)}")


def _worth(rule: Mapping[str, Any]) -> list[str]:
    """The numbers of a rule that were measured, in words."""
    said = []
    for name, what in (("effect", "held-out AUC of the change"), ("contribution", "of the rule alone")):
        if rule.get(name) is not None:
            low, high = rule[f"{name}_ci"]
            said.append(f"{what} {rule[name]:+.3f} [{low:+.3f}, {high:+.3f}] on {rule[f'{name}_n']} texts")
    return said + ([f"{rule['tokens']} tokens"] if rule.get("tokens") is not None else [])
