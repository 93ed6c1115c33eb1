"""What a reward or policy has seen, by the manifests of the runs that made it: numbers on that say what it remembers.

Files are known by their SHA-256, so that a copy under another name is found (:func:`seen`). Queries are found in the
files themselves, as long as these lie where they lay (:func:`overlap`): a part of a file is enough.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inkfire.errors import InkfireError, InputError
from inkfire.files.formats import iter_queries
from inkfire.files.jsonl import sha256_file
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.files.run import Run
from inkfire.rewards.load import CARD, parts_of, read_card
from inkfire.runs.context import note
from inkfire.settings import from_json

_TAUGHT = {
    "train sft": ("data",),
    "train rm": ("pairs", "labelled", "hard_negatives", "honest"),
    "train grpo": ("prompts",),
    "train bon": ("prompts",),
    "train dpo": ("pairs", "prompts"),
    "judge": ("calibration", "examples_from"),
    "refine": ("prompts", "labelled"),
    "curate": ("prompts", "candidates_from", "corpus"),
    "candidates": ("prompts",),
    "run": ("queries", "labelled", "pairs", "examples"),
}
"""Command → the inputs that its result is learnt from."""

_QUERIES = {"prompts": ("queries",)}
_OF_TASK: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "train sft": {"data": ("good", "labelled")},
    "train grpo": _QUERIES,
    "train bon": _QUERIES,
    "train dpo": _QUERIES,
}
"""Command → what it takes from its task where that input is not given: the first of these files that is there."""


def seen(files: Data, made: Mapping[str, Path]) -> list[dict[str, str]]:
    """Which of the files went into which of the rewards and policies (name → folder), said once each.

    Returns:
        Rows of ``file``, ``by`` (the name), ``run`` (the folder that took it in) and ``as`` (the input's name there).
    """
    hashes = {sha256_file(path): path.name for path in files}
    found = []
    for name, folder in made.items():
        for taught in _inputs(folder):
            if taught.sha256 in hashes:
                row = {"file": hashes[taught.sha256], "by": name, "run": taught.run, "as": taught.option}
                if row not in found:
                    found.append(row)
    for row in found:
        of = "" if row["run"] == row["by"] else f" of {row['run']}"
        note(
            f"{row['file']} is part of what {row['by']} was trained on ({row['as']}{of}): numbers on it say what was "
            "learnt, not how new texts fare"
        )
    return found


@dataclass(frozen=True)
class Overlap:
    """Which of some queries were taught.

    ``rows``: ``by`` (the name), ``run`` (the folder that took them in), ``as`` (the input's name there), ``queries``
    (how many). ``taught`` are these queries; ``unread`` the inputs that are not where they lay, so that nobody knows.
    """

    rows: Sequence[Mapping[str, Any]]
    taught: frozenset[str]
    unread: Sequence[str]


def overlap(queries: Sequence[str], made: Mapping[str, Path], files: Data = ()) -> Overlap:
    """Which of the queries some policies or rewards (name → folder), or those before them, have learnt from.

    Case, blanks and marks apart. What was learnt from one of ``files`` is known wherever that lay. A recipe's own data
    is told by what its stages took: it is also what was held out.
    """
    folded: dict[str, list[str]] = {}
    for query in queries:
        folded.setdefault(_folded(query), []).append(query)
    rows: list[dict[str, Any]] = []
    taught, unread = set[str](), dict[str, None]()
    read: dict[str, frozenset[str] | None] = {}
    here = {sha256_file(path): path for path in files}
    for name, folder in made.items():
        for one in dict.fromkeys(_inputs(folder)):
            if one.command == "run":
                continue
            if read.get(one.sha256) is None:
                read[one.sha256] = dataclasses.replace(one, path=here.get(one.sha256, one.path)).queries()
            known = read[one.sha256]
            if known is None:
                unread[f"{one.option} of {one.run}"] = None
            elif found := known & folded.keys():
                both = [query for key in found for query in folded[key]]
                rows.append({"by": name, "run": one.run, "as": one.option, "queries": len(both)})
                taught.update(both)
    return Overlap(rows, frozenset(taught), list(unread))


def _folded(query: str) -> str:
    return "".join(char for char in query.casefold() if char.isalnum()) or query.strip()


def off_policy(reward: str, policy: str) -> list[str]:
    """A sentence for each reward model in ``reward`` none of whose pairs' writers is the policy, by name.

    Folders go by their last name: what a run found holds no path of this machine.
    """
    names, said = {policy, Path(policy).resolve().name}, []
    shown = Path(policy).name if Path(policy).exists() else policy
    for part in [name for _, name in parts_of(reward)] or [reward]:
        if not (Path(part) / CARD).is_file():
            continue
        writers = read_card(Path(part)).get("writers") or {"unknown": 0}
        bare = [writer.partition(",")[0] for writer in writers]
        if not names & {*bare, *(Path(writer).name for writer in bare)}:
            said.append(
                f"None of the texts that {Path(part).name} learnt from is known to be {shown}'s (writers: "
                f"{', '.join(writers)}): it may not rank what this policy writes. Pairs of its own: inkfire curate "
                "--writer POLICY."
            )
    return said


@dataclass(frozen=True)
class _Taught:
    """An input that a run (its folder's name) learnt from."""

    run: str
    command: str
    option: str
    sha256: str
    path: Path | None = None
    reading: Reading = dataclasses.field(default=AS_IT_STANDS, compare=False)

    def queries(self) -> frozenset[str] | None:
        """Its queries, folded; None where it is gone, has changed or cannot be read."""
        try:
            if self.path is None or not self.path.exists() or sha256_file(self.path) != self.sha256:
                return None
            return frozenset(_folded(query.query) for query in iter_queries(self.path, self.reading))
        except (InkfireError, OSError):
            return None


def _inputs(folder: Path) -> Iterator[_Taught]:
    """All that was learnt from, in this run and in those before it."""
    todo, done = [folder.resolve()], set()
    while todo:
        at = todo.pop()
        run = run_in(at)
        if run is None or at in done:
            continue
        done.add(at)
        command, inputs, places = run.manifest["command"], run.manifest.get("inputs", {}), run.places()
        taught = _TAUGHT.get(command, ())
        settings = run.manifest.get("settings", {})
        reading = reading_of(settings)
        if command == "judge" and "calibration_fraction" in settings:
            taught += ("data",)  # a part of it calibrates
        for name, about in inputs.items():
            if name.partition(" ")[0] in taught:
                yield _Taught(at.name, command, name, about["sha256"], places.get(name), reading)
            if name in places:  # another run's folder, or a file that another run made
                todo += [places[name].resolve(), places[name].resolve().parent]
        for name, files in _OF_TASK.get(command, {}).items():
            if name not in inputs and "pairs" not in inputs and "task" in places:
                paths = (places["task"] / f"{file}.jsonl" for file in files)
                if (path := next(filter(Path.is_file, paths), None)) is not None:
                    yield _Taught(at.name, command, name, sha256_file(path), path)
        if (above := run_in(at.parent)) is not None and above.manifest["command"] == "run":
            todo.append(at.parent)  # a recipe, of which this is a stage


def reading_of(settings: Mapping[str, Any]) -> Reading:
    """How a run read its files."""
    try:
        return from_json(settings.get("reading") or {}, Reading)
    except InputError:
        return AS_IT_STANDS


def run_in(folder: Path) -> Run | None:
    """The run in a folder; None where it holds none that can be read."""
    try:
        run = Run.read(folder) if folder.is_dir() else None
    except InputError:
        return None
    return run if run is not None and isinstance(run.manifest.get("command"), str) else None
