"""``inkfire train sft``, ``rm`` and ``grpo``: the folder given as --out is the policy or the reward afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from inkfire.cli import common

group = typer.Typer(help="Train a writer or a reward model.", no_args_is_help=True)

Epochs = Annotated[float | None, typer.Option("--epochs", min=0.01, help="Passes over the data.")]
Rate = Annotated[float | None, typer.Option("--learning-rate", min=0, help="Of LoRA; constant in GRPO, else linear.")]
Task = Annotated[str | None, typer.Option("--task", help="A task's name (inkfire tasks list) or its folder.")]


@group.command("sft")
def sft(
    task: common.TaskName,
    out: common.Out,
    base: Annotated[
        str, typer.Option("--base", "--model", help="The model to train: local/NAME, a .gguf, a folder or a hub id.")
    ],
    data: Annotated[
        Path | None, typer.Option("--data", help="Texts; those labelled 0 are left out. The task's good texts if none.")
    ] = None,
    epochs: Epochs = None,
    learning_rate: Rate = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Texts an optimizer step.")] = None,
    seed: common.Seed = 0,
    json: common.Json = False,
) -> None:
    """Fine-tune a model on good texts.

    Example: inkfire train sft --task greetings-zh --base local/qwen2.5-coder-0.5b --out runs/sft
    """
    from inkfire.runs.train import run_sft
    from inkfire.training.sft import SftConfig

    config = SftConfig(**_given(epochs=epochs, learning_rate=learning_rate, batch_size=batch_size), seed=seed)
    common.emit(run_sft(task=task, base=base, out=out, config=config, data=data), as_json=json)


@group.command("rm")
def rm(
    pairs: Annotated[Path, typer.Option("--pairs", help="Preference pairs, in any format.")],
    out: common.Out,
    kind: Annotated[
        Literal["linear", "transformer"],
        typer.Option("--kind", help="linear: character n-grams, seconds on a CPU; transformer: LoRA on a model."),
    ] = "linear",
    task: Task = None,
    base: Annotated[
        str | None, typer.Option("--base", "--model", help="The model under a transformer: local/NAME, folder, hub id.")
    ] = None,
    labelled: Annotated[
        Path | None, typer.Option("--labelled", help="Texts with labels that fit the threshold for 'excellent'.")
    ] = None,
    test_fraction: Annotated[
        float, typer.Option("--test-fraction", min=0.01, max=0.9, help="Share of the queries held out to measure.")
    ] = 0.2,
    epochs: Epochs = None,
    learning_rate: Rate = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Pairs an optimizer step.")] = None,
    seed: common.Seed = 0,
    json: common.Json = False,
) -> None:
    """Train a reward model on preference pairs, and measure it on queries it has not seen.

    Example: inkfire train rm --pairs runs/pairs/pairs.jsonl --out runs/rm
    """
    from inkfire.runs.train import run_reward_model
    from inkfire.training.reward_model import RewardModelConfig

    given = _given(epochs=epochs, learning_rate=learning_rate, batch_size=batch_size)
    config = RewardModelConfig(kind=kind, base=base, test_fraction=test_fraction, seed=seed, **given)
    result = run_reward_model(pairs=pairs, out=out, config=config, task=task, labelled=labelled)
    common.emit(result, as_json=json, show=_show_reward_model)


@group.command("grpo")
def grpo(
    task: common.TaskName,
    out: common.Out,
    policy: Annotated[
        str, typer.Option("--policy", "--model", help="Where to start: a policy folder (say runs/sft) or a model.")
    ],
    reward: Annotated[
        str, typer.Option("--reward", help="Who scores: a reward's or judge's folder, share:X, or 'W*A + W*B'.")
    ],
    prompts: Annotated[
        Path | None, typer.Option("--prompts", help="Queries, in any format; the task's own if none.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option("--max-steps", min=1, help="Generations of a batch.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Prompts a step.")] = None,
    num_generations: Annotated[
        int | None, typer.Option("--num-generations", min=2, help="Completions a prompt: the group.")
    ] = None,
    max_completion_length: Annotated[
        int | None, typer.Option("--max-completion-length", min=1, help="Tokens; the task's max_tokens if none.")
    ] = None,
    learning_rate: Rate = None,
    beta: Annotated[
        float | None, typer.Option("--beta", min=0, help="Weight of the KL term against the start.")
    ] = None,
    temperature: Annotated[float | None, typer.Option("--temperature", min=0.01, help="Of the completions.")] = None,
    epsilon: Annotated[float | None, typer.Option("--epsilon", min=0, help="Clipping of the ratio.")] = None,
    num_iterations: Annotated[int | None, typer.Option("--num-iterations", min=1, help="Updates a batch.")] = None,
    loss_type: Annotated[
        Literal["grpo", "dapo", "dr_grpo", "bnpo"] | None, typer.Option("--loss-type", help="How tokens are averaged.")
    ] = None,
    micro_batch_size: Annotated[
        int | None, typer.Option("--micro-batch-size", min=1, help="Completions at once; less needs less memory.")
    ] = None,
    save_steps: Annotated[int | None, typer.Option("--save-steps", min=1, help="Steps between checkpoints.")] = None,
    value: Annotated[
        Literal["probability", "label"], typer.Option("--value", help="What a judge gives: P(Good), or 0 and 1.")
    ] = "probability",
    force: Annotated[bool, typer.Option("--force", help="Take a judge that is refused as a reward.")] = False,
    base_url: common.BaseUrl = None,
    budget: common.BudgetMoney = None,
    budget_tokens: common.BudgetTokens = None,
    rpm: common.Rpm = None,
    tpm: common.Tpm = None,
    retry_unscored: common.RetryUnscored = False,
    seed: common.Seed = 0,
    json: common.Json = False,
) -> None:
    """Train a policy against a reward by GRPO.

    Example: inkfire train grpo --task greetings-zh --policy runs/sft --reward runs/rm --out runs/rm-rl
    """
    from inkfire.judge.judging import Access
    from inkfire.runs.train import run_grpo
    from inkfire.tasks.task import load_task
    from inkfire.training.grpo import GrpoConfig

    given = _given(
        max_steps=max_steps,
        batch_size=batch_size,
        num_generations=num_generations,
        learning_rate=learning_rate,
        beta=beta,
        temperature=temperature,
        epsilon=epsilon,
        num_iterations=num_iterations,
        loss_type=loss_type,
        micro_batch_size=micro_batch_size,
        save_steps=save_steps,
    )
    length = max_completion_length or load_task(task).max_tokens
    result = run_grpo(
        task=task,
        start=policy,
        reward=reward,
        out=out,
        config=GrpoConfig(**given, max_completion_length=length, seed=seed),
        prompts=prompts,
        value=value,
        force=force,
        access=Access(base_url, budget, budget_tokens, retry_unscored, rpm=rpm, tpm=tpm),
    )
    common.emit(result, as_json=json, show=_show_grpo)


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given; the others keep the configuration's defaults."""
    return {name: value for name, value in options.items() if value is not None}


def _show_reward_model(result: Mapping[str, Any]) -> None:
    typer.echo(f"{result['kind']} reward model in {result['out']}, {result['seconds']:.1f} s")
    typer.echo(f"measured on {result['n']} pairs ({result['measured_on']}):")
    show_slices(result)
    typer.echo(
        f"threshold for excellent {result['threshold']:.3f} (from {result['threshold_n']} {result['threshold_from']})"
    )
    for line in result["warnings"]:
        typer.echo(f"! {line}")


def show_slices(result: Mapping[str, Any]) -> None:
    """Accuracy on pairs, slice by slice, beside "the longer wins"."""
    for name, label, n in (
        ("accuracy", "all pairs", "n"),
        ("accuracy_length_matched", "length-matched", "n_length_matched"),
        ("accuracy_chosen_shorter", "chosen is shorter", "n_chosen_shorter"),
        ("longer_wins", "the longer wins", "n"),
    ):
        if result[name] is not None:
            low, high = result[f"{name}_ci"]
            typer.echo(f"  {label:18} {result[name]:.3f}  [{low:.3f}, {high:.3f}]  n = {result[n]}")


def _show_grpo(result: Mapping[str, Any]) -> None:
    typer.echo(f"policy in {result['out']}: {result['steps']} steps, {result['seconds']:.0f} s")
    for name in ("reward", "mean_length"):
        first, last = result[f"{name}_first"], result[f"{name}_last"]
        if first is not None:
            typer.echo(f"  {name:12} {first:.3f} → {last:.3f}  (first and last steps)")
    for line in result["warnings"]:
        typer.echo(f"! {line}")
