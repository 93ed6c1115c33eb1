"""The stages of a recipe, in the order of the paper: each is a command's run in a folder below.

What a stage reads lies in files of the run: the splits under data/, what earlier stages made in their folders. So each
folder below is a run of its own, known by its settings and inputs, and what did not change is read back.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from inkfire.errors import InputError, RefusedReward
from inkfire.files.formats import read_pairs
from inkfire.files.jsonl import write_jsonl
from inkfire.judge.spec import JudgeSettings
from inkfire.records import Query
from inkfire.rewards.load import check_reward, renamed
from inkfire.rewards.shaped import Shaping
from inkfire.runs import curate as curating
from inkfire.runs import evaluate as evaluating
from inkfire.runs import judge as judging
from inkfire.runs import refine as refining
from inkfire.runs import train as training
from inkfire.runs.context import Context, note, opened
from inkfire.runs.recipe import OWN, PolicySpec, Recipe, own_signals, placed, rewards_of
from inkfire.runs.splits import Splits
from inkfire.runs.writers import Drawing, Source, as_weights, open_writer, written
from inkfire.settings import to_json
from inkfire.stats.audit import audit
from inkfire.tasks.task import Task
from inkfire.training.settings import GrpoSettings, RewardModelSettings


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A recipe at work in its folder."""

    recipe: Recipe
    task: Task
    splits: Splits
    context: Context

    def file(self, name: str) -> Path:
        """One of the splits."""
        return self.context.run.out / "data" / f"{name}.jsonl"

    def folder(self, stage: str) -> Path:
        return self.context.run.out / stage

    def policy(self, name: str) -> str:
        """A policy of this run, as a command names it."""
        return self.recipe.models.writer if name == "base" else str(self.folder(name))

    def reward(self, name: str) -> str:
        """A reward as a command names it: the run's own ``rm`` and ``judge`` are folders."""
        own = {"rm": str(self.folder("reward_model")), "judge": str(self.folder("judge"))}
        return renamed(name, lambda part: own.get(part, part))

    def said(self, refusal: RefusedReward) -> str:
        """In a recipe's words: its own folders by their names, and the key that takes the reward all the same."""
        own = str(refusal).replace(f"{self.context.run.out}/", "")
        return own.replace(refusal.TAKEN_WITH, "force = true in [[rewards]] takes it all the same")


Stage = Callable[[Experiment], dict[str, Any]]


def audit_data(x: Experiment) -> dict[str, Any]:
    """Fix the splits, and look for shortcuts in the data before anything learns from it."""
    x.splits.write(x.folder("data"))
    return {
        "labelled": audit(labelled=[*x.splits.fit, *x.splits.test], seed=x.context.seed),
        "pairs": audit(pairs=x.splits.pairs, seed=x.context.seed),
        "train_queries": len(x.splits.train),
        "held_out_queries": len(x.splits.held_out),
    }


def sft(x: Experiment) -> dict[str, Any]:
    """Fine-tune the writer on the good texts."""
    inputs = training.SftInputs(task=x.recipe.task, base=x.recipe.models.writer, data=(x.file("good"),))
    return training.sft(inputs, x.recipe.sft, x.context.below("sft"))


def candidates(x: Experiment) -> dict[str, Any]:
    """The policy's own texts for the queries of curation, as many as the second writer's."""
    table = x.recipe.curate
    queries = spread(x.splits.curated, table.limit or len(x.splits.curated))
    task = x.task.limited(table.max_tokens)
    about = {
        "temperature": table.temperature,
        "n": table.candidates,
        "max_tokens": task.max_tokens,
        "queries": [query.id for query in queries],
    }
    files = {"policy": x.folder("sft"), "prompts": x.file("curated_queries")}
    with opened("candidates", x.context.below("candidates"), settings=about, files=files) as context:
        sft = Source(x.policy("sft"), "weights")
        how = Drawing(n=table.candidates, temperature=table.temperature, max_tokens=task.max_tokens, seed=context.seed)
        asked = [query.query for query in queries]
        texts = written(context, "sft", lambda: open_writer(context, sft, task), asked, how).texts
        rows = [
            {"query": query, "response": text, "source": "sft"}
            for query, of_query in zip(asked, texts, strict=True)
            for text in of_query
            if text is not None
        ]
        write_jsonl(context.run.path("candidates.jsonl"), rows)
    return {"queries": len(queries), "candidates": len(rows)}


def curate(x: Experiment) -> dict[str, Any]:
    """Strategy A: the policy and a second writer write, five agents debate, verdicts make preference pairs."""
    agents, table = x.recipe.models.agents, x.recipe.curate
    if not table.writer:
        table = dataclasses.replace(table, writer=(f"{agents},prompt=writer_alt",))
    inputs = curating.CurateInputs(
        task=x.recipe.task,
        model=agents,
        candidates_from=(x.folder("candidates") / "candidates.jsonl",),
        corpus=(x.file("examples"),) if x.splits.examples else (),
    )
    return curating.curate(inputs, table, x.context.below("curate"))


def reward_model(x: Experiment) -> dict[str, Any]:
    """Train the reward model on the task's pairs and the curated ones; the labelled texts fit its threshold."""
    table, file = x.recipe.reward_model, x.folder("curate") / "pairs.jsonl"
    data = x.splits.pairs if table.pairs != "curated" else []
    curated = read_pairs(file) if table.pairs != "data" and file.stat().st_size else []
    if not data and not curated:
        raise InputError('reward_model: no pair was curated to learn from; pairs = "both" learns from the data\'s too')
    both = x.folder("data") / "pairs_and_curated.jsonl"
    pairs = [*data, *curated]
    rows = ({"query": p.query, "chosen": p.chosen, "rejected": p.rejected, "provenance": p.provenance} for p in pairs)
    write_jsonl(both, rows)
    settings = RewardModelSettings(**_of(RewardModelSettings, table))
    if settings.kind == "transformer" and settings.base is None:
        settings = dataclasses.replace(settings, base=x.recipe.models.writer)
    labelled = (x.file("labelled"),)
    inputs = training.RewardModelInputs(pairs=(both,), task=x.recipe.task, labelled=labelled, qualify=table.qualify)
    result = training.reward_model(inputs, settings, x.context.below("reward_model"))
    return result | {"pairs_data": len(data), "pairs_curated": len(curated)}


def refine(x: Experiment) -> dict[str, Any]:
    """Strategy B: adversarial rounds over the principles, accepted only where validation texts are judged better."""
    inputs = refining.RefineInputs(
        task=x.recipe.task,
        model=x.recipe.models.agents,
        prompts=(x.file("train_queries"),),
        labelled=(x.file("fit"),),
        tested_on=(x.file("test"),),
    )
    return refining.refine(inputs, x.recipe.refine, x.context.below("refine"))


def judge(x: Experiment) -> dict[str, Any]:
    """Calibrate the judge on the fit part, measure it on the test part, and save it."""
    table = x.recipe.judge
    settings = JudgeSettings(**_of(JudgeSettings, table))
    inputs = judging.JudgeInputs(
        task=x.recipe.task,
        model=x.recipe.models.agents,
        data=(x.file("test"),),
        principles=x.folder("refine") / "principles.toml",
        calibration=(x.file("fit"),),
        qualify=table.qualify,
    )
    result = judging.judge(inputs, settings, x.context.below("judge"))
    return result | {"model": inputs.model, "mode": table.mode, "n_fit": len(x.splits.fit)}


def policy(x: Experiment, policy: PolicySpec) -> dict[str, Any]:
    """Train one policy against its reward; a judge that is refused as a reward trains nothing, and that is said."""
    table: Any = x.recipe.training_of(policy)
    if table.max_completion_length is None:
        table = dataclasses.replace(table, max_completion_length=x.task.max_tokens)
    reward = x.recipe.reward_of(policy)
    train: Callable[..., dict[str, Any]] = getattr(training, policy.method)
    kinds = {"grpo": training.GrpoInputs, "bon": training.BonInputs, "dpo": training.DpoInputs}
    about: dict[str, Any] = {"reward": policy.reward, "start": policy.start}
    watching: dict[str, Any] = {}
    if policy.method == "grpo":
        table = GrpoSettings(**_of(GrpoSettings, table))
        canaries, left_out = _canaries(x, policy, force=reward.force)
        watching["canary"] = canaries
        watching["validation"] = (x.file("validation_queries"),) if x.splits.validation else ()
        about |= {"canaries_left_out": left_out} if left_out else {}
    inputs = kinds[policy.method](
        task=x.recipe.task,
        policy=x.policy(policy.start),
        reward=x.reward(reward.score),
        prompts=(x.file("train_queries"),),
        value=x.recipe.judge.value,
        force=reward.force,
        **watching,
    )
    shaping = Shaping(**_of(Shaping, reward))
    try:
        return train(inputs, table, x.context.below(policy.name), shaping) | about
    except RefusedReward as refusal:
        said = x.said(refusal)
        note(f"  {policy.name} is not trained: {said}")
        return {"refused": said} | about


def _canaries(x: Experiment, policy: PolicySpec, *, force: bool) -> tuple[tuple[str, ...], dict[str, str]]:
    """A policy's canaries as a command names them, and why those are left out that are refused as a reward."""
    found, left_out = [], {}
    for name in policy.canary:
        try:
            check_reward(x.reward(name), force=force)
        except RefusedReward as refusal:
            left_out[name] = x.said(refusal)
            note(f"  {policy.name} is trained without the canary {name}: {left_out[name]}")
        else:
            found.append(x.reward(name))
    return tuple(found), left_out


def evaluate(x: Experiment) -> dict[str, Any]:
    """Compare base, SFT and every policy on the held-out queries, by every signal, beside the length twin."""
    table = x.recipe.evaluate
    results = {policy.name: x.context.run.done(policy.name) or {} for policy in x.recipe.policies}
    refused = {name: result["refused"] for name, result in results.items() if "refused" in result}
    trained = [name for name in results if name not in refused]
    signals, left_out = [], {}
    others = table.others if os.environ.get("OPENAI_API_KEY") else ()
    not_asked = [] if others else [name.partition("=")[0] for name in table.others]
    for name in table.signals:
        folder = x.reward(name) if name in OWN else None
        if name == "debate" and curates(x.recipe):
            folder = str(x.folder("curate"))
        try:
            if folder is not None and name in OWN:
                check_reward(folder)
        except RefusedReward as refusal:
            left_out[name] = x.said(refusal)
        else:
            signals.append(name if folder is None else f"{name}={folder}")
    inputs = evaluating.EvaluateInputs(
        task=x.recipe.task,
        prompts=(x.file("held_out_queries"),),
        policies=(*(f"{name}={as_weights(x.policy(name))}" for name in ("base", "sft", *trained)), *others),
        signals=(*signals, "length"),
        model=x.recipe.models.agents,
        train=(x.file("good"),),
        length_from=(x.file("labelled"),),
    )
    about = _of(evaluating.EvaluateSettings, table) | {"max_tokens": table.max_tokens or x.task.max_tokens}
    about["against"] = tuple(name for name in table.against if name not in refused)
    result = evaluating.evaluate(inputs, evaluating.EvaluateSettings(**about), x.context.below("evaluate"))
    return result | {"left_out": left_out, "refused": refused, "not_asked": not_asked}


CURATION = ("candidates", "curate")


def curates(recipe: Recipe) -> bool:
    """Whether strategy A's pairs are made in this run."""
    return recipe.reward_model.pairs != "data"


def _of(settings: type[Any], table: Any) -> dict[str, Any]:
    """What of a recipe's table is the command's."""
    return {field.name: getattr(table, field.name) for field in dataclasses.fields(settings)}


def spread(queries: Sequence[Query], n: int) -> list[Query]:
    """``n`` queries at equal distances, so that every part of the list is there."""
    step = max(1, len(queries) // n)
    return list(queries[::step][:n])


def basis(recipe: Recipe) -> dict[str, tuple[Any, tuple[str, ...]]]:
    """Stage → (what of the recipe decides it, the stages whose results it reads)."""
    held_out = recipe.evaluate.queries, recipe.grpo.validation
    data = recipe.task, recipe.reading, recipe.judge.fit_fraction, recipe.judge.labelled, *held_out
    writer, agents, most = recipe.models.writer, recipe.models.agents, recipe.max_tokens
    judged = {key: value for key, value in to_json(recipe.judge).items() if key not in ("value", "fit_fraction")}
    stages: dict[str, tuple[Any, tuple[str, ...]]] = {
        "audit": (data, ()),
        "sft": ((recipe.sft, writer), ("audit",)),
        "candidates": ((recipe.curate.limit, recipe.curate.candidates, recipe.curate.temperature, most), ("sft",)),
        "curate": ((recipe.curate, agents, most), ("candidates",)),
        "reward_model": (recipe.reward_model, ("audit", "curate") if curates(recipe) else ("audit",)),
        "refine": ((recipe.refine, agents), ("audit",)),
        "judge": ((judged, agents), ("audit", "refine")),
    }
    start = {"base": "audit"}
    for policy in recipe.policies:
        reward, _ = placed(recipe.reward_of(policy))
        asked = own_signals(recipe, policy)
        uses = [stage for part, stage in (("rm", "reward_model"), ("judge", "judge")) if part in asked]
        needs = ("audit", start.get(policy.start, policy.start), *uses)
        value = recipe.judge.value if "judge" in rewards_of(reward) else None
        stages[policy.name] = ((policy, reward, recipe.training_of(policy), value, most), needs)
    compared = (recipe.evaluate, recipe.models, [policy.name for policy in recipe.policies], most)
    stages["evaluate"] = (compared, ("sft", "reward_model", "judge", *(policy.name for policy in recipe.policies)))
    return stages if curates(recipe) else {name: of for name, of in stages.items() if name not in CURATION}
