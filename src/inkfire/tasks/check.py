"""What is wrong with a task, before anything is paid for: its prompts, its data, and what it can be used with.

errors     a prompt that does not compile, asks for what it is not given or never shows what it is about; data that
           cannot be read
warnings   prompts that still speak of another task, texts inserted unquoted, data of one class only, tags that name
           no slice
notes      small data, what the audit finds, a title that is not yet the task's own
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inkfire.errors import InputError, TaskError
from inkfire.records import Example, Labelled, Preference, Query
from inkfire.settings import nearest
from inkfire.stats.audit import audit
from inkfire.tasks.prompts import parse_prompt, parts
from inkfire.tasks.slices import OTHER
from inkfire.tasks.task import BLANK, DATA, GOOD, HELD_OUT, SLOP, Task, load_task, read_task, task_names
from inkfire.tasks.uses import COMMANDS, PROMPTS

ADVISED = {"queries": 100, "labelled": 80, "pairs": 80}
"""Rows from which on intervals are narrow enough to tell one judge or policy from another."""

_UNQUOTED = re.compile(r"\{\{\s*((?:example\.)?(?:response|query)|a|b)\s*\}\}")
_COUNTED = {
    "queries": "queries",
    "labelled": "labelled texts",
    "good": "good texts",
    "to_learn": "good texts",
    "bad": "bad texts",
    "bad_queries": "queries with a bad text",
    "pair_queries": "queries with a pair",
}
_LANGUAGES = ("english", "chinese", "中文")  # in titles, and of no subject
_WRITERS = ("writer", "writer_alt")  # the query is what the writer is asked, and stands as it is


@dataclass(frozen=True)
class Finding:
    level: Literal["error", "warning", "note"]
    where: str  # the file, with its line where there is one
    message: str


@dataclass
class _Data:
    """What could be read."""

    queries: list[Query]
    labelled: list[Labelled]
    pairs: list[Preference]
    good_texts: list[Example]

    def counts(self) -> dict[str, int]:
        return {
            "queries": len(self.queries),
            "labelled": len(self.labelled),
            "good": sum(row.label == 1 for row in self.labelled),
            "bad": sum(row.label == 0 for row in self.labelled),
            "to_learn": len(self.good_texts) or sum(row.label == 1 for row in self.labelled),
            "bad_queries": len({row.query for row in self.labelled if row.label == 0}),
            "pairs": len(self.pairs),
            "pair_queries": len({pair.query for pair in self.pairs}),
        }


def check_task(folder: str | Path, *, seed: int = 0) -> dict[str, Any]:
    """Everything that is wrong with a task.

    Returns:
        ``ok`` (no error), ``findings`` (level, where, message), ``data`` (counts), ``slices`` (queries of each),
        ``audit`` (of labelled texts and pairs; None without) and ``commands`` (name → ``ready``, ``missing``).

    Raises:
        TaskError: there is no task to check, or its task.toml is wrong.
    """
    task = read_task(folder)
    data, findings = _Data([], [], [], []), []
    for name, kind in {**dict(zip(DATA, DATA, strict=True)), GOOD: "good_texts"}.items():
        try:
            if task.has(name):
                setattr(data, kind, getattr(task, kind)())
        except InputError as error:
            findings.append(Finding("error", f"{name}.jsonl", str(error)))
    counts = data.counts()
    findings += [*_prompts(task), *_words(task), *_sizes(task, data, counts), *_left_over(task, data), *_unread(task)]
    audited = None
    if data.labelled or data.pairs:
        audited = audit(pairs=data.pairs, labelled=data.labelled, seed=seed)
        findings += [Finding("note", "audit", sentence) for sentence in audited["findings"]]
    wrong = {Path(finding.where.partition(":")[0]).stem for finding in findings if finding.level == "error"}
    return {
        "name": task.name,
        "folder": str(task.folder),
        "version": task.version,
        "language": task.language,
        "ok": not wrong,
        "findings": [vars(finding) for finding in findings],
        "data": counts,
        "slices": dict(Counter(map(task.slice_of, data.queries))) if task.slices else {},
        "audit": audited,
        "commands": {command: _ready(task, command, counts, wrong) for command in COMMANDS},
    }


def _prompts(task: Task) -> Iterator[Finding]:
    """What is wrong with each prompt that is there."""
    for path in sorted((task.folder / "prompts").glob("*.jinja")):
        where = f"prompts/{path.name}"
        if path.stem not in PROMPTS:
            yield Finding("warning", where, f"no command uses it{nearest(path.stem, list(PROMPTS))}")
            continue
        use = PROMPTS[path.stem]
        try:
            text = path.read_text(encoding="utf-8")
            prompt = parse_prompt(text, where)
            prompt.check(use.given)
        except (OSError, UnicodeDecodeError, TaskError) as error:
            yield Finding("error", where, str(error))
            continue
        for name in use.must.split():
            if not prompt.looks_at(name):
                yield Finding("error", where, f"never shows {name!r}: {use.commands} would ask about nothing")
        if path.stem not in _WRITERS and (found := _UNQUOTED.search(text)):
            yield Finding("warning", where, f"write {{{{ {found[1]} | quote }}}}: a text must not leave its place")
        fix = "change it, or take the general one (inkfire tasks new --blank)"
        if other := _of_another(task, path.stem, text):
            yield Finding("warning", where, f"is word for word the prompt of {other} and speaks of that: {fix}")
        elif rest := _remnant(task, parts(text)[1]):
            yield Finding("warning", where, f"still speaks of {rest[0]} ({rest[1]}): {fix}")


def _of_another(task: Task, prompt: str, text: str) -> str | None:
    """The shipped task whose prompt this still is, where this task is about something else; the general prompts are
    nobody's, whichever shipped task has them too."""
    mine = _bare(text)
    if mine == _bare((BLANK / "prompts" / f"{prompt}.jinja").read_text(encoding="utf-8")):
        return None
    for name in task_names():
        other = load_task(name)
        about = (other.title, other.description)
        path = other.folder / "prompts" / f"{prompt}.jinja"
        same = mine == _bare(path.read_text(encoding="utf-8"))
        if same and about != (task.title, task.description):
            return name
    return None


def _bare(prompt: str) -> list[str]:
    """The words of a prompt without the comment on top."""
    return parts(prompt)[1].split()


def _remnant(task: Task, text: str) -> tuple[str, str] | None:
    """(a shipped task, a word of its title that the text has), where this task is about something else."""
    own = f"{task.title} {task.description}".casefold()
    for name in task_names() if task.folder.name not in task_names() else ():
        title = load_task(name).title.casefold()
        pairs = [title[i : i + 2] for i in range(len(title) - 1)]  # a word of a script without blanks
        words = [word.rstrip("s") for word in re.findall("[a-z]{5,}", title)] + [p for p in pairs if not p.isascii()]
        for word in words:
            if (
                word not in own
                and word not in _LANGUAGES
                and (found := re.search(rf"(?<![a-z]){word}[a-z]*", text, re.I))
            ):
                return name, found[0]
    return None


def _words(task: Task) -> Iterator[Finding]:
    """Whether title and description are the task's own: the general prompts speak through them."""
    if task.folder.name in task_names():
        return
    blank = tomllib.loads((BLANK / "task.toml.blank").read_text(encoding="utf-8"))
    begun = {"the blank task": (blank["title"], blank["description"])}
    begun |= {name: (other.title, other.description) for name in task_names() for other in [load_task(name)]}
    for name, (title, description) in begun.items():
        for key, mine, theirs in (("title", task.title, title), ("description", task.description, description)):
            if mine == theirs:
                yield Finding("note", "task.toml", f"{key} is still that of {name}: say what this task writes")
    rules = {"principles": task.principles, "flaws": task.flaws, "rubric": [one.description for one in task.rubric]}
    for key, lines in rules.items():
        if lines and (found := _remnant(task, "\n".join(lines))):
            yield Finding(
                "warning", "task.toml", f"{key}: still of {found[0]} ({found[1]}): say what holds for this task"
            )


def _sizes(task: Task, data: _Data, counts: dict[str, int]) -> Iterator[Finding]:
    for name, advised in ADVISED.items():
        if 0 < counts[name] < advised:
            yield Finding("note", f"{name}.jsonl", f"{counts[name]} rows; intervals are wide with fewer than {advised}")
    if counts["labelled"] and not (counts["good"] and counts["bad"]):
        label = 0 if counts["good"] else 1
        yield Finding("warning", "labelled.jsonl", f"no text has label {label}: a judge is measured on both")
    tags = Counter(tag for query in data.queries for tag in query.tags)
    unknown = [tag for tag in tags if tag not in task.slices]
    untold = sum(task.slice_of(query) == OTHER for query in data.queries)
    if task.slices and untold:
        also = f" (their tags: {', '.join(unknown[:5])})" if unknown else ""
        yield Finding("warning", "queries.jsonl", f"{untold} queries have no slice{also}: they count as {OTHER}")
    if tags and not task.slices:
        said = ", ".join(f"{tag} {n}" for tag, n in tags.most_common(5))
        yield Finding(
            "note", "queries.jsonl", f"has tags ({said}); those named under [slices] in task.toml are counted apart"
        )
    for name in task.slices:
        if data.queries and not any(task.slice_of(query) == name for query in data.queries):
            yield Finding("warning", "task.toml", f"no query is in the slice {name!r}")


def _left_over(task: Task, data: _Data) -> Iterator[Finding]:
    """Good texts of a shipped task where the labelled ones are the user's own: a writer would learn that task."""
    for name in task_names() if task.folder.name not in task_names() else ():
        other = load_task(name)
        if data.good_texts and data.good_texts == other.good_texts() and data.labelled != other.labelled():
            yield Finding(
                "warning",
                "good.jsonl",
                f"is still that of {name}, and a writer learns from it: put texts of this task there, or delete it",
            )


def _unread(task: Task) -> Iterator[Finding]:
    """Files that look like data of the task and are read by nothing."""
    known = {f"{name}.jsonl" for name in (*DATA, GOOD)} | {HELD_OUT, SLOP}
    for path in sorted(task.folder.iterdir()):
        if any(path.name in check for check in task.checks):  # forbid:worn.txt
            continue
        if path.name not in known and re.search(r"\.(jsonl?|csv|tsv|txt|parquet|xlsx?|ods)(\.gz)?$", path.name):
            yield Finding(
                "warning",
                path.name,
                f"is not read here; inkfire tasks fill {task.folder} --queries (or another) {path} takes it in",
            )


def _ready(task: Task, command: str, counts: dict[str, int], wrong: set[str]) -> dict[str, Any]:
    needs = COMMANDS[command]
    missing = []
    for prompt in needs.prompts:
        if prompt in wrong or not (task.folder / "prompts" / f"{prompt}.jinja").is_file():
            missing.append(f"prompts/{prompt}.jinja" + (" (see above)" if prompt in wrong else ""))
    if command == "judge --mode rubric" and task.excellent_from is None:
        missing.append("excellent in task.toml")
    missing += [f"{_COUNTED[what]}: {counts[what]} of {n}" for what, n in needs.data.items() if counts[what] < n]
    return {"ready": not missing, "missing": missing}
