"""``inkfire tasks``: the tasks that come with inkfire, and how to begin one's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from inkfire.cli.common import Json, emit

group = typer.Typer(name="tasks", help="What to write: list, look at, begin your own.", no_args_is_help=True)


@group.command("list")
def list_(json: Json = False) -> None:
    """List the tasks that come with inkfire."""
    from inkfire.tasks.task import load_task, task_names

    tasks = [load_task(name) for name in task_names()]
    rows = [{"name": task.name, "language": task.language, "title": task.title} for task in tasks]
    emit({"tasks": rows}, as_json=json, show=_list)


@group.command()
def show(
    task: Annotated[str, typer.Argument(help="A task's name or its folder.")],
    json: Json = False,
) -> None:
    """Check a task's files, its prompts and data included, and print what it holds."""
    from inkfire.tasks.task import load_task

    loaded = load_task(task)
    counts = {"queries": len(loaded.queries()), "labelled": len(loaded.labelled()), "pairs": len(loaded.pairs())}
    emit(loaded.model_dump(mode="json") | counts, as_json=json, show=_show)


@group.command()
def new(
    folder: Annotated[Path, typer.Argument(help="The folder to make; the task is named after it.")],
    like: Annotated[str, typer.Option("--like", help="The task to begin from.")] = "greetings-en",
    json: Json = False,
) -> None:
    """Begin a task of your own: a copy of another one, to be changed."""
    from inkfire.tasks.task import load_task, new_task

    new_task(folder, like=like)
    emit(
        {"name": load_task(str(folder)).name, "folder": str(folder), "like": like},
        as_json=json,
        show=lambda row: typer.echo(
            f"{row['folder']}: change task.toml first, then check it: inkfire tasks show FOLDER"
        ),
    )


def _list(result: Mapping[str, Any]) -> None:
    for row in result["tasks"]:
        typer.echo(f"{row['name']:16} {row['language']}  {row['title']}")


def _show(task: Mapping[str, Any]) -> None:
    typer.echo(f"{task['name']} ({task['language']}): {task['title']}\n{task['description']}\n")
    typer.echo(f"{task['queries']} queries, {task['labelled']} labelled texts, {task['pairs']} pairs")
    typer.echo(f"in {task['folder']}, version {task['version']}")
    typer.echo("\nrubric")
    for dimension in task["rubric"]:
        typer.echo(f"  {dimension['weight']:.2f} {dimension['name']}: {dimension['description']}")
    for kind in ("principles", "flaws"):
        typer.echo(f"\n{kind}")
        for rule in task[kind]:
            typer.echo(f"  - {rule}")
