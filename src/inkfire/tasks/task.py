"""A task is a folder of data: what to write, how it is judged, and the words every agent is prompted with.

    task.toml        name, language, title, rubric, principles (S_D), flaws (S_G), slices, the judge's two answers
    queries.jsonl    {"query", "tags": [...]}
    labelled.jsonl   {"query", "response", "label", ...}    1 good, 0 bad: what judges are measured on
    pairs.jsonl      {"query", "chosen", "rejected", ...}
    prompts/*.jinja  one file per agent (see prompts.py)

>>> task = load_task("greetings-zh")                                                             # doctest: +SKIP
>>> task.render("judge", query=query, response=text, positive=None, negative=None, examples=[])  # doctest: +SKIP
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from inkfire.errors import TaskError
from inkfire.files.formats import read_labelled, read_pairs, read_queries
from inkfire.files.jsonl import atomic, sha256_file
from inkfire.records import Labelled, Message, Preference, Query, Rating
from inkfire.settings import Strict, load_toml, nearest
from inkfire.tasks.prompts import Prompt, parse_prompt
from inkfire.tasks.rubric import Dimension, Scale, check_rubric, rating_of, weighted

_HOME = Path(__file__).parent
_ITEM = "query response"
_PROMPTS = {  # prompt → the variables that it is given besides ``task``
    "writer": "query",  # the policy's two settings
    "writer_alt": "query",
    "positive": f"{_ITEM} examples",  # the debate
    "negative": f"{_ITEM} examples",
    "judge": f"{_ITEM} examples positive negative",
    "reflect": f"{_ITEM} examples positive negative verdict",
    "verdict": f"{_ITEM} examples principles",  # the judge's modes
    "logprob": f"{_ITEM} examples principles",
    "rubric": f"{_ITEM} examples",
    "pairwise": "query a b examples principles",
    "generator": "query flaws",  # the refinement of principles
    "detector": f"{_ITEM} principles",
    "reflector": f"{_ITEM} label verdict principles",
    "optimizer": "current proposals kind limit",
}

Text = Annotated[str, Field(min_length=1)]


class TaskFile(Strict):
    """What task.toml holds."""

    name: Text
    language: Annotated[str, Field(pattern="^[a-z]{2,3}$")]
    title: Text
    description: Text
    good: Annotated[str, Field(pattern=r"^\S+$")]
    bad: Annotated[str, Field(pattern=r"^\S+$")]
    max_tokens: Annotated[int, Field(ge=1, le=8192)]
    principles: Annotated[tuple[Text, ...], Field(min_length=1, max_length=10)]
    flaws: Annotated[tuple[Text, ...], Field(min_length=1, max_length=10)]
    slices: Annotated[dict[str, Text], Field(min_length=1)]
    injection: Literal["bad", "unscored"] = "bad"
    scale: Scale = (1, 3)
    rubric: tuple[Dimension, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_rubric(self.rubric, self.scale)
        if self.good == self.bad:
            raise ValueError(f"good and bad are the same word, {self.good!r}")
        return self


class Task(TaskFile):
    """A loaded task. ``version`` is the first 12 hex digits of the SHA-256 over its files: a changed prompt shows."""

    folder: Path
    version: str

    def messages(self, query: str, variant: str = "writer") -> list[Message]:
        """What the policy is asked for a query; ``writer_alt`` is the second writer setting."""
        return self.render(variant, query=query)

    def render(self, prompt: str, **values: Any) -> list[Message]:
        """An agent's conversation from ``prompts/PROMPT.jinja``; every template also sees ``task``.

        Raises:
            TaskError: no such prompt, or a template that fails (file and line are named).
        """
        return self._prompt(prompt).render({"task": self.about(), **values})

    def about(self) -> dict[str, Any]:
        """What a template sees as ``task``, in JSON values: a policy carries it with its template."""
        names = {"name", "title", "description", "language", "good", "bad", "principles", "scale", "rubric"}
        return self.model_dump(mode="json", include=names)

    def check_examples(self, prompt: str) -> None:
        """Whether a prompt shows labelled examples.

        Raises:
            TaskError: it does not; the message says what to add.
        """
        if not self._prompt(prompt).looks_at("examples"):
            path = self.folder / "prompts" / f"{prompt}.jinja"
            raise TaskError(
                f"{path}: shows no examples; add a [user example] section with {{{{ example.response | quote }}}} and "
                "an [assistant example] section with the answer before [user], or judge without --examples"
            )

    def _prompt(self, name: str) -> Prompt:
        return _prompt(self.folder / "prompts" / f"{name}.jinja", self.version)

    def limited(self, max_tokens: int | None) -> Task:
        """The task with texts of at most so many tokens; None leaves its own bound."""
        return self if max_tokens is None else self.model_copy(update={"max_tokens": max_tokens})

    def has(self, data: str) -> bool:
        """Whether the task has ``queries``, ``labelled`` texts or ``pairs``: what no command needs may be missing."""
        return (self.folder / f"{data}.jsonl").is_file()

    def queries(self) -> list[Query]:
        return read_queries(self.folder / "queries.jsonl")

    def labelled(self) -> list[Labelled]:
        return read_labelled(self.folder / "labelled.jsonl")

    def pairs(self) -> list[Preference]:
        return read_pairs(self.folder / "pairs.jsonl")

    def rating(self, row: Mapping[str, Any]) -> Rating:
        """The rating in a row of a file; see :func:`~inkfire.tasks.rubric.rating_of`."""
        return rating_of(row, self.rubric, self.scale)

    def weighted(self, rating: Rating) -> float:
        """The weighted mean of a rating, on the task's scale."""
        return weighted(rating, self.rubric)

    def slice_of(self, query: Query) -> str:
        """The first tag that names a slice; without one, the last slice of task.toml."""
        return next((tag for tag in query.tags if tag in self.slices), list(self.slices)[-1])


@lru_cache(maxsize=256)
def _prompt(path: Path, version: str) -> Prompt:
    """A prompt, compiled once per version of its task."""
    del version
    try:
        return parse_prompt(path.read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        raise TaskError(f"{path}: no such prompt") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{path}: cannot be read: {error}") from None


def task_names() -> list[str]:
    """The tasks that come with inkfire."""
    return sorted(path.parent.name for path in _HOME.glob("*/task.toml"))


def lasting(task: str) -> str:
    """A task by its name, or by a folder that is found again from anywhere."""
    return task if task in task_names() else str(Path(task).absolute())


def load_task(name_or_dir: str | Path) -> Task:
    """A task that comes with inkfire, by name, or a user's own, by its folder. All prompts are compiled, and what they
    look at is there.

    Raises:
        TaskError: no such task, or its task.toml or a prompt is missing or wrong (file, line and name are given).
    """
    names = task_names()
    folder = _HOME / name_or_dir if str(name_or_dir) in names else Path(name_or_dir)
    if not folder.is_dir():
        raise TaskError(f"no task {str(name_or_dir)!r}{nearest(str(name_or_dir), names)}; or give a task folder")
    file = load_toml(folder / "task.toml", TaskFile, error=TaskError)
    version = sha256_file(folder)[:12]
    for prompt, variables in _PROMPTS.items():
        _prompt(folder / "prompts" / f"{prompt}.jinja", version).check({"task", *variables.split()})
    return Task(**file.model_dump(), folder=folder, version=version)


def new_task(folder: Path, *, like: str = "greetings-en") -> None:
    """Copy the task ``like`` into ``folder`` for the user to change; the copy is named after the folder.

    Raises:
        TaskError: no task ``like``, or ``folder`` is there and not empty.
    """
    source = load_task(like).folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TaskError(f"{folder} is there and not empty; name a new folder")
    try:
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        text = (folder / "task.toml").read_text(encoding="utf-8")
    except OSError as error:
        raise TaskError(f"cannot write {folder}: {error.strerror or error}") from None
    name = f"name = {json.dumps(folder.absolute().name, ensure_ascii=False)}"
    with atomic(folder / "task.toml") as file:
        file.write(re.sub(r"^name\s*=.*$", lambda _: name, text, count=1, flags=re.MULTILINE).encode())
