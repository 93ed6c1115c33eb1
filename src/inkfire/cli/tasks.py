"""``inkfire tasks``: the tasks that come with inkfire, and how to begin one's own."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from inkfire.cli.common import Json, Seed, Table, emit, flat, grid, say
from inkfire.report.words import several
from inkfire.runs.damage import DamageInputs
from inkfire.runs.damage import damage as make_damage
from inkfire.tasks.fill import FillInputs, fill_task
from inkfire.tasks.task import DATA, HELD_OUT, load_task, new_task, task_names

app = App(
    name="tasks",
    help="What to write: list, look at, begin your own, check it.\n\nExample: inkfire tasks new poems --blank",
)


@app.command(name="list")
def list_(*, json: Json = False) -> None:
    """List the tasks that come with inkfire.

    Example: inkfire tasks list
    """
    tasks = [load_task(name) for name in task_names()]
    rows = [{"name": task.name, "language": task.language, "title": task.title} for task in tasks]
    emit({"tasks": rows}, as_json=json, show=_list)


@app.command
def show(
    task: Annotated[str, Parameter(help="A task's name or its folder.")],
    /,
    *,
    json: Json = False,
) -> None:
    """Check a task's files, its prompts and data included, and print what it holds.

    Example: inkfire tasks show greetings-zh
    """
    loaded = load_task(task)
    counts = {name: len(getattr(loaded, name)()) if loaded.has(name) else 0 for name in DATA}
    emit(loaded.model_dump(mode="json") | counts, as_json=json, show=_show)


@app.command
def new(
    folder: Annotated[Path, Parameter(help="The folder to make; the task is named after it.")],
    /,
    *,
    from_: Annotated[
        str | None,
        Parameter(
            name=("--from", "--like"),
            help="A task to begin from, by name or folder; greetings-en, unless --language is another.",
        ),
    ] = None,
    blank: Annotated[bool, Parameter(help="Begin from general rules, without data.")] = False,
    language: Annotated[str | None, Parameter(help="The code of the language to write in, as fa.")] = None,
    json: Json = False,
) -> None:
    """Begin a task of your own, with prompts that speak of it through its title and description.

    Example: inkfire tasks new poems --blank --language fa
    """
    left_out = new_task(folder, like=from_, language=language, blank=blank)
    made = load_task(str(folder))
    about = {"name": made.name, "folder": str(folder), "language": made.language, "left_out": left_out}
    emit(about | {"like": from_, "blank": blank}, as_json=json, show=_new)


@app.command
def fill(
    folder: Annotated[Path, Parameter(help="The task's folder.")],
    /,
    *,
    inputs: Annotated[FillInputs, flat] = FillInputs(),
    yes: Annotated[bool, Parameter(help="Write over data that is there.")] = False,
    json: Json = False,
    seed: Seed = 0,
) -> None:
    r"""Fill a task with queries, labelled texts and pairs from files of any format.

    A part of the queries is set apart in held-out.jsonl: compare policies on
    those.

    Example: inkfire tasks fill cards --queries asks.csv --labelled rated.csv \
        --column query=Ask response=Text label=Verdict --label print=1 bin=0
    """
    written = fill_task(folder, inputs, overwrite=yes, seed=seed)
    emit({"folder": str(folder), "written": written}, as_json=json, show=_fill)


@app.command
def check(
    folder: Annotated[Path, Parameter(help="The task's folder.")],
    /,
    *,
    json: Json = False,
    seed: Seed = 0,
) -> int:
    """Look for what is wrong with a task, in its prompts and its data, and say which commands it is ready for.

    Example: inkfire tasks check poems
    """
    from inkfire.tasks.check import check_task

    found = check_task(folder, seed=seed)
    emit(found, as_json=json, show=_check)
    return 0 if found["ok"] else 2


@app.command
def damage(
    task: Annotated[str, Parameter(help="A task's name or its folder.")],
    /,
    *,
    inputs: Annotated[DamageInputs, flat] = DamageInputs(),
    out: Annotated[Path, Parameter(help="The .jsonl file to write.")],
    json: Json = False,
    seed: Seed = 0,
) -> None:
    """Damage good texts in ways that a reward has to see: a file of them for score, judge or train.

    Example: inkfire tasks damage greetings-zh --kind shuffled --out damaged.jsonl
    """
    emit(make_damage(task, inputs, out, seed=seed), as_json=json, show=_damage)


def _damage(row: Mapping[str, Any]) -> None:
    say(f"{row['out']} has {several(row['rows'], 'damaged text')} made of {several(row['texts'], 'good text')}.")
    grid(
        Table([(kind, str(n), str(row["left_out"][kind])) for kind, n in row["made"].items()], ("", "made", "left out"))
    )
    say(f"Next: {shlex.join(['inkfire', 'score', '--reward', 'REWARD', '--data', row['out']])}")


def _new(row: Mapping[str, Any]) -> None:
    if row["left_out"]:
        say(f"{', '.join(row['left_out'])}: left out, not in {row['language']}")
    say(f"{row['folder']}: change title and description in task.toml first; prompts speak through them")
    filled = any((Path(row["folder"]) / f"{name}.jsonl").is_file() for name in DATA)
    if not filled:
        say(f"Next: {shlex.join(['inkfire', 'tasks', 'fill', row['folder']])} --queries F --labelled F --pairs F")
    say(f"{'Next' if filled else 'and then'}: {shlex.join(['inkfire', 'tasks', 'check', row['folder']])}")


def _fill(row: Mapping[str, Any]) -> None:
    said = ", ".join(f"{name} ({several(count, 'row')})" for name, count in row["written"].items())
    say(f"{row['folder']} has {said}.")
    if HELD_OUT in row["written"]:
        held_out = shlex.quote(f"{row['folder']}/{HELD_OUT}")
        say(f"Nothing is trained on the queries held out: compare policies by inkfire evaluate --prompts {held_out}")
    say(f"Next: {shlex.join(['inkfire', 'tasks', 'check', row['folder']])}")


def _check(found: Mapping[str, Any]) -> None:
    data, levels = found["data"], Counter(finding["level"] for finding in found["findings"])
    ready = sum(state["ready"] for state in found["commands"].values())
    wrong = ", ".join(several(levels[level], level) for level in ("error", "warning", "note") if levels[level])
    say(f"{found['name']} is ready for {ready} of {len(found['commands'])} commands; {wrong or 'nothing is wrong'}.")
    say(f"\n{found['name']} ({found['language']}) in {found['folder']}, version {found['version']}")
    good, bad = several(data["good"], "good text"), several(data["bad"], "bad text")
    learnt = f"; a writer learns from {several(data['to_learn'], 'good text')}" if data["to_learn"] else ""
    say(f"{several(data['queries'], 'query', 'queries')}, {good}, {bad}, {several(data['pairs'], 'pair')}{learnt}")
    if found["slices"]:
        say("slices: " + ", ".join(f"{name} {n}" for name, n in found["slices"].items()))
    for level in ("error", "warning", "note"):
        for finding in found["findings"]:
            if finding["level"] == level:
                say(f"{level:8} {finding['where']}: {finding['message']}")
    say()
    rows = [
        ("yes" if state["ready"] else "no", command, "; ".join(state["missing"]))
        for command, state in found["commands"].items()
    ]
    grid(Table(rows, ("ready", "command", "missing")))


def _list(result: Mapping[str, Any]) -> None:
    for row in result["tasks"]:
        say(f"{row['name']:16} {row['language']}  {row['title']}")


def _show(task: Mapping[str, Any]) -> None:
    say(f"{task['name']} ({task['language']}): {task['title']}\n{task['description']}\n")
    labelled, pairs = several(task["labelled"], "labelled text"), several(task["pairs"], "pair")
    say(f"{several(task['queries'], 'query', 'queries')}, {labelled}, {pairs}")
    say(f"in {task['folder']}, version {task['version']}")
    say("\nrubric")
    for dimension in task["rubric"]:
        say(f"  {dimension['weight']:.2f} {dimension['name']}: {dimension['description']}")
    for kind in ("principles", "flaws"):
        say(f"\n{kind}")
        for rule in task[kind]:
            say(f"  - {rule}")
