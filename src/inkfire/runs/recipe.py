"""What a recipe holds: a whole experiment as data, one table a stage, each the settings of that stage's command.

recipe = load_recipe("demo-zh")          # a recipe that ships, or the path of a .toml file
recipe.policies[0].reward                # "rm": who scores is one line
"""

from __future__ import annotations

import dataclasses
import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from inkfire.errors import InkfireError, RecipeError, TaskError
from inkfire.files.jsonl import atomic
from inkfire.files.reading import AS_IT_STANDS, Reading
from inkfire.files.reading import Data as Files
from inkfire.judge.spec import JudgeSettings
from inkfire.models.open import check_name, is_local
from inkfire.models.release import release_folder
from inkfire.refine.settings import RefineSettings
from inkfire.rewards import checks
from inkfire.rewards.load import check_reward, is_relative, parts_of, placeholders
from inkfire.rewards.shaped import Shaping
from inkfire.runs.curate import CurateSettings
from inkfire.runs.evaluate import EvaluateSettings
from inkfire.runs.qualify import QUALIFY
from inkfire.runs.signals import SIGNALS
from inkfire.settings import load_toml, nearest, settings
from inkfire.tasks.task import load_task
from inkfire.training.settings import BonSettings, DpoSettings, GrpoSettings, RewardModelSettings, SftSettings

OWN = ("rm", "judge")
"""Rewards and signals that the recipe itself makes."""

_RENAMED = {("curate", "queries"): "limit", ("curate", "pair_policy"): "pairs"}
_NAME = re.compile(r"[a-z0-9][a-z0-9+_-]*")


@settings
class Models:
    """Who writes and who judges."""

    writer: str
    """The model that is trained, as weights in every stage: local/NAME, a .gguf, a folder or a hub id."""
    agents: str
    """The model that debates, judges and forges."""


@settings
class Data:
    """The user's own files, one or a list of them; what is not named comes from the task. Paths are relative to the
    recipe; release:NAME/FILE is a file of a release that inkfire data pull NAME has fetched."""

    queries: Path | Files | None = None
    """Queries to train on and to hold out."""
    curate_queries: Path | Files | None = None
    """Queries to curate pairs for; those to train on, if none."""
    good: Path | Files | None = None
    """Good texts for SFT. If none, the task's good.jsonl, or the good labelled ones and the chosen ones of pairs."""
    labelled: Path | Files | None = None
    """Labelled texts: they calibrate, refine and measure the judge; without good, the good ones are learnt from."""
    pairs: Path | Files | None = None
    """Preference pairs, beside the curated ones."""
    examples: Path | Files | None = None
    """Good texts that agents are shown; the good labelled ones that fit the judge, if none."""


@settings
class RewardModelTable(RewardModelSettings):
    """The reward model, and which pairs it learns from and what it is shown afterwards."""

    pairs: Literal["both", "curated", "data"] = "both"
    """curated: what five agents curate in this run; data: the recipe's or the task's; both together."""
    qualify: Annotated[int, Ge(0)] = QUALIFY
    """Good texts that it is shown beside each kind of damage; 0: none."""


@settings
class JudgeTable(JudgeSettings):
    """The judge, and which labelled texts fit and measure it."""

    fit_fraction: Annotated[float, Gt(0), Lt(1)] = 0.5
    """Share of the labelled queries that refine and calibrate the judge; the others measure it."""
    labelled: Annotated[int, Ge(20)] | None = None
    """At most so many labelled texts are judged for it: on a CPU each takes a second or two."""
    qualify: Annotated[int, Ge(0)] | None = None
    """Good texts that it is shown beside each kind of damage: 40, so 280 texts more; a debate 0; 0: none."""
    value: Literal["probability", "label"] = "probability"
    """What the judge gives as a reward: P(Good), or 0 and 1."""


@settings
class GrpoTable(GrpoSettings):
    """GRPO, and the queries that it looks at and does not train on."""

    validation: Annotated[int, Ge(0), Le(16)] = 0
    """Queries that no training sees, to write for every validation_steps."""


@settings
class EvaluateTable(EvaluateSettings):
    """The comparison, and how many queries are held out for it."""

    queries: Annotated[int, Ge(1)] = 20
    """Queries that no other stage sees."""
    signals: tuple[str, ...] = OWN
    """judge and rm (this recipe's), debate (as its curation debates), rubric, pairwise; the length twin beside them."""
    others: tuple[str, ...] = ()
    """NAME=MODEL of models that are only compared, at the endpoint; left out where there is no OPENAI_API_KEY."""


@settings
class RewardTable(Shaping):
    """Who scores, and what keeps a policy from finding what that overrates."""

    name: str
    """By which a policy names it as its reward."""
    score: str
    """rm, judge, a folder, rank:, tournament:, reference: or checklist:JUDGE, python:FILE:FUNCTION, share:X, a weighted
    sum as 0.7*judge + 0.3*rm, or min(rm, judge)."""
    force: bool = False
    """Take a reward that is refused: a judge no better than chance, or damage that nothing sees."""


@settings
class PolicySpec:
    """A condition: which policy it starts from, and the one line that says who scores."""

    name: str
    """Of the policy and its folder."""
    start: str = "sft"
    """base, sft, or a policy above."""
    reward: str
    """The name of one of [[rewards]], or what its score may be."""
    method: Literal["grpo", "bon", "dpo"] = "grpo"
    """How it is trained, by the table of that name; dpo on pairs of its own texts."""
    canary: tuple[str, ...] = ()
    """Of grpo: signals that are no part of the reward and watch it, as score names them; a refused one is left out."""


@settings
class Recipe:
    """A whole experiment."""

    name: str
    """Of the experiment."""
    task: str
    """A task's name (inkfire tasks list) or its folder."""
    max_tokens: Annotated[int, Ge(1)] | None = None
    """Of a text in this run; the task's own if none."""
    models: Models
    data: Data = Data()
    reading: Reading = AS_IT_STANDS
    sft: SftSettings = SftSettings()
    curate: CurateSettings = CurateSettings()
    reward_model: RewardModelTable = RewardModelTable()
    refine: RefineSettings = RefineSettings()
    judge: JudgeTable = JudgeTable()
    grpo: GrpoTable = GrpoTable()
    bon: BonSettings = BonSettings()
    dpo: DpoSettings = DpoSettings()
    rewards: tuple[RewardTable, ...] = ()
    policies: tuple[PolicySpec, ...] = ()
    evaluate: EvaluateTable = EvaluateTable()

    def reward_of(self, policy: PolicySpec) -> RewardTable:
        """The table that a policy's reward names, or one with that score alone."""
        named = next((table for table in self.rewards if table.name == policy.reward), None)
        return named or RewardTable(name=policy.name, score=policy.reward)

    def training_of(self, policy: PolicySpec) -> GrpoSettings | BonSettings | DpoSettings:
        """The table of a policy's method."""
        table: GrpoSettings | BonSettings | DpoSettings = getattr(self, policy.method)
        return table


def recipe_names() -> list[str]:
    """The recipes that ship with the package."""
    folder = resources.files("inkfire.recipes")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def recipe_lines() -> list[str]:
    """Their names, each with what it is: the comment on its file's first line."""
    firsts = {name: recipe_path(name).read_text("utf-8").partition("\n")[0] for name in recipe_names()}
    return [f"{name:{max(map(len, firsts))}}  {line.lstrip('# ')}" for name, line in firsts.items()]


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


def new_recipe(path: Path, *, like: str) -> None:
    """A recipe of one's own, named after its file: a copy of another one.

    Raises:
        RecipeError: no recipe ``like``, or the file is there already.
    """
    if path.exists():
        raise RecipeError(f"{path} is there already; name a new file")
    text = recipe_path(like).read_text(encoding="utf-8")
    name = re.sub(r"[^a-z0-9_-]+", "-", path.stem.lower()).strip("-") or "mine"
    with atomic(path) as file:
        file.write(re.sub(r"^name = .*$", f'name = "{name}"', text, count=1, flags=re.MULTILINE).encode())


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe; its data paths become absolute, relative to the recipe's own folder.

    Raises:
        RecipeError: what is wrong with it: file, line and key are named.
    """
    path = recipe_path(name_or_path)
    recipe = load_toml(path, Recipe, renamed=_RENAMED)
    if not _NAME.fullmatch(recipe.name.replace(".", "-")):
        raise RecipeError(f"{path}: name: {recipe.name!r} must be of a-z, 0-9, -, . and _")
    known = ["base", "sft"]
    for policy in recipe.policies:
        if not _NAME.fullmatch(policy.name):
            raise RecipeError(f"{path}: policies: the name {policy.name!r} must be of a-z, 0-9, +, - and _")
        if policy.name in (*known, *STAGES, "data", "stages"):
            raise RecipeError(f"{path}: policies: the name {policy.name!r} is taken")
        if policy.start not in known:
            raise RecipeError(
                f"{path}: policies: {policy.name!r} starts from {policy.start!r}{nearest(policy.start, known)}"
            )
        known.append(policy.name)
    for other in recipe.evaluate.others:
        name, _, model = other.partition("=")
        if not _NAME.fullmatch(name) or not model or name in known:
            raise RecipeError(f"{path}: evaluate.others: {other!r}: write NAME=MODEL, with a name that no policy has")
    for name in recipe.evaluate.against:
        if name not in known:
            raise RecipeError(f"{path}: evaluate.against: {name!r} is no policy of this recipe{nearest(name, known)}")
    home = path.parent.absolute()
    data = {
        name: _located(value, home) if isinstance(value, Path) else tuple(_located(one, home) for one in value)
        for name, value in vars(recipe.data).items()
        if value
    }
    rewards = tuple(_found(table, home) for table in recipe.rewards)
    names = [table.name for table in rewards]
    if taken := [name for name in names if names.count(name) > 1 or name in OWN or not _NAME.fullmatch(name)]:
        raise RecipeError(f"{path}: rewards: the name {taken[0]!r} is taken, or not of a-z, 0-9, +, - and _")
    policies = tuple(
        dataclasses.replace(policy, canary=tuple(_rooted(name, home) for name in policy.canary))
        for policy in recipe.policies
    )
    return dataclasses.replace(recipe, data=Data(**data), rewards=rewards, policies=policies)


def _found(table: RewardTable, home: Path) -> RewardTable:
    """A reward whose files lie where the recipe says, from its own folder."""
    listed = tuple(checks.within(spec, home) for spec in table.checks)
    reference = table.reference and home / table.reference
    return dataclasses.replace(table, score=_rooted(table.score, home), checks=listed, reference=reference)


def _rooted(score: str, home: Path) -> str:
    return re.sub(r"python:([^:,]+):", lambda of: f"python:{home / of[1]}:", score)


def _located(path: Path, home: Path) -> Path:
    """Where a file of a recipe lies: beside the recipe, or in a release."""
    release = re.fullmatch(r"release:([\w.-]+)/(.+)", str(path))
    if release is None:
        return home / path
    folder = release_folder(release[1])
    if not (folder / release[2]).is_file():
        raise RecipeError(
            f"{path}: the release is not here: inkfire data pull {release[1]} --evaluation fetches it into {folder}"
        )
    return folder / release[2]


STAGES = ("audit", "sft", "candidates", "curate", "reward_model", "refine", "judge", "evaluate")


def check_recipe(recipe: Recipe, *, base_url: str | None = None) -> None:
    """Whether every name in a recipe means something, before the first stage.

    Raises:
        RecipeError: an unknown signal or reward.
        ModelNameError, InputError: an unknown model, or an endpoint without its key.
    """
    check_name(recipe.models.writer, weights=True)
    check_name(recipe.models.agents, base_url=base_url)
    if recipe.reward_model.base is not None:
        check_name(recipe.reward_model.base, weights=True)
    writers = [spec.partition(",")[0] for spec in recipe.curate.writer]
    if recipe.models.writer in writers and not is_local(recipe.models.writer):
        raise RecipeError(
            f"curate.writer: {recipe.models.writer} is the writer, trained here and asked at no endpoint; what "
            "it writes after SFT is among the candidates already: leave it out"
        )
    authors = (recipe.refine.author_model, recipe.judge.author_model)
    for model in filter(None, (*writers, *_debaters(recipe), *authors)):
        check_name(model, base_url=base_url)
    signals = [signal for signal in SIGNALS if signal != "length"]
    for signal in recipe.evaluate.signals:
        if signal not in signals:
            raise RecipeError(f"evaluate.signals: unknown signal {signal!r}{nearest(signal, signals)}")
    if "debate" not in recipe.evaluate.signals and (given := recipe.evaluate.given()):
        raise RecipeError(f'evaluate: {given[0]} is a setting of a debate, and no signal is one: signals = ["debate"]')
    for table in recipe.rewards:
        if table.base is not None:
            check_name(table.base, weights=True)
    for policy in recipe.policies:
        table = recipe.reward_of(policy)
        try:
            for part in rewards_of(table):
                if part not in OWN:
                    check_reward(part, force=table.force)
            checks.Checks.parse(table.checks)
        except InkfireError as error:
            known = [table.name for table in recipe.rewards]
            named = nearest(policy.reward, known) if known and policy.reward not in known else ""
            raise RecipeError(f"policies: the reward of {policy.name!r}: {error}{named}") from error
        _check_canaries(policy, table)


def _check_canaries(policy: PolicySpec, reward: RewardTable) -> None:
    """Raises RecipeError where a canary means nothing, or could not contradict the reward."""
    if policy.canary and policy.method != "grpo":
        raise RecipeError(f"policies: {policy.name!r}: a canary watches grpo; method = {policy.method!r} has no steps")
    for name in policy.canary:
        try:
            for part in _parts(name):
                if part not in OWN:
                    check_reward(part)
            if is_relative(name):
                raise RecipeError("it is centred in each group, so that its mean never falls")
        except InkfireError as error:
            raise RecipeError(f"policies: the canary of {policy.name!r}: {error}{nearest(name, OWN)}") from error
        if shared := {*_parts(name)} & {*rewards_of(reward)}:
            raise RecipeError(f"policies: the canary of {policy.name!r}: {shared.pop()} is a part of its reward")


def rewards_of(table: RewardTable) -> list[str]:
    """The parts of a reward's score."""
    return _parts(table.score)


def own_signals(recipe: Recipe, policy: PolicySpec) -> set[str]:
    """Those of :data:`OWN` that a policy's training asks, as its reward or as a canary."""
    asked = {part for name in policy.canary for part in _parts(name)}
    return {*OWN} & {*asked, *rewards_of(recipe.reward_of(policy))}


def _parts(score: str) -> list[str]:
    return [part for _, part in parts_of(score)] or [score]


def for_task(recipe: Recipe, name: str) -> Recipe:
    """A recipe that ships, for another task (a name or folder): with the checks and the length of that task.

    Raises:
        TaskError: no such task, or none in the language of the recipe's.
    """
    task, own = load_task(name), load_task(recipe.task)
    if task.language != own.language:
        raise TaskError(f"{name} is in another language ({task.language}) than {recipe.name}: name a recipe of its own")
    within = tuple(checks.within(check, task.folder) for check in task.checks)
    rewards = tuple(dataclasses.replace(table, checks=within) for table in recipe.rewards)
    grpo = dataclasses.replace(recipe.grpo, max_completion_length=task.max_tokens)
    return dataclasses.replace(recipe, task=name, max_tokens=None, rewards=rewards, grpo=grpo)


def placed(table: RewardTable) -> tuple[RewardTable, dict[str, Path]]:
    """A reward as a manifest says it, with names for its files and folders, and those."""
    score, folders = placeholders(table.score)
    listed, files = checks.placeholders(table.checks)
    files |= {"reference": table.reference} if table.reference else {}
    return dataclasses.replace(table, score=score, checks=tuple(listed), reference=None), folders | files


def _debaters(recipe: Recipe) -> list[str]:
    """The agents that have models of their own."""
    specs = [spec for table in (recipe.curate, recipe.judge, recipe.evaluate) for spec in table.agent]
    return [name for spec in specs if (name := spec.partition("=")[2]) != "off"]
