"""``inkfire tasks``: the tasks that come with inkfire, and how to begin one's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from inkfire.cli.common import Json, emit, say
from inkfire.tasks.task import DATA, load_task, new_task, task_names

app = App(name="tasks", help="What to write: list, look at, begin your own.")


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


def _new(row: Mapping[str, Any]) -> None:
    if row["left_out"]:
        say(f"{', '.join(row['left_out'])}: left out, not in {row['language']}")
    say(f"{row['folder']}: change title and description in task.toml first; prompts speak through them")
    say(f"then look at it: inkfire tasks show {row['folder']}")


def _list(result: Mapping[str, Any]) -> None:
    for row in result["tasks"]:
        say(f"{row['name']:16} {row['language']}  {row['title']}")


def _show(task: Mapping[str, Any]) -> None:
    say(f"{task['name']} ({task['language']}): {task['title']}\n{task['description']}\n")
    say(f"{task['queries']} queries, {task['labelled']} labelled texts, {task['pairs']} pairs")
    say(f"in {task['folder']}, version {task['version']}")
    say("\nrubric")
    for dimension in task["rubric"]:
        say(f"  {dimension['weight']:.2f} {dimension['name']}: {dimension['description']}")
    for kind in ("principles", "flaws"):
        say(f"\n{kind}")
        for rule in task[kind]:
            say(f"  - {rule}")
