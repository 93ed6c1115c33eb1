"""What a training of a policy found, in sentences: SFT, best-of-n and DPO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inkfire.report.words import number, percent, several

Result = Mapping[str, Any]


def went(result: Result, name: str) -> str:
    first, last = result[f"{name}_first"], result[f"{name}_last"]
    return "is not known" if first is None or last is None else f"went from {number(first)} to {number(last)}"


def sft(result: Result) -> list[str]:
    said = [f"In {several(result['steps'], 'step')} on {several(result['n'], 'text')} the loss {went(result, 'loss')}."]
    if result.get("eval_loss") is not None:
        held_out, step = several(result["n_held_out"], "held-out text"), result["best_step"]
        said.append(f"On {held_out} it was lowest at step {step}, which is kept: {number(result['eval_loss'])}.")
    return [*said, "A lower loss says that it writes more like these texts, not that it writes better."]


def bon(result: Result) -> list[str]:
    """Of best-of-n: what was chosen from, and how far that can lead."""
    last, bound = result["rounds"][-1], f"{result['kl_bound']:.2f} nats a text"
    winners = several(sum(row["winners"] for row in result["rounds"]), "best one")
    said = [
        f"{_wrote(result)}, and {winners} were learnt from.",
        f"In the last round the mean reward was {number(last['reward'])} of all, {number(last['reward_winners'])} of "
        f"the best. These are at most {bound} from the policy that wrote them.",
    ]
    return [*said, "A higher reward is what was trained, not yet better writing."]


def dpo(result: Result) -> list[str]:
    """Of DPO: on pairs that were there, or on those of each round."""
    if "rounds" not in result:
        told = (
            f"In {several(result['steps'], 'step')} on {several(result['n'], 'pair')} the loss {went(result, 'loss')}"
        )
        return [f"{told}.", _gained(result)]
    pairs = several(sum(row["pairs"] for row in result["rounds"]), "pair")
    return [f"{_wrote(result)}, and {pairs} of best and worst were learnt from.", _gained(result["rounds"][-1])]


def _wrote(result: Result) -> str:
    rounds, texts = several(len(result["rounds"]), "round"), several(result["completions"], "text")
    return f"In {rounds} it wrote {texts}, {result['reward_calls']:,} of which the reward was asked for"


def _gained(result: Result) -> str:
    if result["steps"] < 2 or result["accuracy_last"] is None:  # before the first step neither text has gained
        return "One step is too few to say what the chosen texts gained."
    share = percent(result["accuracy_last"])
    return (
        f"In the last steps the chosen text gained on the other in {share} of the pairs: that is no better writing yet."
    )
