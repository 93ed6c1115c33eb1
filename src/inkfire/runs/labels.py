"""What people had to say for a reward: labels, pairs, ratings and clicks, counted in the files that its runs read.

A text that a person labelled counts once, however many stages read it and under whichever name its file lies. Clicks
come by themselves and count apart. What the manifest names is read where it lay, if it still is what it was; what is
gone or has changed is named, and makes the count unknown.

    found = read_given([Path("runs/demo/refine"), Path("runs/demo/judge")]).to_json()
    found["labels"], found["labels_test"], found["clicks"]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inkfire.errors import InkfireError
from inkfire.files.formats import read_examples, read_labelled, read_pairs, read_rated, read_texts_or_labelled
from inkfire.files.jsonl import sha256_file
from inkfire.files.reading import quietly
from inkfire.files.run import Run
from inkfire.records import Example, Labelled, Preference
from inkfire.runs.judge import is_judge
from inkfire.runs.lineage import reading_of, run_in
from inkfire.tasks.task import load_task

Text = tuple[str, ...]

TEST, _THRESHOLD = "test", "threshold"
_LABELLED = {
    "refine": {"labelled": "refinement", "tested_on": TEST},
    "judge": {"calibration": "calibration", "examples_from": "examples", "data": TEST},
    "train rm": {"labelled": _THRESHOLD},
}
"""Command → inputs that hold labelled texts → what they are for."""


@dataclass
class Given:
    """Distinct texts (query, text) by what their labels are for, what else people gave, and the ``queries`` of all that
    a reward learnt from (a threshold is no learning)."""

    labels: dict[str, set[Text]] = field(default_factory=dict)
    ratings: set[Text] = field(default_factory=set)
    pairs: set[Text] = field(default_factory=set)
    clicks: set[Text] = field(default_factory=set)
    queries: set[str] = field(default_factory=set)
    unread: list[str] = field(default_factory=list)

    def add(self, use: str, texts: Sequence[Labelled | Example]) -> None:
        self.labels.setdefault(use, set()).update((text.query, text.response) for text in texts)
        if use not in (TEST, _THRESHOLD):
            self.queries.update(text.query for text in texts)

    def to_json(self) -> dict[str, Any]:
        """Counts: ``labels`` of texts that make the reward, ``labels_test`` of others that only measure it,
        ``labels_by_use`` (a text may be in several), ``pairs_given``, ``ratings``, ``clicks``; None where a file is
        ``unread``."""
        made = set[Text]().union(*(texts for use, texts in self.labels.items() if use != TEST))
        counts: dict[str, Any] = {
            "labels": len(made),
            "labels_test": len(self.labels.get(TEST, set()) - made),
            "pairs_given": len(self.pairs),
            "ratings": len(self.ratings),
            "clicks": len(self.clicks),
        }
        known = {name: None if self.unread else n for name, n in counts.items()}
        by_use = {use: len(texts) for use, texts in sorted(self.labels.items())}
        return known | {"labels_by_use": by_use, "unread": self.unread}


def read_given(folders: Iterable[Path]) -> Given:
    """What the runs in these folders read, together."""
    given = Given()
    for folder in folders:
        run = Run.read(folder)
        for name, path in _inputs(run, given.unread):
            try:
                with quietly():
                    _read(given, run, name, path)
            except (InkfireError, OSError) as error:
                given.unread.append(f"{folder.name}: {name} ({error})")
        settings = run.manifest.get("settings", {})
        if settings.get("examples_of_task"):
            try:
                _examples(given, load_task(run.places().get("task", settings["task"])).good_texts())
            except InkfireError as error:
                given.unread.append(f"{folder.name}: the examples of its task ({error})")
    return given


def _inputs(run: Run, unread: list[str]) -> Iterator[tuple[str, Path]]:
    """The inputs of a run that are where they lay and what they were; the others that could hold labels are named."""
    places, command = run.places(), run.manifest["command"]
    known = {*_LABELLED.get(command, {}), *(("pairs",) if command == "train rm" else ()), "ratings", "corpus"}
    for name, about in run.manifest.get("inputs", {}).items():
        path = places.get(name)
        if name.partition(" ")[0] not in known:
            continue
        if path is not None and path.exists() and is_judge(path):
            continue  # a saved judge, whose own run is counted
        if path is None or not path.exists() or sha256_file(path) != about["sha256"]:
            what = "is gone" if path is None or not path.exists() else "has changed"
            unread.append(f"{run.out.name}: {name} ({about['path']} {what})")
        else:
            yield name, path


def _read(given: Given, run: Run, name: str, path: Path) -> None:
    command, kind = run.manifest["command"], name.partition(" ")[0]
    reading = reading_of(run.manifest.get("settings", {}))
    if (use := _LABELLED.get(command, {}).get(kind)) is not None:
        texts = read_texts_or_labelled(path, reading) if kind == "data" else read_labelled(path, reading)
        given.add(_split(run, use), [text for text in texts if isinstance(text, Labelled)])
    elif kind == "ratings":
        given.ratings.update((query, text) for query, text, _ in read_rated(path, reading))
    elif kind == "corpus":
        _examples(given, read_examples(path, reading))
    else:
        pairs = read_pairs(path, reading)
        given.queries.update(pair.query for pair in pairs)
        given.pairs.update((pair.query, pair.chosen, pair.rejected) for pair in pairs if not is_curated(pair))


def _split(run: Run, use: str) -> str:
    """What labels are for where the run itself splits its one file of them."""
    if run.manifest["command"] == "judge" and "calibration_fraction" in run.manifest["settings"]:
        return f"calibration and {TEST}"
    if run.manifest["command"] == "refine" and "tested_on" not in run.manifest["inputs"]:
        return f"{use} and {TEST}"
    return use


def _examples(given: Given, examples: Sequence[Example]) -> None:
    """Good texts: those that people clicked, and those that somebody called good."""
    given.clicks.update((one.query, one.response) for one in examples if one.clicks)
    given.add("examples", [one for one in examples if not one.clicks])


def is_curated(pair: Preference) -> bool:
    """Whether a debate made the pair."""
    return {"chosen_id", "rejected_id"} <= pair.provenance.keys()


def upstream(folder: Path) -> list[Path]:
    """The run folders that a run was made from, its own first: whose files it read, and theirs."""
    found: dict[Path, None] = {}
    todo = [folder.resolve()]
    while todo:
        at = todo.pop(0)
        if at in found or (run := run_in(at)) is None or run.manifest["command"] == "run":
            continue
        found[at] = None
        for path in map(Path.resolve, run.places().values()):
            todo += [path, path.parent]
            if path.name == "pairs_and_curated.jsonl":  # a recipe puts its curated pairs beside those of the data
                todo.append(path.parent.parent / "curate")
    return list(found)


def lost(folder: Path) -> list[str]:
    """The inputs of a run that another run may have made, and that are gone with it: what they took is not known."""
    places = Run.read(folder).places()
    kinds = ("principles", "pairs", "candidates_from")
    gone = [name for name, path in places.items() if name.partition(" ")[0] in kinds and not path.parent.exists()]
    return [f"{name} of {folder.name}" for name in gone]
