"""``inkfire train sft``, ``rm`` and ``grpo``: the folder given as --out is the policy or the reward afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import App

from inkfire.cli.common import Json, Out, Seed, Yes, emit, flat, measured, say
from inkfire.runs import train
from inkfire.runs.context import Access, Place
from inkfire.runs.train import GrpoInputs, RewardModelInputs, SftInputs
from inkfire.training.settings import GrpoSettings, RewardModelSettings, SftSettings

app = App(name="train", help="Train a writer or a reward model.")


@app.command
def sft(
    *,
    inputs: Annotated[SftInputs, flat],
    settings: Annotated[SftSettings, flat] = SftSettings(),
    out: Out,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    r"""Fine-tune a model on good texts.

    Example: inkfire train sft --task greetings-zh \
        --base local/qwen2.5-coder-0.5b --out runs/sft
    """
    emit(train.sft(inputs, settings, Place(out, seed, yes=yes)), as_json=json)


@app.command
def rm(
    *,
    inputs: Annotated[RewardModelInputs, flat] = RewardModelInputs(),
    settings: Annotated[RewardModelSettings, flat] = RewardModelSettings(),
    out: Out,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Train a reward model on preference pairs, and measure it on queries it has not seen.

    Example: inkfire train rm --pairs runs/pairs/pairs.jsonl --out runs/rm
    """
    result = train.reward_model(inputs, settings, Place(out, seed, yes=yes))
    emit(result, as_json=json, show=_show_reward_model)


@app.command
def grpo(
    *,
    inputs: Annotated[GrpoInputs, flat],
    settings: Annotated[GrpoSettings, flat] = GrpoSettings(),
    access: Annotated[Access, flat] = Access(),
    out: Out,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    r"""Train a policy against a reward by GRPO.

    Example: inkfire train grpo --task greetings-zh --policy runs/sft \
        --reward runs/rm --out runs/rm-rl
    """
    emit(train.grpo(inputs, settings, Place(out, seed, access, yes)), as_json=json, show=_show_grpo)


def _show_reward_model(result: Mapping[str, Any]) -> None:
    say(f"{result['kind']} reward model in {result['out']}, {result['seconds']:.1f} s")
    say(f"measured on {result['n']} pairs ({result['measured_on']}):")
    show_slices(result)
    say(f"threshold for excellent {result['threshold']:.3f} (from {result['threshold_n']} {result['threshold_from']})")
    for line in result["warnings"]:
        say(f"! {line}")


def show_slices(result: Mapping[str, Any]) -> None:
    """Accuracy on pairs, slice by slice, beside "the longer wins"."""
    for name, label, n in (
        ("accuracy", "all pairs", "n"),
        ("accuracy_length_matched", "length-matched", "n_length_matched"),
        ("accuracy_chosen_shorter", "chosen is shorter", "n_chosen_shorter"),
        ("longer_wins", "the longer wins", "n"),
    ):
        if result[name] is not None:
            say(f"  {label:18} {measured(result, name, gap='  ')}  n = {result[n]}")


def _show_grpo(result: Mapping[str, Any]) -> None:
    say(f"policy in {result['out']}: {result['steps']} steps, {result['seconds']:.0f} s")
    for name in ("reward", "mean_length"):
        first, last = result[f"{name}_first"], result[f"{name}_last"]
        if first is not None:
            say(f"  {name:12} {first:.3f} → {last:.3f}  (first and last steps)")
    for line in result["warnings"]:
        say(f"! {line}")
