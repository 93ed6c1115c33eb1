"""What the commands that debate share: which good texts the agents are shown, and a debate as a curation had it."""

from __future__ import annotations

import dataclasses
from collections.abc import Set
from pathlib import Path
from typing import Any

from inkfire.debate.settings import AGENTS, DebateSettings
from inkfire.errors import InputError
from inkfire.files.formats import read_examples
from inkfire.files.reading import Data, Reading
from inkfire.files.run import Run, before_named
from inkfire.judge.spec import JudgeSettings
from inkfire.records import Example
from inkfire.runs.context import note
from inkfire.settings import from_json
from inkfire.tasks.task import Task

_DEFAULT = DebateSettings()


def corpus_of(task: Task, settings: DebateSettings, files: Data, reading: Reading) -> list[Example]:
    """The good texts of which agents are shown the nearest: those of ``files``, or else, in a full debate, the task's.

    Raises:
        InputError: files, and no examples to be shown; or a retrieval that cannot work.
        DataError: a file that cannot be read.
    """
    if files and not settings.k_final:
        raise InputError("--k-final 0 shows no examples: leave --corpus out, or raise it")
    corpus: list[Example] = []
    if files:
        corpus = read_examples(files, reading)
    elif settings.depth == "full" and settings.k_final:
        corpus = task.good_texts()
    settings.check_retrieval(searched=bool(corpus), otherwise="name good texts, --corpus FILE")
    return corpus


def debate_of(settings: JudgeSettings, task: Task, files: Data, reading: Reading, known: Set[str]) -> dict[str, Any]:
    """What of a judge is its debate: ``debate`` and ``corpus``, without the good texts that share a query with the
    ``known`` ones. Nothing, for another mode.

    Raises:
        InputError: as :func:`corpus_of`; or good texts for a judge that is shown none, or is shown others.
    """
    if settings.mode != "debate":
        if files:
            raise InputError("--corpus has good texts for the agents of a debate: add --mode debate")
        return {}
    if settings.examples:
        if files:
            raise InputError("the agents are shown good texts of --corpus, or labelled ones by --examples: choose one")
        return {"debate": settings.debate}
    corpus = corpus_of(task, settings, files, reading)
    apart = [example for example in corpus if example.query not in known]
    if dropped := len(corpus) - len(apart):
        note(f"{dropped} of {len(corpus)} good texts share a query with the labelled ones and are not shown to agents")
    return {"debate": settings.debate, "corpus": tuple(apart)}


def as_curated(
    folder: Path, task: Task, own: DebateSettings, files: Data, reading: Reading
) -> tuple[DebateSettings, list[Example]]:
    """The debate of a curation, and its corpus; what ``own`` and ``files`` say besides counts instead.

    Raises:
        InputError: the folder's run is no curation, or one of another task, or its corpus has changed.
        RunFolderError: the folder holds no run.
    """
    run = Run.read(folder)
    if run.manifest["command"] != "curate":
        made = run.manifest["command"]
        raise InputError(
            f"{folder} was made by inkfire {made}; a debate is copied from a curation (in a recipe's run: "
            f"{folder / 'curate'})"
        )
    said = run.manifest["settings"]
    if said["task"] != task.name:
        raise InputError(f"{folder} debated texts of the task {said['task']}, and these are of {task.name}")
    if said["task_version"] != task.version:
        note(f"{folder} debated with the task as it was then; its files have changed since")
    fields = [one.name for one in dataclasses.fields(DebateSettings)]
    copied = {name: before_named(said, name) for name in fields}
    copied |= {name: value for name in fields if (value := getattr(own, name)) != getattr(_DEFAULT, name)}
    agents = [f"{agent}={said['agents'].get(agent, 'off')}" for agent in AGENTS]
    settings = from_json(copied | {"agent": [*agents, *own.agent]}, DebateSettings).settled(task, "")
    if not files:
        files, reading = tuple(run.inputs("corpus").values()), from_json(said.get("reading", {}), Reading)
    return settings, corpus_of(task, settings, files, reading)
