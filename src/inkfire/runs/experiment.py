"""Run a recipe: its stages in order, each a command's run in a folder below, done once.

A stage whose result is in the run folder is not run again; one that was interrupted is entered again and finds its
checkpoint (a training) or its replies (the ledger). A recipe that was changed redoes the stages that depend on the
change, with consent. The plan is data: ``stages_of(recipe)`` lists what will run (see plan.py).

    result = run_recipe(load_recipe("demo-zh"), Place(Path("runs/demo")))
    result["evaluation"]["rm-rl"]["excellent_rate"]["judge"]
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from inkfire.debate.settings import AGENTS
from inkfire.errors import InputError
from inkfire.files.run import EVERYTHING, Redone, Run
from inkfire.llm.bill import FIELDS, used
from inkfire.runs import memory, speed, stages
from inkfire.runs.before_after import before_after
from inkfire.runs.context import Place, named_files, note, opened, read_as
from inkfire.runs.memory import give_back
from inkfire.runs.recipe import Recipe, check_recipe, placed
from inkfire.runs.refine import training_and_validation
from inkfire.runs.splits import Splits, make_splits
from inkfire.runs.stages import Experiment, Stage, basis
from inkfire.settings import from_json, to_json
from inkfire.tasks.task import load_task
from inkfire.tasks.uses import COMMANDS, refine_prompts
from inkfire.training import ranks

# Of a stage's result: not what it found, and another number where it was stopped on the way.
_OF_THE_PROCESS = (
    "seconds",
    "calls",
    "cached",
    "tokens",
    *FIELDS,
    "out",
    "waiting",
    "seconds_canaries",
    *memory.FIELDS,
    *speed.FIELDS,
)


def stages_of(recipe: Recipe) -> list[tuple[str, Stage]]:
    """The stages of a recipe in order, by name. A policy's own name is the name of its GRPO stage."""
    steps: list[tuple[str, Stage]] = [
        ("audit", stages.audit_data),
        ("sft", stages.sft),
        ("candidates", stages.candidates),
        ("curate", stages.curate),
        ("reward_model", stages.reward_model),
        ("refine", stages.refine),
        ("judge", stages.judge),
    ]
    if not stages.curates(recipe):
        steps = [(name, stage) for name, stage in steps if name not in stages.CURATION]
    steps += [(policy.name, partial(stages.policy, policy=policy)) for policy in recipe.policies]
    return [*steps, ("evaluate", stages.evaluate)]


def run_recipe(recipe: Recipe, place: Place) -> dict[str, Any]:
    """Run (or resume) every stage of ``recipe`` and draw the report.

    Returns:
        ``stages`` (name → seconds), ``evaluation`` (policy → rates), ``comparison`` (all of it), ``calls`` the run
        consists of, ``cached`` (those of them that this process did not have to send) and ``report`` (a path).

    Raises:
        InputError: a name in the recipe means nothing, or the data are too few; before the first stage.
        RunFolderError: the folder holds another run.
        BudgetExceeded, EndpointDown: stopped; the same call resumes.
    """
    from inkfire.report.page import write_report

    with _experiment(recipe, place) as x:
        run, steps = x.context.run, stages_of(recipe)
        if not ranks.first():
            _follow(x, steps)
        for number, (name, stage) in enumerate(steps, 1):
            ranks.share(run.done(name) is None and name in _trained(recipe))
            if run.done(name) is not None:
                note(f"[{number}/{len(steps)}] {name}: done before")
                continue
            note(f"[{number}/{len(steps)}] {name}")
            started, before = time.monotonic(), x.context.ledger.stats()
            result = {key: value for key, value in stage(x).items() if key not in _OF_THE_PROCESS}
            give_back()  # the next stage needs what this one's models took
            took = used(before, x.context.ledger.stats())
            run.complete(name, result, seconds=time.monotonic() - started, used=took)
            for line in before_after(x.folder(name)):
                note(line)
        stats = x.context.ledger.stats()
        comparison = run.done("evaluate") or {}
        calls = sum(run.used().get(name, {}).get("calls", 0) for name, _ in steps)
        return {
            "stages": run.seconds(),
            "evaluation": comparison["policies"],
            "comparison": comparison,
            "calls": calls,
            "cached": calls - (stats["calls"] - stats["cached"]),
            "report": str(write_report(place.out)),
        }


def _trained(recipe: Recipe) -> list[str]:
    """The stages that several processes do together."""
    return ["sft", "reward_model", *(policy.name for policy in recipe.policies)]


def _follow(x: Experiment, steps: Sequence[tuple[str, Stage]]) -> None:
    """What a process does that is not the first: the trainings, when the first one comes to them."""
    for _, stage in steps:
        if ranks.share(False):
            with suppress(ranks.Left):
                stage(x)
            give_back()
    ranks.leave()


def _check_weights(recipe: Recipe, place: Place) -> None:
    """Whether what is trained can be: a model may lack a tokenizer, an end of its texts, a chat template of use."""
    scorer = recipe.reward_model.base if recipe.reward_model.kind == "transformer" else None
    for stage, model in (("sft", recipe.models.writer), ("reward_model", scorer)):
        if model is not None and Run(place.out, {}).done(stage) is None:
            from inkfire.models.policy import find_model

            find_model(model)


@contextmanager
def _experiment(recipe: Recipe, place: Place) -> Iterator[Experiment]:
    """The recipe's run folder, once everything in the recipe was found to mean something."""
    task, splits = checked(recipe, place)
    ranks.check_whole_weights()
    for name in (policy.name for policy in recipe.policies if policy.method != "grpo" or recipe.grpo.redraw):
        ranks.alone(f"the policy {name!r} (bon, dpo, or grpo with redraw)")
    _check_weights(recipe, place)
    inputs = {"task": task.folder} | named_files(recipe.data)
    about = {key: value for key, value in to_json(recipe).items() if key not in ("data", "reading", "rewards")}
    used = {policy.method for policy in recipe.policies}
    about = {key: value for key, value in about.items() if key not in {"bon", "dpo"} - used}
    usual: tuple[tuple[str, Any], ...] = (("method", "grpo"), ("canary", []))
    about["policies"] = [{k: v for k, v in row.items() if (k, v) not in usual} for row in about["policies"]]
    about["grpo"] = {k: v for k, v in about["grpo"].items() if (k, v) != ("validation", 0)}
    about |= read_as(recipe.reading)
    if recipe.rewards:
        tables = [(table.name, *placed(table)) for table in recipe.rewards]
        about["rewards"] = [to_json(table) for _, table, _ in tables]
        inputs |= {f"{name}: {key}": path for name, _, files in tables for key, path in files.items()}
    with opened("run", place, settings=about, files=inputs, redo=partial(_redo, recipe, place)) as context:
        yield Experiment(recipe, task, splits, context)


def checked(recipe: Recipe, place: Place) -> tuple[Any, Splits]:
    task = load_task(recipe.task).limited(recipe.max_tokens)
    task.require(*(name for name in COMMANDS["run"].prompts if name not in AGENTS))
    task.require(*refine_prompts(recipe.refine.detector))
    check_recipe(recipe, base_url=place.access.base_url)
    recipe.curate.settled(task, recipe.models.agents)
    recipe.judge.check(task, recipe.models.agents)
    splits = make_splits(recipe, task, place.seed)
    training_and_validation(splits.fit, recipe.refine.validation, place.seed)  # found out now, not after a training
    return task, splits


def _redo(recipe: Recipe, place: Place, changed: Sequence[str]) -> Redone:
    before = ran_with(place)
    if before is None or any(not name.startswith("settings.") for name in changed):
        return EVERYTHING
    names = outdated(before, recipe)
    if not names:
        return Redone("nothing: only names changed", ())
    return Redone(f"the stages {', '.join(names)}", tuple(f"stages/{name}.json" for name in names))


def ran_with(place: Place) -> Recipe | None:
    """The recipe that the folder was run with; None where there is none that can be read."""
    try:
        return from_json(Run.read(place.out).manifest["settings"], Recipe)
    except (InputError, KeyError):
        return None


def outdated(before: Recipe, recipe: Recipe) -> list[str]:
    """The stages that a changed recipe makes void: those that it decides otherwise, and all that read their results."""
    old = basis(before)
    void: list[str] = []
    for stage, (decides, needs) in basis(recipe).items():
        if old.get(stage) != (decides, needs) or set(needs) & set(void):
            void.append(stage)
    return void
