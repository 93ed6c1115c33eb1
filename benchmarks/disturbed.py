"""The commands that `bench_kill.py` disturbs: how each is typed, what it reads, and where it is when it works.

Whatever trains has a language model of some thousand random weights (tests/training/tiny.py) and one thread, whatever
judges is the stub endpoint, whose log-probabilities call a text good that holds a window.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from endpoint import Endpoint, endpoint

STUB: dict[str, float | str] = {"latency": 0.08, "sigma": 0.6, "mark": "window"}
OCCASIONS = ("Easter", "a wedding", "an exam", "a new job", "a birthday", "a move", "Diwali", "a farewell")
TINY = Path(__file__).parents[1] / "tests" / "training" / "tiny.py"
INKFIRE = [sys.executable, "-m", "inkfire"]
REQUESTS = "requests"
SECONDS = "seconds"
APART = ("timings.json", "used.json", "places.json", "report.html")
"""Seconds, calls, where inputs lay, and the page that shows them: what is no part of a result."""
TASK = ["--task", "greetings-en"]
AGENTS = ["--model", "stub", "--concurrency", "8"]
RECIPE = """
name = "small"
task = "greetings-en"
max_tokens = 12
[models]
writer = "WRITER"
agents = "stub"
[data]
queries = "queries.jsonl"
labelled = "labelled.jsonl"
pairs = "pairs.jsonl"
[sft]
epochs = 0.5
save_steps = 1
[curate]
limit = 2
candidates = 1
pairs = "all"
[refine]
rounds = 1
attacks = 1
errors = 1
validation = 4
test = 4
[judge]
fit_fraction = 0.7
[grpo]
max_steps = 2
batch_size = 1
num_generations = 4
[[policies]]
name = "rl"
reward = "0.5*rm + 0.5*judge"
[evaluate]
queries = 3
signals = ["rm", "judge", "rubric"]
"""


class Lost(Exception):
    """Something was lost, or paid for twice."""


@dataclass(frozen=True)
class Command:
    """A command line, and where it is killed.

    Args:
        words: what stands after ``inkfire``; ``--out`` and ``--json`` are added.
        marks: files of the run whose growth says that the command is at some point of its work, or ``REQUESTS``, or
            ``SECONDS``; it is killed there, one mark a kill.
        disk: the size of a file system that it fills.
        busy: the file of the run that is there when it is in the middle of its work.
        asks: whether it asks models.
    """

    words: Callable[[Path], list[str]]
    marks: tuple[str, ...]
    disk: str
    busy: str
    asks: bool = True


def _rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


STAGES = {
    "audit": "data/good.jsonl",
    "sft": "sft/metrics.jsonl",
    "candidates": "candidates/manifest.json",
    "curate": "curate/transcripts.jsonl.partial",
    "reward_model": "reward_model/manifest.json",
    "refine": "refine/manifest.json",
    "judge": "judge/manifest.json",
    "rl": "rl/completions.jsonl",
    "evaluate": "evaluate/responses-base.jsonl",
}
"""Of the recipe: the file that grows when a stage has begun."""

COMMANDS = {
    "curate": Command(
        lambda at: ["curate", *TASK, *AGENTS, "--prompts", f"{at}/prompts.txt", "--pairs", "all"],
        marks=(REQUESTS, REQUESTS, REQUESTS, REQUESTS, SECONDS) * 4,
        disk="400k",
        busy="outcomes.jsonl.partial",
    ),
    "train sft": Command(
        lambda at: [
            *["train", "sft", *TASK, "--base", f"{at}/tiny", "--data", f"{at}/labelled.jsonl"],
            *["--epochs", "0.5", "--save-steps", "1"],
        ],
        marks=("metrics.jsonl", "metrics.jsonl", SECONDS),
        disk="300k",
        busy="metrics.jsonl",
        asks=False,
    ),
    "train rm": Command(
        lambda at: ["train", "rm", *TASK, "--pairs", f"{at}/pairs.jsonl", "--labelled", f"{at}/labelled.jsonl"],
        marks=("held_out_pairs.jsonl", SECONDS),
        disk="12k",
        busy="held_out_pairs.jsonl",
        asks=False,
    ),
    "train grpo": Command(
        lambda at: [
            *["train", "grpo", *TASK, "--policy", f"{at}/tiny", "--reward", f"{at}/judge", "--concurrency", "8"],
            *["--prompts", f"{at}/queries.jsonl", "--max-steps", "3", "--batch-size", "1"],
            *["--max-completion-length", "12"],
        ],
        marks=("completions.jsonl", "metrics.jsonl", REQUESTS),
        disk="300k",
        busy="metrics.jsonl",
    ),
    "evaluate": Command(
        lambda at: [
            *["evaluate", *TASK, *AGENTS, "--prompts", f"{at}/queries.jsonl", "--max-tokens", "12"],
            *["--policy", f"base={at}/tiny", "--policy", f"same={at}/tiny"],
            *["--signal", "rubric", "--signal", f"judge={at}/judge", "--signal", "length"],
        ],
        marks=("responses-base.jsonl", "responses-same.jsonl", REQUESTS, REQUESTS),
        disk="60k",
        busy="responses-base.jsonl",
    ),
    "run": Command(
        lambda at: ["run", f"{at}/recipe.toml", "--concurrency", "8"],
        marks=tuple(STAGES.values()),
        disk="300k",
        busy="sft/metrics.jsonl",
    ),
}


def make_inputs(folder: Path, queries: int) -> None:
    """What the commands read: texts, a recipe, a tiny model and a judge."""
    folder.mkdir()
    lines = [f"a wish for {OCCASIONS[i % len(OCCASIONS)]}, to friend number {i}" for i in range(queries)]
    (folder / "prompts.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    good, bad = [f"May {o} open like a window." for o in OCCASIONS], [f"All the best for {o}!" for o in OCCASIONS]
    _rows(folder / "queries.jsonl", [{"query": f"a note for {occasion}"} for occasion in OCCASIONS])
    texts = [(f"a wish for {o}", g, b) for o, g, b in zip(OCCASIONS, good, bad, strict=True)]
    _rows(folder / "pairs.jsonl", [{"query": q, "chosen": g, "rejected": b} for q, g, b in texts])
    for name, numbers in (("labelled", range(6)), ("fit", range(6, 9))):
        both = [(f"{q}, number {i}", t, label) for i in numbers for q, g, b in texts for t, label in ((g, 1), (b, 0))]
        _rows(folder / f"{name}.jsonl", [{"query": q, "response": t, "label": label} for q, t, label in both])
    (folder / "recipe.toml").write_text(RECIPE.replace("WRITER", str(folder / "tiny")))


def make_models(folder: Path) -> None:
    """A tiny model, and a judge that may be a reward."""
    code = "import sys; from pathlib import Path; import tiny; tiny.make_tiny_model(Path(sys.argv[1]))"
    made = subprocess.run([sys.executable, "-c", code, str(folder / "tiny")], capture_output=True, cwd=TINY.parent)
    with endpoint(folder / "judge.log", **STUB) as served:
        words = ["judge", *TASK, *AGENTS, "--data", f"{folder}/labelled.jsonl", "--calibration", f"{folder}/fit.jsonl"]
        words += ["--out", str(folder / "judge")]
        judged = subprocess.run([*INKFIRE, *words], capture_output=True, env=environment(served))
    for done in (made, judged):
        if done.returncode:
            raise Lost(done.stderr.decode()[-500:])


def environment(served: Endpoint) -> dict[str, str]:
    return os.environ | {"OPENAI_BASE_URL": served.url, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


class Bench:
    """A command that is disturbed, and what it makes when nothing happens."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / name.replace(" ", "-")
        self.folder.mkdir()
        self.inputs = folder / "inputs"
        self.command = COMMANDS[name]
        with endpoint(self.folder / "undisturbed.jsonl", **STUB) as served:
            self.run(self.folder / "undisturbed" / "run", served)
        self.needed = len(answers(served))

    def typed(self, out: Path) -> list[str]:
        return [*INKFIRE, *self.command.words(self.inputs), "--out", str(out), "--json"]

    def start(self, out: Path, served: Endpoint) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(self.typed(out), stdout=pipe, stderr=pipe, text=True, env=environment(served))

    def run(self, out: Path, served: Endpoint) -> dict[str, Any]:
        done = subprocess.run(self.typed(out), capture_output=True, text=True, env=environment(served))
        if done.returncode:
            raise Lost(f"exit {done.returncode}: {done.stderr[-1500:]}")
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def compare(self, out: Path) -> None:
        ours, theirs = files(out), files(self.folder / "undisturbed" / "run")
        if differ := sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)):
            raise Lost(f"not as in the undisturbed run: {', '.join(differ)}")

    def twice(self, served: Endpoint, stops: Sequence[float]) -> int:
        """How often a reply was asked again, none of which was answered more than a second before a stop."""
        times: dict[str, list[float]] = {}
        for row in answers(served):
            times.setdefault(row["key"], []).append(row["answered"])
        again = [earlier for answered in times.values() for earlier in sorted(answered)[:-1]]
        for earlier in again:
            if not any(-1.0 < stop - earlier < 1.0 for stop in stops):
                nearest = min((stop - earlier for stop in stops), key=abs)
                raise Lost(f"a reply was asked again that was answered {nearest:.1f} s before")
        return len(again)

    def shown(self, text: str) -> str:
        return text.replace(str(self.folder), "…")


def answers(served: Endpoint) -> list[dict[str, Any]]:
    return [row for row in served.requests() if row["status"] == 200 and not row["fault"]]


def files(folder: Path) -> dict[str, bytes]:
    """What a folder holds, file by file, but for what is apart from the result."""
    inner = (path for path in folder.rglob("*") if path.is_file() and path.name not in APART)
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(inner)}
