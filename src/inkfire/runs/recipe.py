"""What a recipe holds: a whole experiment as data, one table a stage.

recipe = load_recipe("demo-zh")          # a recipe that ships, or the path of a .toml file
recipe.policies[0].reward                # "rm": who scores is one line
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import Field

from inkfire.errors import RecipeError
from inkfire.judge.examples import Choice
from inkfire.settings import Strict, load_toml, nearest


class Models(Strict):
    """``writer`` is trained; ``agents`` debates, judges and attacks."""

    writer: str
    agents: str


class Data(Strict):
    """The user's own files; what is not named comes from the task. Paths are relative to the recipe."""

    queries: Path | None = None
    labelled: Path | None = None
    pairs: Path | None = None
    examples: Path | None = None


class Sft(Strict):
    """``micro_batch_size`` rows of a step's ``batch_size`` go through the model at once: fewer need less memory.

    A checkpoint every ``save_steps``: what a kill can lose.
    """

    epochs: float = Field(default=2.0, gt=0)
    learning_rate: float = Field(default=2e-4, gt=0)
    batch_size: int = Field(default=8, ge=1)
    micro_batch_size: int = Field(default=8, ge=1)
    save_steps: int = Field(default=10, ge=1)


class Curate(Strict):
    """``candidates`` for each of ``queries`` from each of two writers: the policy and the agents' model."""

    queries: int = Field(default=12, ge=1)
    candidates: int = Field(default=2, ge=1)
    temperature: float = Field(default=0.9, ge=0)
    pair_policy: Literal["best-worst", "length-matched", "all"] = "length-matched"


class RewardModel(Strict):
    kind: Literal["linear", "transformer"] = "linear"
    base: str | None = None


class Refine(Strict):
    rounds: int = Field(default=1, ge=0)
    attacks: int = Field(default=4, ge=1)
    errors: int = Field(default=6, ge=1)


class JudgeSection(Strict):
    """``fit_fraction`` of the labelled queries refine and calibrate the judge; the others measure it.

    ``labelled`` bounds the texts that are judged for it (all, when None): on a CPU each takes a second or two.
    ``examples`` of the former are shown to it before each text: the same ones, half of them good, or the ``nearest``,
    each of which is read anew, where a server's prefix cache serves the same ones.
    """

    mode: Literal["verdict", "logprob", "rubric", "debate"] = "logprob"
    fit_fraction: float = Field(default=0.5, gt=0, lt=1)
    labelled: int | None = Field(default=None, ge=20)
    examples: int = Field(default=0, ge=0, multiple_of=2)
    examples_choice: Choice = "fixed"
    value: Literal["probability", "label"] = "probability"


class Grpo(Strict):
    """``micro_batch_size`` completions go through the model at once (all, when None): less needs less memory."""

    max_steps: int = Field(default=6, ge=1)
    batch_size: int = Field(default=2, ge=1)
    num_generations: int = Field(default=4, ge=2)
    max_completion_length: int = Field(default=48, ge=4)
    learning_rate: float = Field(default=1e-4, gt=0)
    beta: float = Field(default=0.0, ge=0)
    temperature: float = Field(default=1.0, gt=0)
    micro_batch_size: int | None = Field(default=None, ge=1)


class PolicySpec(Strict):
    """A condition: which policy it starts from, and the one line that says who scores."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9+_-]*$")
    start: str = "sft"
    reward: str


class Evaluate(Strict):
    queries: int = Field(default=20, ge=1)
    temperature: float = Field(default=0.7, ge=0)
    signals: tuple[Literal["judge", "rm", "debate", "rubric"], ...] = ("judge", "rm")


class Recipe(Strict):
    """A whole experiment. ``max_tokens`` stands in for the task's: how long a text may be in this run."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    task: str
    max_tokens: int | None = Field(default=None, ge=1, le=8192)
    models: Models
    data: Data = Data()
    sft: Sft = Sft()
    curate: Curate = Curate()
    reward_model: RewardModel = RewardModel()
    refine: Refine = Refine()
    judge: JudgeSection = JudgeSection()
    grpo: Grpo = Grpo()
    policies: tuple[PolicySpec, ...] = ()
    evaluate: Evaluate = Evaluate()


def recipe_names() -> list[str]:
    """The recipes that ship with the package."""
    folder = resources.files("inkfire.recipes")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def recipe_path(name_or_path: str) -> Path:
    """The file of a recipe, by name or path.

    Raises:
        RecipeError: neither a file nor the name of a recipe that ships.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" or path.is_file():
        return path
    names = recipe_names()
    if name_or_path not in names:
        raise RecipeError(f"unknown recipe {name_or_path!r}{nearest(name_or_path, names)}")
    return Path(str(resources.files("inkfire.recipes") / f"{name_or_path}.toml"))


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe; its data paths become absolute, relative to the recipe's own folder."""
    path = recipe_path(name_or_path)
    recipe = load_toml(path, Recipe)
    known = ["base", "sft"]
    for policy in recipe.policies:
        if policy.name in known:
            raise RecipeError(f"{path}: policies: the name {policy.name!r} is taken")
        if policy.start not in known:
            raise RecipeError(
                f"{path}: policies: {policy.name!r} starts from {policy.start!r}{nearest(policy.start, known)}"
            )
        known.append(policy.name)
    data = {key: path.parent.absolute() / value for key, value in recipe.data if value is not None}
    return recipe.model_copy(update={"data": Data(**data)})
