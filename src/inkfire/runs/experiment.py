"""Run a recipe: its stages in order, each done once.

A stage whose result is in the run folder is not run again; one that was interrupted is entered again and finds its
checkpoint (a training) or its replies (the ledger). The plan is data: ``plan(recipe)`` lists what will run.

    result = run_recipe(load_recipe("demo-zh"), Path("runs/demo"))
    result["evaluation"]["rm-rl"]["excellent_rate"]["judge"]
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from inkfire.files.run import Run
from inkfire.judge.judging import Access
from inkfire.runs import stages
from inkfire.runs.context import Context
from inkfire.runs.memory import give_back
from inkfire.runs.recipe import Recipe
from inkfire.tasks.task import load_task

Stage = Callable[[Context], dict[str, Any]]


def plan(recipe: Recipe) -> list[tuple[str, Stage]]:
    """The stages of a recipe in order, by name. A policy's own name is the name of its GRPO stage."""
    steps: list[tuple[str, Stage]] = [
        ("audit", stages.audit_data),
        ("sft", stages.sft),
        ("curate", stages.curate_pairs),
        ("reward_model", stages.reward_model),
        ("refine", stages.refine_principles),
        ("judge", stages.fit_judge),
    ]
    steps += [(policy.name, partial(stages.grpo, policy=policy)) for policy in recipe.policies]
    return [*steps, ("evaluate", stages.evaluate)]


def run_recipe(
    recipe: Recipe,
    out: Path,
    *,
    seed: int = 0,
    access: Access = Access(),
) -> dict[str, Any]:
    """Run (or resume) every stage of ``recipe`` in ``out`` and draw the report.

    Returns:
        ``stages`` (name → seconds), ``evaluation`` (policy → rates), ``comparison`` (all of it), ``calls`` the run
        consists of, ``cached`` (those of them that this process did not have to send) and ``report`` (a path).

    Raises:
        RunFolderError: ``out`` holds another run.
        BudgetExceeded, EndpointDown: stopped; the same call resumes.
    """
    from inkfire.report.page import write_report

    task = load_task(recipe.task)
    inputs = {"task": task.folder} | {name: path for name, path in recipe.data if path is not None}
    settings = recipe.model_dump(mode="json", exclude={"data"})
    run = Run.open(out, command="run", settings=settings, inputs=inputs, seed=seed)
    sent = 0
    with access.ledger(run) as ledger:
        context = Context(recipe, run, ledger, seed, access.base_url)
        steps = plan(recipe)
        try:
            for number, (name, stage) in enumerate(steps, 1):
                if run.done(name) is not None:
                    context.say(f"[{number}/{len(steps)}] {name}: done before")
                    continue
                context.say(f"[{number}/{len(steps)}] {name}")
                started, before = time.monotonic(), ledger.stats()
                result = stage(context)
                give_back()  # the next stage needs what this one's models took
                used = _used(before, ledger.stats())
                run.complete(name, result | used, seconds=time.monotonic() - started)
            sent = ledger.stats()["calls"] - ledger.stats()["cached"]
        finally:
            context.close()
    comparison = run.done("evaluate") or {}
    calls = sum((run.done(name) or {}).get("calls", 0) for name, _ in steps)
    return {
        "stages": run.seconds(),
        "evaluation": comparison["policies"],
        "comparison": comparison,
        "calls": calls,
        "cached": calls - sent,
        "report": str(write_report(out)),
    }


def _used(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What a stage took: calls (sent, or answered in an earlier process; a repeat within the run counts once), and
    the tokens and cost of those that this process sent."""
    used = {key: after[key] - before[key] for key in ("calls", "cached", "recalled", "tokens", "cost", "failures")}
    return {
        "calls": used["calls"] - used["cached"] + used["recalled"],
        **{key: used[key] for key in ("tokens", "cost", "failures")},
    }
