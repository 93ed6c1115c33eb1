"""What a reward or policy has seen, by the manifests of the runs that made it: numbers on that say what it remembers.

Files are known by their SHA-256, so that a copy under another name is found; a part of a file is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from inkfire.errors import InputError
from inkfire.files.jsonl import sha256_file
from inkfire.files.reading import Data
from inkfire.files.run import Run
from inkfire.rewards.load import CARD, parts_of, read_card
from inkfire.runs.context import note

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

_QUERIES = {"prompts": "queries"}
_OF_TASK = {
    "train sft": {"data": "labelled"},
    "train grpo": _QUERIES,
    "train bon": _QUERIES,
    "train dpo": _QUERIES,
}
"""Command → what it takes from its task where that input is not given."""


def seen(files: Data, made: Mapping[str, Path]) -> list[dict[str, str]]:
    """Which of the files went into which of the rewards and policies (name → folder), said once each.

    Returns:
        Rows of ``file``, ``by`` (the name), ``run`` (the folder that took it in) and ``as`` (the input's name there).
    """
    hashes = {sha256_file(path): path.name for path in files}
    found = []
    for name, folder in made.items():
        for run, option, sha256 in _inputs(folder):
            if sha256 in hashes:
                row = {"file": hashes[sha256], "by": name, "run": run, "as": option}
                if row not in found:
                    found.append(row)
    for row in found:
        of = "" if row["run"] == row["by"] else f" of {row['run']}"
        note(
            f"{row['file']} is part of what {row['by']} was trained on ({row['as']}{of}): numbers on it say what was "
            "learnt, not how new texts fare"
        )
    return found


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


def _inputs(folder: Path) -> Iterator[tuple[str, str, str]]:
    """(the run's folder, the input, its SHA-256) of all that was learnt from, in this run and in those before it."""
    todo, done = [folder.resolve()], set()
    while todo:
        at = todo.pop()
        run = _run(at)
        if run is None or at in done:
            continue
        done.add(at)
        command, inputs, places = run.manifest["command"], run.manifest.get("inputs", {}), run.places()
        taught = _TAUGHT.get(command, ())
        if command == "judge" and "calibration_fraction" in run.manifest.get("settings", {}):
            taught += ("data",)  # a part of it calibrates
        for name, about in inputs.items():
            if name.partition(" ")[0] in taught:
                yield at.name, name, about["sha256"]
            if name in places:  # another run's folder, or a file that another run made
                todo += [places[name].resolve(), places[name].resolve().parent]
        for name, file in _OF_TASK.get(command, {}).items():
            if name not in inputs and "pairs" not in inputs and "task" in places:
                path = places["task"] / f"{file}.jsonl"
                if path.is_file():
                    yield at.name, name, sha256_file(path)
        if (above := _run(at.parent)) is not None and above.manifest["command"] == "run":
            todo.append(at.parent)  # a recipe, of which this is a stage


def _run(folder: Path) -> Run | None:
    """The run in a folder; None where it holds none that can be read."""
    try:
        run = Run.read(folder) if folder.is_dir() else None
    except InputError:
        return None
    return run if run is not None and isinstance(run.manifest.get("command"), str) else None
