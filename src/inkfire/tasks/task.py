"""A task is a folder of data: what to write, how it is judged, and the words every agent is prompted with.

    task.toml        name, language, title, rubric, principles (S_D), flaws (S_G), aspects, slices, the judge's answers
    queries.jsonl    {"query", "tags": [...]}
    labelled.jsonl   {"query", "response", "label", ...}    1 good, 0 bad: what judges are measured on
    pairs.jsonl      {"query", "chosen", "rejected", ...}
    good.jsonl       {"query", "response", "clicks"}        what a writer learns and debates show; the good labelled
                                                            texts, if none
    held-out.jsonl   {"query", "tags": [...]}               to compare policies on
    prompts/*.jinja  one file per agent (see prompts.py; uses.py says which command uses which)

Data and prompts that no command needs which the task is used with may be missing.

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

from inkfire.errors import DataError, TaskError
from inkfire.files.formats import read_examples, read_labelled, read_pairs, read_queries
from inkfire.files.jsonl import atomic, sha256_file
from inkfire.records import Example, Labelled, Message, Preference, Query, Rating
from inkfire.settings import Strict, load_toml, nearest
from inkfire.stats.slop import read_phrases, stock_phrases
from inkfire.tasks.languages import language_name
from inkfire.tasks.prompts import Prompt, parse_prompt
from inkfire.tasks.rubric import (
    PAPER_EXCELLENT,
    PAPER_SCALE,
    Dimension,
    Scale,
    check_rubric,
    rating_of,
    reaches,
    weighted,
)
from inkfire.tasks.slices import Slices, Text, slice_of
from inkfire.tasks.uses import PROMPTS

_HOME = Path(__file__).parent
BLANK = _HOME / "blank"
"""What a task begins from that begins from nothing."""

DATA = ("queries", "labelled", "pairs")
"""A task's files of data."""

GOOD = "good"
"""The file of good texts, with clicks or without, that a writer learns and agents are shown; a task may have one."""

HELD_OUT = "held-out.jsonl"
"""The queries that are kept from training; commands take them only where they are named."""

SLOP = "slop.txt"
"""Stock phrases that a task adds to its language's, one a line."""

Side = Literal["positive", "negative"]


class Aspects(Strict):
    """What each side of a full debate looks at: a few words each, the first of which name it."""

    positive: Annotated[tuple[Text, ...], Field(min_length=1, max_length=20)]
    negative: Annotated[tuple[Text, ...], Field(min_length=1, max_length=20)]


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
    aspects: Aspects | None = None
    slices: Slices = Field(default_factory=dict)
    injection: Literal["bad", "unscored"] = "bad"
    scale: Scale = PAPER_SCALE
    excellent: float | None = None
    checks: tuple[Text, ...] = ()
    rubric: tuple[Dimension, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_rubric(self.rubric, self.scale, self.excellent)
        if self.good == self.bad:
            raise ValueError(f"good and bad are the same word, {self.good!r}")
        if code := next((check for check in self.checks if check.startswith("python:")), None):
            raise ValueError(f"the check {code!r} would run a file of the task: name it on the command line")
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
        return self.model_dump(mode="json", include=names) | {"language_name": language_name(self.language)}

    def require(self, *prompts: str) -> None:
        """Whether the task has these prompts; a task may leave out those that it is never used with.

        Raises:
            TaskError: one is missing; the message says who uses it.
        """
        for prompt in prompts:
            self._prompt(prompt)

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

    def aspects_of(self, side: Side) -> tuple[str, ...]:
        """What a side of a full debate looks at: what task.toml says, or else the dimensions of the rubric."""
        if self.aspects is not None:
            return self.aspects.positive if side == "positive" else self.aspects.negative
        return tuple(f"{dimension.name}: {dimension.description}" for dimension in self.rubric)

    def has_prompt(self, prompt: str) -> bool:
        return (self.folder / "prompts" / f"{prompt}.jinja").is_file()

    def has(self, data: str) -> bool:
        """Whether the task has ``queries``, ``labelled`` texts, ``pairs`` or ``good`` texts: what no command needs may
        be missing."""
        return (self.folder / f"{data}.jsonl").is_file()

    def queries(self) -> list[Query]:
        return read_queries(self.data_file("queries"))

    def labelled(self) -> list[Labelled]:
        return read_labelled(self.data_file("labelled"))

    def pairs(self) -> list[Preference]:
        return read_pairs(self.data_file("pairs"))

    def good_texts(self) -> list[Example]:
        """What a writer learns from, and what agents may be shown as examples: good.jsonl, or else the good labelled
        texts; [] without either."""
        return read_examples(self.data_file(GOOD)) if self.has(GOOD) else self._good_labelled()

    def exam_texts(self) -> list[Example]:
        """Good texts on which a signal is asked what it sees: the labelled ones, because a writer has learnt those of
        good.jsonl; or else these; [] without either."""
        return self._good_labelled() or self.good_texts()

    def _good_labelled(self) -> list[Example]:
        labelled = self.labelled() if self.has("labelled") else []
        return [Example(row.query, row.response) for row in labelled if row.label == 1]

    def slop(self) -> list[str]:
        """The stock phrases of the task's language, and those of its own slop.txt."""
        own = self.folder / SLOP
        return [*stock_phrases(self.language), *(read_phrases(own) if own.is_file() else ())]

    def data_file(self, name: str) -> Path:
        """Where the task has ``queries``, ``labelled`` or ``pairs``.

        Raises:
            DataError: it has none; the message says how to come by it.
        """
        path = self.folder / f"{name}.jsonl"
        if not self.has(name):
            raise DataError(
                f"no such file; inkfire tasks fill {self.folder} --{name} F makes it from a file of any format, or "
                "name one to this command (see its --help)",
                path=path,
            )
        return path

    def rating(self, row: Mapping[str, Any]) -> Rating:
        """The rating in a row of a file; see :func:`~inkfire.tasks.rubric.rating_of`."""
        return rating_of(row, self.rubric, self.scale)

    def weighted(self, rating: Rating) -> float:
        """The weighted mean of a rating, on the task's scale."""
        return weighted(rating, self.rubric)

    @property
    def excellent_from(self) -> float | None:
        """The weighted mean from which on a text is excellent; None where the task does not say."""
        return PAPER_EXCELLENT if self.excellent is None and self.scale == PAPER_SCALE else self.excellent

    def check_excellent(self) -> None:
        """Whether the task says what is excellent.

        Raises:
            TaskError: it does not; the message says what to add.
        """
        if self.excellent_from is None:
            low, high = self.scale
            raise TaskError(
                f"{self.folder / 'task.toml'}: nothing says which texts are excellent on a scale from {low} to {high}; "
                f"add the weighted mean from which on they are, for instance excellent = {(low + high) / 2:g}"
            )

    def is_excellent(self, mean: float) -> bool:
        """Whether a text with this weighted mean is."""
        self.check_excellent()
        return reaches(mean, self.excellent_from or 0.0)

    def slice_of(self, query: Query) -> str:
        """The slice of a query, by its tags or its words; ``other`` where it is in none."""
        return slice_of(query, self.slices)


@lru_cache(maxsize=256)
def _prompt(path: Path, version: str) -> Prompt:
    """A prompt, compiled once per version of its task."""
    del version
    try:
        return parse_prompt(path.read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        use = PROMPTS.get(path.stem)
        why = f"; it is for {use.commands}: inkfire tasks new --blank makes one" if use else ""
        raise TaskError(f"{path}: no such prompt{why}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{path}: cannot be read: {error}") from None


def task_names() -> list[str]:
    """The tasks that come with inkfire."""
    return sorted(path.parent.name for path in _HOME.glob("*/task.toml"))


def lasting(task: str) -> str:
    """A task by its name, or by a folder that is found again from anywhere."""
    return task if task in task_names() else str(Path(task).absolute())


def load_task(name_or_dir: str | Path) -> Task:
    """A task that comes with inkfire, by name, or a user's own, by its folder.

    The prompts that it has are compiled, and what they look at is there; one that is missing is missed when it is used
    (:meth:`Task.require`).

    Raises:
        TaskError: no such task, or its task.toml is missing, or that or a prompt is wrong (file, line and name are
            given).
    """
    task = read_task(name_or_dir)
    for prompt, use in PROMPTS.items():
        path = task.folder / "prompts" / f"{prompt}.jinja"
        if path.exists():
            _prompt(path, task.version).check(use.given)
    return task


def read_task(name_or_dir: str | Path) -> Task:
    """Like :func:`load_task`, whatever is wrong with the prompts."""
    names = task_names()
    folder = _HOME / name_or_dir if str(name_or_dir) in names else Path(name_or_dir)
    if not folder.is_dir():
        known = nearest(str(name_or_dir), names)
        raise TaskError(f"no task {str(name_or_dir)!r}{known}; inkfire tasks new {folder} --blank begins your own")
    if not (folder / "task.toml").exists():
        raise TaskError(f"{folder} has no task.toml; inkfire tasks new DIR --blank makes a folder with one")
    file = load_toml(folder / "task.toml", TaskFile, error=TaskError)
    return Task(**file.model_dump(), folder=folder, version=sha256_file(folder)[:12])


def new_task(folder: Path, *, like: str | None = None, language: str | None = None, blank: bool = False) -> list[str]:
    """Begin a task in ``folder``, named after it, for the user to change.

    Of a task that comes with inkfire it has the task.toml, the data if that is in ``language``, and prompts of its own
    that speak through title and description; a user's own task is copied as it is. A blank one has general rules and no
    data. Where nothing is said it begins from greetings-en, and in another language it begins blank.

    Returns:
        The data that was left out because it is in another language.

    Raises:
        TaskError: no task ``like``, ``folder`` is there and not empty, or ``language`` is no code.
    """
    if blank and like is not None:
        raise TaskError("--blank begins from nothing: leave --from out, or --blank")
    if language is not None and not re.fullmatch("[a-z]{2,3}", language):
        raise TaskError(f"--language {language!r}: write a code of two or three letters, for instance en")
    source = None if blank or (like is None and language not in (None, "en")) else load_task(like or "greetings-en")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TaskError(f"{folder} is there and not empty; name a new folder")
    foreign = source is not None and language not in (None, source.language)
    left_out = [name for name in (*DATA, GOOD) if source is not None and foreign and source.has(name)]
    shipped = source is None or source.folder.parent == _HOME
    hidden = [".*", "__pycache__", *(f"{name}.jsonl" for name in left_out), *(["prompts"] if shipped else [])]
    try:
        text = (source.folder / "task.toml" if source else BLANK / "task.toml.blank").read_text(encoding="utf-8")
        if source:
            shutil.copytree(source.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*hidden))
        if shipped:
            _write_prompts(folder / "prompts")
    except OSError as error:
        raise TaskError(f"cannot write {folder}: {error.strerror or error}") from None
    text = _with(text, "name", folder.absolute().name)
    with atomic(folder / "task.toml") as file:
        file.write((text if language is None else _with(text, "language", language)).encode())
    return [f"{name}.jsonl" for name in left_out]


def _write_prompts(folder: Path) -> None:
    """The general prompts, each with a line on top that says which command uses it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, use in PROMPTS.items():
        body = (BLANK / "prompts" / f"{name}.jinja").read_text(encoding="utf-8")
        (folder / f"{name}.jinja").write_text(f"{use.comment}\n{body}", encoding="utf-8")


def _with(toml: str, key: str, value: str) -> str:
    line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
    return re.sub(rf"^{key}\s*=.*$", lambda _: line, toml, count=1, flags=re.MULTILINE)
