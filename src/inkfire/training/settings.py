"""How SFT, a reward model and GRPO are trained. No torch here: the command line and recipes read these.

The paper's numbers are the preset ``paper`` (recipes/presets/paper.toml); the defaults here are for LoRA on small
models.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from inkfire.errors import InputError
from inkfire.settings import WithPreset, option, settings

ReportTo = Literal["tensorboard", "trackio", "wandb"]
TEMPERATURE = 0.8
"""That of ``inkfire write``: what a trained writer is looked at, and exported, with."""


@settings
class Lora:
    """A new adapter. One that a policy to start from has is trained on as it is."""

    lora_rank: Annotated[int, Ge(1)] = 16
    """Of a new adapter; one that a policy to start from has stays as it is."""
    lora_alpha: Annotated[int, Ge(1)] = 32
    """Of LoRA: its weights count alpha / rank times."""
    lora_targets: Annotated[tuple[str, ...], option(several=True)] = ()
    """Layers with LoRA, say q_proj v_proj; all linear ones if none."""


@settings
class SftSettings(Lora):
    """Supervised fine-tuning."""

    epochs: Annotated[float, Gt(0)] = 2.0
    """Passes over the data."""
    learning_rate: Annotated[float, Gt(0)] | None = None
    """Of LoRA; falls linearly to 0. If none by the number of texts, from 2e-5 to 1e-4."""
    batch_size: Annotated[int, Ge(1)] = 8
    """Texts an optimizer step."""
    micro_batch_size: Annotated[int, Ge(1)] | None = None
    """Texts at once, at most: fewer need less memory. If none what fits on a GPU; 8 without one."""
    max_length: Annotated[int, Ge(1)] = 512
    """Tokens of prompt and text together; what is longer is cut."""
    test_fraction: Annotated[float, Ge(0), Lt(1)] | None = None
    """Share of the queries held out, whose loss says which step is kept; if none 0.1 of 50 texts or more."""
    patience: Annotated[int, Ge(1)] | None = None
    """Stop when so many looks at the held-out texts, two an epoch, were no better."""
    samples: Annotated[int, Ge(0)] = 16
    """Texts that the trained writer and its base write at the end, to see whether it fell apart; 0: none."""
    save_steps: Annotated[int, Ge(1)] = 10
    """Steps between checkpoints: what a kill can lose."""
    report_to: ReportTo | None = None
    """Also send the numbers of each step there, by the library's own client."""

    def rate(self, texts: int) -> float:
        """The learning rate for so many texts: 1e-4 · √(texts / 800), from 2e-5 to 1e-4.

        Of a writer of 0.5B, LoRA of rank 16: on sixteen texts 2e-4 made it repeat itself and 6e-5 began to, 2e-5 to
        3e-5 left it fluent; on 800 texts one epoch at 1e-4 did.
        """
        if self.learning_rate is not None:
            return self.learning_rate
        return float(f"{min(1e-4, max(2e-5, 1e-4 * math.sqrt(texts / 800))):.2g}")

    def held_out(self, texts: int) -> float:
        """The share of the queries held out of so many texts."""
        return self.test_fraction if self.test_fraction is not None else 0.1 if texts >= 50 else 0.0


@settings
class Rounds:
    """Texts of the policy's own that a reward scores, n for each query of a round."""

    rounds: Annotated[int, Ge(1)] = 1
    """How often texts are written, scored and learnt from, by the policy of the round before."""
    n: Annotated[int, Ge(2), Le(1000), option("-n", "--n")] = 8
    """Texts a query."""
    limit: Annotated[int, Ge(1)] | None = None
    """Queries a round, other ones each time; all if none."""
    temperature: Annotated[float, Gt(0)] = 1.0
    """Of these texts."""
    max_completion_length: Annotated[int, Ge(1)] | None = None
    """Tokens of such a text; the task's max_tokens if none."""


@settings
class BonSettings(Rounds, SftSettings):
    """Best-of-n: SFT on the best of n texts of the policy's own."""


@settings
class DpoSettings(Lora, Rounds):
    """DPO (Rafailov et al. 2023), by TRL. The first five are for pairs that a reward makes."""

    beta: Annotated[float, Gt(0)] = 0.1
    """How much the distance from the reference, which is where the round starts, counts."""
    epochs: Annotated[float, Gt(0)] = 1.0
    """Passes over the pairs."""
    learning_rate: Annotated[float, Gt(0)] = 2e-5
    """Of LoRA; falls linearly to 0."""
    batch_size: Annotated[int, Ge(1)] = 8
    """Pairs an optimizer step."""
    micro_batch_size: Annotated[int, Ge(1)] | None = None
    """Pairs at once, at most: fewer need less memory. If none what fits on a GPU; 4 without one."""
    max_length: Annotated[int, Ge(1)] = 512
    """Tokens of prompt and text together; what is longer is cut."""
    samples: Annotated[int, Ge(0)] = 16
    """Texts that the trained writer and its base write at the end, to see whether it fell apart; 0: none."""
    save_steps: Annotated[int, Ge(1)] = 10
    """Steps between checkpoints: what a kill can lose."""
    report_to: ReportTo | None = None
    """Also send the numbers of each step there, by the library's own client."""


@settings
class RewardModelSettings(Lora, WithPreset):
    """A reward model. LoRA, and all from ``epochs`` on, matter to the transformer only."""

    kind: Literal["linear", "transformer"] = "linear"
    """linear: character n-grams, seconds on a CPU; transformer: LoRA on a model."""
    base: Annotated[str | None, option("--base", "--model")] = None
    """The model under a transformer: local/NAME, folder, hub id."""
    test_fraction: Annotated[float, Gt(0), Lt(1)] = 0.2
    """Share of the queries held out to measure."""
    length_debias: bool = False
    """Balance the pairs by length, and take what log length explains out of the score."""
    negatives: Literal["damaged"] | None = None
    """damaged: add pairs whose loser is a chosen text damaged by code."""
    negatives_share: Annotated[float, Gt(0), Le(5)] = 0.5
    """Such pairs for each pair to train on."""
    epochs: Annotated[float, Gt(0)] = 5.0
    """Passes over the data."""
    learning_rate: Annotated[float, Gt(0)] = 2e-4
    """Of LoRA; falls linearly to 0."""
    batch_size: Annotated[int, Ge(1)] = 16
    """Pairs an optimizer step."""
    micro_batch_size: Annotated[int, Ge(1)] | None = None
    """Pairs at once, at most: fewer need less memory. If none what fits on a GPU; 4 without one."""
    max_length: Annotated[int, Ge(1)] = 512
    """Tokens of prompt and text together."""
    save_steps: Annotated[int, Ge(1)] = 20
    """Steps between checkpoints: what a kill can lose. With --patience, a fifth of an epoch."""
    report_to: ReportTo | None = None
    """Also send the numbers of each step there, by the library's own client."""
    margin: Annotated[float, Ge(0)] = 0.0
    """By how much the chosen text's score has to be above the other's before the loss is content."""
    patience: Annotated[int, Ge(1)] | None = None
    """Look at held-back queries five times an epoch, stop when so many looks were no better, keep the best."""

    def check(self, *, task: object | None, start_from: object | None = None) -> None:
        """Raises InputError where the kind needs what is not there."""
        if self.kind == "linear" and start_from is not None:
            raise InputError(
                "--start-from goes on with a transformer; a linear reward model learns anew in seconds: give it all "
                "pairs, --pairs A --pairs B"
            )
        if self.kind == "transformer" and (task is None or (self.base is None) == (start_from is None)):
            raise InputError(
                "a transformer reward model needs a task (its template) and a base model: --task, and either --base or "
                "--start-from"
            )


@settings
class GrpoSettings(Lora, WithPreset):
    """GRPO (Shao et al. 2024), by TRL."""

    max_steps: Annotated[int, Ge(1)] | None = None
    """Generations of a batch at most; 10 if no epochs are given either."""
    epochs: Annotated[float, Gt(0)] | None = None
    """Passes over the prompts."""
    batch_size: Annotated[int, Ge(1)] = 2
    """Prompts a step."""
    mini_batch_size: Annotated[int, Ge(1)] | None = None
    """Prompts an update, of those of a step: half as many make two updates; all if none."""
    num_generations: Annotated[int, Ge(2)] = 4
    """Completions a prompt: the group."""
    redraw: Annotated[int, Ge(0)] = 0
    """How often groups whose rewards are all equal are drawn again, each for another prompt."""
    max_completion_length: Annotated[int, Ge(1)] | None = None
    """Tokens of a completion; the task's max_tokens if none."""
    max_prompt_length: Annotated[int, Ge(1)] | None = None
    """Tokens of a prompt, template and all; queries with longer ones are left out, and counted."""
    weights: Literal["lora", "full"] = "lora"
    """What is trained: an adapter (LoRA), or all weights (float32: 16 bytes a parameter)."""
    learning_rate: Annotated[float, Gt(0)] | None = None
    """Constant. If none what spends the budget in these steps; without a budget 1e-4, of all weights 1e-6."""
    kl_budget: Annotated[float, Gt(0)] | Literal["off"] = 4.0
    """How far the writer may go from the start, in nats a text (KL), on a course linear in steps; or off."""
    beta: Annotated[float, Ge(0)] | None = None
    """Weight of the KL term (k3, Schulman 2020): the first one under a budget (0.1 if none), else constant (0)."""
    entropy_target: Annotated[float, Gt(0)] | None = None
    """Nats a token: while texts have less entropy the loss has a bonus for it, that grows; no bonus if none."""
    keep: Annotated[int, Ge(0)] = 2
    """Policies of the way that stay, in kept/: the last that passed 0.5, 1, 2, 4, 8, … nats a text."""
    rollouts: Literal["here", "vllm-colocate", "vllm-server"] = "here"
    """Who writes the completions: this process, or vLLM on the same GPUs or on its own (docs/scaling.md)."""
    vllm_server: str | None = None
    """Where vllm-server is; port 8000 of this machine if none."""
    temperature: Annotated[float, Gt(0)] = 1.0
    """Of the completions."""
    epsilon: Annotated[float, Ge(0)] = 0.2
    """Clipping of the ratio."""
    epsilon_high: Annotated[float, Ge(0)] | None = None
    """Clipping above 1, of which more lets unlikely words grow (DAPO: 0.28); epsilon if none."""
    loss_type: Literal["grpo", "dapo", "dr_grpo", "bnpo"] = "dapo"
    """How tokens are averaged."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """What advantages are divided by: the standard deviation of the group, of the batch, or nothing (Dr. GRPO)."""
    mask_truncated: bool = False
    """Leave texts that met the length limit out of the loss; their rewards stay in the group's mean."""
    num_iterations: Annotated[int, Ge(1)] = 1
    """Passes over the completions of a step."""
    micro_batch_size: Annotated[int, Ge(1)] | None = None
    """Completions at once, at most: fewer need less memory. If none what fits on a GPU; all without one."""
    save_steps: Annotated[int, Ge(1)] = 1
    """Steps between checkpoints: what a kill can lose."""
    validation_steps: Annotated[int, Ge(1)] = 5
    """With --validation: steps between the looks at those queries."""
    min_coverage: Annotated[float, Ge(0), Le(1)] = 0.5
    """Share of the texts of three steps that need a reward; with fewer the training pauses (exit 4)."""
    on_alarm: Literal["note", "stop"] = "note"
    """When the texts turn (inkfire monitor --help): say so; or stop, and keep the policy from before."""
    canary_steps: Annotated[int, Ge(1)] = 5
    """Steps between readings of the canaries: signals that are no part of the reward."""
    profile: bool = False
    """Show the seconds of a step by phase: write, score, canaries, update, save."""
    report_to: ReportTo | None = None
    """Also send the numbers of each step there, by the library's own client."""

    def steps(self, prompts: int) -> int:
        """Generations of a batch in a training on so many prompts."""
        wanted = math.inf if self.epochs is None else math.ceil(self.epochs * prompts / self.batch_size)
        at_most = (10 if self.epochs is None else math.inf) if self.max_steps is None else self.max_steps
        return int(min(wanted, at_most))

    def check_rollouts(self) -> None:
        """Raises InputError where vLLM is to write and cannot."""
        if self.rollouts == "here":
            return
        if self.redraw:
            raise InputError(f"redraw is for rollouts here; with {self.rollouts} leave it out")
        if find_spec("vllm") is None:
            raise InputError(f"rollouts = {self.rollouts} needs vLLM, which is not installed; run: pip install vllm")

    def rate(self, steps: int) -> float:
        """The learning rate of a training of so many steps.

        KL grows with the square of what Adam has gone: a writer of 0.5B with LoRA, 16 completions a step, had about
        3e7 · (rate · steps)² nats a text. The course is linear, so the rate is what is on it after five steps, and
        would be far past it later: the KL term brakes. 1e-4 at most.
        """
        if self.learning_rate is not None:
            return self.learning_rate
        if self.kl_budget == "off":
            return 1e-4 if self.weights == "lora" else 1e-6
        lora = min(1e-4, math.sqrt(self.kl_budget / (3e7 * 5 * steps)))
        return float(f"{lora if self.weights == 'lora' else lora / 100:.2g}")

    def first_beta(self) -> float:
        """Raises InputError where a budget has no KL to look at."""
        if self.kl_budget == "off":
            return self.beta or 0.0
        if self.beta == 0:
            raise InputError('a budget needs a KL term: leave beta out, or set kl_budget = "off" (--kl-budget off)')
        return 0.1 if self.beta is None else self.beta

    def updates(self) -> int:
        """Optimizer steps a step.

        Raises:
            InputError: the parts of a batch are not equal.
        """
        part = self.mini_batch_size or self.batch_size
        if self.batch_size % part:
            raise InputError(f"batch_size = {self.batch_size} is no multiple of mini_batch_size = {part}")
        return self.batch_size // part

    def whole_step(self) -> int:
        """Optimizer steps for the texts of a step: its updates, as often as it is passed over."""
        return self.updates() * self.num_iterations

    def completions(self) -> int:
        """Completions of an optimizer step."""
        return self.batch_size * self.num_generations // self.updates()


def check_reports(report_to: ReportTo | None) -> None:
    """Raises InputError where the library that numbers are to be sent by is not installed."""
    if report_to is not None and find_spec(report_to) is None:
        raise InputError(f"--report-to {report_to} needs a library that is not installed; run: pip install {report_to}")
