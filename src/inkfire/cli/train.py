"""``inkfire train``: the folder given as --out is the policy or the reward afterwards."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from cyclopts import App

from inkfire.cli import shown
from inkfire.cli.common import Json, Out, Seed, Yes, emit, flat
from inkfire.rewards.shaped import Shaping
from inkfire.runs import train
from inkfire.runs.context import Access, Place
from inkfire.runs.train import BonInputs, DpoInputs, GrpoInputs, RewardModelInputs, SftInputs
from inkfire.training.settings import BonSettings, DpoSettings, GrpoSettings, RewardModelSettings, SftSettings

app = App(
    name="train",
    help="Train a writer or a reward model.\n\nExample: inkfire train rm --pairs runs/pairs/pairs.jsonl --out runs/rm",
)


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
    emit(train.sft(inputs, settings, Place(out, seed, yes=yes)), as_json=json, show=partial(shown.run, out))


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
    emit(result, as_json=json, show=partial(shown.run, out))


@app.command
def grpo(
    *,
    inputs: Annotated[GrpoInputs, flat],
    settings: Annotated[GrpoSettings, flat] = GrpoSettings(),
    shaping: Annotated[Shaping, flat] = Shaping(),
    access: Annotated[Access, flat] = Access(),
    out: Out,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    r"""Train a policy against a reward by GRPO.

    Example: inkfire train grpo --task greetings-zh --policy runs/sft \
        --reward runs/rm --check length:20..90 --check finished --fluency 1 \
        --length rescale --out runs/rm-rl
    """
    result = train.grpo(inputs, settings, Place(out, seed, access, yes), shaping)
    emit(result, as_json=json, show=partial(shown.run, out))


@app.command
def bon(
    *,
    inputs: Annotated[BonInputs, flat],
    settings: Annotated[BonSettings, flat] = BonSettings(),
    shaping: Annotated[Shaping, flat] = Shaping(),
    access: Annotated[Access, flat] = Access(),
    out: Out,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    r"""Train a policy on the best of n of its own texts, by a reward.

    Example: inkfire train bon --task greetings-zh --policy runs/sft \
        --reward runs/rm --check length:20..90 --check finished \
        -n 8 --rounds 2 --out runs/rm-bon
    """
    result = train.bon(inputs, settings, Place(out, seed, access, yes), shaping)
    emit(result, as_json=json, show=partial(shown.run, out))


@app.command
def dpo(
    *,
    inputs: Annotated[DpoInputs, flat],
    settings: Annotated[DpoSettings, flat] = DpoSettings(),
    shaping: Annotated[Shaping, flat] = Shaping(),
    access: Annotated[Access, flat] = Access(),
    out: Out,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    r"""Train a policy on preference pairs by DPO: those of a file, or of its own texts by a reward.

    Example: inkfire train dpo --task greetings-zh --policy runs/sft \
        --pairs runs/pairs/pairs.jsonl --out runs/dpo
    """
    result = train.dpo(inputs, settings, Place(out, seed, access, yes), shaping)
    emit(result, as_json=json, show=partial(shown.run, out))
