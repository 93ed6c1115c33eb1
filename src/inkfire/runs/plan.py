"""What a recipe would do: its stages, and about how many calls, tokens, money and how much memory each takes.

    plan(load_recipe("paper-zh"), Place(Path("runs/paper")))[3]
    # {"stage": "curate", "state": "to do", "calls": 360000, "tokens": 430000000, "cost": 190.0, …, "memory_gib": None}

Calls and tokens are those of models that judge, write or debate; replies in the ledger cost none. Money is what the
tokens cost by prices.toml, a fifth of them as replies; unknown where a model has no price. Memory is that of the
weights that a stage has in this process, by their precision and what training keeps beside them; activations and the
texts of a batch come on top. All of it is rough: it tells an afternoon from a month.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

from inkfire.files.run import Run
from inkfire.llm.base import Usage
from inkfire.llm.prices import Prices, prices_beside
from inkfire.models import store
from inkfire.models.open import is_local
from inkfire.runs.context import Place
from inkfire.runs.experiment import checked, outdated, ran_with, stages_of
from inkfire.runs.recipe import PolicySpec, Recipe, own_signals, rewards_of
from inkfire.runs.splits import Splits
from inkfire.training.settings import GrpoSettings

_DEBATE = 4  # calls a text: Positive, Negative, Judge, Reflect
_TOKENS = {"short": 410, "full": 1300, "verdict": 900, "logprob": 420, "rubric": 600, "forge": 700, "write": 220}
"""Of a call, prompt and reply, as the shipped tasks' prompts make them."""
_REPLY = 0.2
"""Share of the tokens of a call that the model writes: a verdict with a reason; less where it only says a label."""
_EXAMPLE = 60
"""Tokens of an example that a judge is shown."""
_TRAINED = {"lora": 2.5, "full": 16.0, "frozen": 2.0, "engine": 0.7}
"""Bytes a parameter: bf16 and an adapter; float32 with gradients and AdamW's two moments; bf16; a 4-bit file."""


def plan(recipe: Recipe, place: Place) -> list[dict[str, Any]]:
    """For each stage its ``state`` (done, to do, redo), ``calls``, ``tokens``, ``cost``, ``currency`` and
    ``memory_gib``. Nothing is written.

    The cost is None where the agents have no price, the memory where the size of a model cannot be told from its name.
    """
    task, splits = checked(recipe, place)
    before = ran_with(place)
    void = outdated(before, recipe) if before is not None else []
    recipe = dataclasses.replace(recipe, curate=recipe.curate.settled(task, recipe.models.agents))  # its depth, decided
    rows, prices = [], prices_beside(Run(place.out, {}).ledger_path)
    for name, _ in stages_of(recipe):
        done = Run(place.out, {}).done(name) is not None
        state = "to do" if not done else "redo" if name in void else "done"
        asked = [] if state == "done" else calls(recipe, splits, name)
        tokens = sum(count * each for count, each in asked)
        rows.append(
            {
                "stage": name,
                "state": state,
                "calls": sum(count for count, _ in asked),
                "tokens": _rounded(tokens),
                "cost": money(tokens, recipe.models.agents, prices),
                "currency": prices.currency,
                "memory_gib": 0.0 if state == "done" else memory(recipe, name),
            }
        )
    return rows


def money(tokens: float, model: str, prices: Prices) -> float | None:
    """What so many tokens cost, by a model's price; None where it has none."""
    if not tokens:
        return 0.0
    if (price := prices.of(model)) is None:
        return None
    written = int(_REPLY * tokens)
    return float(f"{price.cost(Usage(int(tokens) - written, written)):.2g}")


def calls(recipe: Recipe, splits: Splits, stage: str) -> list[tuple[int, int]]:
    """About how many calls a stage takes, and tokens each, by their kinds."""
    judged = _judged(recipe)
    labelled = len(splits.fit) + len(splits.test)
    if stage == "curate":
        queries = min(recipe.curate.limit or len(splits.curated), len(splits.curated))
        texts = queries * recipe.curate.candidates * 2  # the policy's own, and the second writer's
        return [(texts // 2, _TOKENS["write"]), (_DEBATE * texts, _debated(recipe))]
    if stage == "refine":
        table = recipe.refine
        half = min(table.validation or labelled, len(splits.fit) // 2)
        tried = table.rounds * (1 if table.accept == "all" else 2) * half + 2 * min(table.test or labelled, labelled)
        reflected = min(table.training or len(splits.fit), len(splits.fit)) * table.rounds
        return [
            (table.rounds * (4 * table.attacks + 2 * table.errors), _TOKENS["forge"]),
            (tried + reflected, _TOKENS[table.detector] + _EXAMPLE * table.examples),
        ]
    if stage == "judge":
        return [(labelled * judged[0], judged[1])]
    if stage == "evaluate":
        policies = 2 + len(recipe.policies)
        others = len(splits.held_out) * len(recipe.evaluate.others)
        texts = len(splits.held_out) * policies + others
        kinds = {"judge": judged, "debate": (_DEBATE, _debated(recipe)), "rubric": (1, _TOKENS["rubric"])}
        asked = [kinds[name] for name in recipe.evaluate.signals if name in kinds]
        return [(others, _TOKENS["write"]), *((count * texts, each) for count, each in asked)]
    policy = _policy(recipe, stage)
    if policy is None or "judge" not in own_signals(recipe, policy):
        return []
    how, rewards = recipe.training_of(policy), "judge" in rewards_of(recipe.reward_of(policy))
    if isinstance(how, GrpoSettings):
        steps = how.steps(len(splits.train))
        looks = steps // how.validation_steps * len(splits.validation)
        texts = how.batch_size * how.num_generations * (steps if rewards else min(steps, 2 + steps // how.canary_steps))
        texts += looks if rewards else 0
    else:
        texts = how.rounds * how.n * min(how.limit or len(splits.train), len(splits.train))
    return [(judged[0] * texts, judged[1])]


def _judged(recipe: Recipe) -> tuple[int, int]:
    """Calls of a judged text, and the tokens of one."""
    table = recipe.judge
    if table.mode == "debate":
        return _DEBATE * table.votes, _debated(recipe)
    return table.votes, _TOKENS[table.mode] + _EXAMPLE * table.examples


def _debated(recipe: Recipe) -> int:
    """Tokens of a call in a debate."""
    return _TOKENS[recipe.curate.depth or "short"]


def _policy(recipe: Recipe, stage: str) -> PolicySpec | None:
    return next((policy for policy in recipe.policies if policy.name == stage), None)


# ---- memory --------------------------------------------------------------------------------------------------------


def memory(recipe: Recipe, stage: str) -> float | None:
    """GiB of the weights in this process, with what training keeps beside them; None where a size is not known."""
    writer, agents = recipe.models.writer, recipe.models.agents
    asked = [(agents, "engine")] if is_local(agents) else []
    scorer = [(recipe.reward_model.base or writer, "lora")] if recipe.reward_model.kind == "transformer" else []
    policy = _policy(recipe, stage)
    if policy is not None:
        reward, grpo = recipe.reward_of(policy), recipe.grpo
        asked_for, weights = own_signals(recipe, policy), grpo.weights if policy.method == "grpo" else "lora"
        start = [(writer, "frozen")] if weights == "full" and grpo.first_beta() else []
        own = [(name, "frozen") for name, _ in scorer] if "rm" in asked_for else []
        reader = [(reward.base or writer, "frozen")] if reward.reads else []
        return _gib([(writer, weights), *start, *reader, *own, *(asked if "judge" in asked_for else [])])
    by_stage: dict[str, list[tuple[str, str]]] = {
        "sft": [(writer, "lora")],
        "candidates": [(writer, "frozen")],
        "curate": asked,
        "reward_model": scorer,
        "refine": asked,
        "judge": asked,
        "evaluate": [(writer, "frozen"), *((name, "frozen") for name, _ in scorer), *asked],
    }
    return _gib(by_stage.get(stage, []))


def _gib(models: Iterable[tuple[str, str]]) -> float | None:
    total = 0.0
    for name, how in models:
        if (size := parameters(name)) is None:
            return None
        total += size * _TRAINED[how] / 2**30
    return round(total, 1)


def parameters(model: str) -> float | None:
    """How many parameters a model has, by its name or by the file of it that is here.

    >>> parameters("hf/Qwen/Qwen2.5-7B-Instruct"), parameters("local/smollm2-135m"), parameters("gpt-5")
    (7000000000.0, 135000000.0, None)
    """
    if found := re.search(r"(?<![\w.])(\d+(?:\.\d+)?)\s?([bm])(?![a-z0-9])", model.rpartition("/")[2], re.IGNORECASE):
        return float(found[1]) * {"b": 1e9, "m": 1e6}[found[2].lower()]
    if is_local(model) and store.is_file_name(model) and store.path(model).is_file():
        return store.path(model).stat().st_size / _TRAINED["engine"]
    return None


def _rounded(tokens: float) -> int:
    """To two figures: more would be made up."""
    return int(float(f"{tokens:.2g}"))
