"""``inkfire cost``: what each strategy took, what came of it, and how few labels or calls would have done.

    out/cost.svg      held-out AUC against seconds and money
    out/stages/cost.json

A reward's row has the stages that it was made by: for strategy A the debates and their writers, then the reward model;
for strategy B the refinement, then the judge. What another reward needed too counts in both rows. A policy's row has
all that came before its training as well.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge

from inkfire.errors import InputError, RunFolderError
from inkfire.files.formats import read_labelled, read_pairs, split_by_query
from inkfire.files.jsonl import atomic, read_jsonl
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.files.run import Run
from inkfire.judge.base import judge_many
from inkfire.judge.examples import NO_EXAMPLES
from inkfire.judge.spec import JUDGE, JudgeSettings, JudgeSpec
from inkfire.llm import loop
from inkfire.records import Labelled, Preference
from inkfire.report.pareto import draw, measure_of
from inkfire.rewards.load import CARD, load_reward, read_card
from inkfire.runs.cascade import cascade
from inkfire.runs.context import Context, Place, described, named_files, note, opened
from inkfire.runs.curve import learning_curve, reward_curve
from inkfire.runs.labels import is_curated, lost, read_given, upstream
from inkfire.runs.spending import Spending, Spent, Stage, one_currency, read_spending, speeds, together
from inkfire.settings import option, settings
from inkfire.stats.intervals import bootstrap_auc
from inkfire.stats.twins import length_auc

SIZES = (50, 100, 200, 400)
_MAKES = ("candidates", "curate", "refine", "train rm", "judge")
"""Commands whose time and money go into a reward; a writer's SFT serves either strategy and is no part of one."""


@settings
class CostInputs:
    """What is asked besides what the runs took."""

    labels: Data = ()
    """Labelled texts: what a reward model and the runs' judge reach with 0, 50, 100, 200, 400 of them."""
    cascade: tuple[str, str] | None = None
    """CHEAP DEAR: two rewards' or judges' folders; the second is asked where the first is unsure."""
    data: Data = ()
    """Labelled texts for --cascade: half of their queries fit it, the others measure it."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


@settings
class CostSettings:
    """How it is worked out."""

    draws: Annotated[int, Ge(1)] = 20
    """Draws of labels a size."""
    tolerance: Annotated[float, Ge(0)] = 0.01
    """What a cascade may lose of accuracy on the texts that fit it."""


def cost(
    runs: Sequence[Path], inputs: CostInputs, settings: CostSettings, place: Place, *, keep: bool
) -> dict[str, Any]:
    """What the runs took, by reward, policy and stage; see the module's docstring.

    Args:
        runs: run folders, of recipes or of single commands.
        keep: whether ``place.out`` becomes a run folder; else nothing is written but the ledger beside it.

    Returns:
        ``rewards``, ``policies``, ``stages``, ``speeds`` and ``runs`` (rows), ``currency``; ``curves`` with --labels;
        ``cascade`` with --cascade; ``plot`` where it is kept.

    Raises:
        InputError: nothing to look at, or data without what it is for.
        RunFolderError: a folder is no run.
    """
    if not runs and not inputs.labels and inputs.cascade is None:
        raise InputError("name a run: inkfire cost runs/demo; or --labels F, or --cascade CHEAP DEAR --data F")
    if (inputs.cascade is None) != (not inputs.data):
        raise InputError("--cascade CHEAP DEAR needs labelled texts, --data F, and --data is for it alone")
    spendings = [read_spending(folder) for folder in runs]
    stages = [stage for one in spendings for stage in one.stages]
    before = _before(stages)
    out: dict[str, Any] = {"currency": one_currency([*spendings, *before])}
    made = Making(stages, [stage for one in before for stage in one.stages])
    out["rewards"] = _with_front(_on_common([(stage, made.reward(stage)) for stage in made.rewards()], place.seed))
    out["policies"] = [made.policy(stage) for stage in stages if stage.is_policy]
    out |= {"stages": [stage.to_json() for stage in made.known], "speeds": speeds(made.known)}
    out["runs"] = [one.to_json() for one in (*spendings, *before)]
    about = described(inputs, settings, runs=[folder.name for folder in runs])
    about["cascade"] = None if inputs.cascade is None else [Path(signal).name for signal in inputs.cascade]
    with _context(place, about, named_files(inputs), keep=keep) as context:
        started = time.monotonic()
        if inputs.labels:
            out["curves"] = _curves(context, made, inputs, settings)
        if inputs.cascade is not None:
            texts = read_labelled(inputs.data, inputs.reading)
            out["cascade"] = cascade(context, inputs.cascade, texts, tolerance=settings.tolerance, seed=context.seed)
        if keep:
            if (svg := draw(out)) is not None:
                out["plot"] = "cost.svg"
                with atomic(context.run.path("cost.svg")) as file:
                    file.write(svg.encode())
            context.run.complete("cost", out, seconds=time.monotonic() - started)
    return out


@contextmanager
def _context(place: Place, about: Mapping[str, Any], files: Mapping[str, Path], *, keep: bool) -> Iterator[Context]:
    if keep:
        with opened("cost", place, settings=about, files=files) as context:
            yield context
    else:
        with ExitStack() as stack:
            yield Context(Run(place.out, {}), place, stack)


def _before(stages: Sequence[Stage]) -> list[Spending]:
    """The runs that the stages were made from and that nobody named, as far as they can be read."""
    known = {stage.folder.resolve() for stage in stages}
    found: dict[Path, Spending] = {}
    for folder in dict.fromkeys(folder for stage in stages if stage.command for folder in upstream(stage.folder)):
        if folder not in known:
            with suppress(RunFolderError):  # a reward that it is missing from says so
                found[folder] = read_spending(folder)
    return list(found.values())


class Making:
    """Which stages made what."""

    def __init__(self, named: Sequence[Stage], before: Sequence[Stage]):
        self.known = [*named, *before]
        self._named = named
        self._at = {stage.folder.resolve(): stage for stage in self.known if stage.command}

    def rewards(self) -> list[Stage]:
        """The last stages of what makes rewards: a judge, not the refinement that it judges by."""
        made = {folder for stage in self._named if stage.command in _MAKES for folder in upstream(stage.folder)[1:]}
        return [stage for stage in self._named if stage.command in _MAKES and stage.folder.resolve() not in made]

    def reward(self, stage: Stage) -> dict[str, Any]:
        """Its row: what it took, whom it needed, what came of it."""
        folders = [folder for folder in upstream(stage.folder) if _command(folder) in _MAKES]
        letters = sorted({_strategy(folder) for folder in folders})
        about = {"run": stage.run, "reward": stage.name, "strategy": "+".join(letters)}
        return about | self._took(stage, folders) | read_given(folders).to_json() | _outcome(stage)

    def policy(self, stage: Stage) -> dict[str, Any]:
        """Its row: its training, and all that came before."""
        places = Run.read(stage.folder).places()
        rewards = [path for name, path in places.items() if name.startswith("reward ")]
        letters = {letter for path in rewards for letter in _letters(path)}
        if stage.command == "train dpo" and not rewards:
            letters |= {_strategy(folder) for folder in upstream(stage.folder) if _command(folder) == "curate"}
        about: dict[str, Any] = {"run": stage.run, "policy": stage.name, "method": stage.command.removeprefix("train ")}
        about["strategy"] = "+".join(sorted(letters)) or None
        return about | self._took(stage, upstream(stage.folder))

    def _took(self, stage: Stage, folders: Sequence[Path]) -> dict[str, Any]:
        """``preparation`` and ``training`` apart, and both together; ``missing`` stages make a sum unknown."""
        before = [folder for folder in folders if folder != stage.folder.resolve()]
        missing = [folder.name for folder in before if folder not in self._at]
        missing += [name for folder in folders for name in lost(folder)]
        unknown = [Spent(None, 0.0, None, 0, None)] if missing else []
        preparation = together([*(self._at[folder].spent for folder in before if folder in self._at), *unknown])
        parts = {"preparation": preparation.to_json(), "training": stage.spent.to_json()}
        names = [folder.name for folder in reversed(folders)]
        return {"stages": names, "missing": missing, **parts, **(preparation + stage.spent).to_json()}


def _command(folder: Path) -> str:
    return str(Run.read(folder).manifest["command"])


def _strategy(folder: Path) -> str:
    """A: debates, and what learns from them; B: principles, and who judges by them."""
    run = Run.read(folder)
    if run.manifest["command"] in ("refine", "judge") and run.manifest["settings"].get("mode") != "debate":
        return "B"
    return "A"


def _letters(reward: Path) -> set[str]:
    """The strategy of a reward's folder; none of a check of the user's own."""
    if (reward / CARD).is_file():
        return {"A"}
    if not (reward / JUDGE).is_file():
        return set()
    return {"A" if JudgeSpec.read(reward).mode == "debate" else "B"}


def _outcome(stage: Stage) -> dict[str, Any]:
    """What is known of it on labels that it did not learn from: ``auc`` and ``accuracy``, and on what (``…_on``)."""
    result = stage.result.get("after", stage.result) if stage.command == "refine" else stage.result
    out = {name: result.get(name) for name in ("accuracy", "accuracy_ci", "auc", "auc_ci", "unscored")}
    on: dict[str, Any] = {"auc_n": result.get("scored"), "accuracy_n": result.get("scored")}
    on |= dict.fromkeys(("auc_on", "accuracy_on"), "test texts" if out["auc"] is not None else None)
    if stage.command == "train rm":
        on = {"auc_n": result.get("threshold_n"), "accuracy_n": result.get("n"), "unscored": result.get("missing")}
        on |= {"auc_on": result.get("threshold_from"), "accuracy_on": "held-out pairs"}
    return out | on


# ---- on the same texts ---------------------------------------------------------------------------------------------


def _on_common(rewards: Sequence[tuple[Stage, dict[str, Any]]], seed: int) -> list[dict[str, Any]]:
    """The rows with ``common_auc``: on the texts that every judge judged and of whose queries no reward model has a
    pair. None where there are not both judges and linear reward models, or too few such texts."""
    judged = {id(row): _verdicts(stage) for stage, row in rewards if stage.command == "judge"}
    judged = {key: found for key, found in judged.items() if found}
    models = {id(row): stage for stage, row in rewards if stage.command == "train rm" and _is_linear(stage)}
    learnt = read_given(stage.folder for stage in models.values()).queries
    shared = set.intersection(*map(set, judged.values())) if judged and models else set()
    texts = sorted((row for row in shared if row.query not in learnt), key=lambda row: (row.query, row.response))
    scores = {key: [found[text] for text in texts] for key, found in judged.items()}
    for key, stage in models.items() if texts else ():
        reward = load_reward(str(stage.folder))
        scores[key] = reward.score([text.query for text in texts], [text.response for text in texts])  # type: ignore[assignment]
    enough = len({text.label for text in texts}) == 2
    for _, row in rewards:
        known = scores.get(id(row)) if enough else None
        row |= dict.fromkeys(("common_auc", "common_auc_ci", "common_n", "common_length_auc", "common_length_auc_ci"))
        if known is not None:
            labels, queries = [text.label for text in texts], [text.query for text in texts]
            row |= bootstrap_auc(labels, known, queries, seed).named("common_auc") | {"common_n": len(texts)}
            row |= length_auc(texts, seed).named("common_length_auc")
    return [row for _, row in rewards]


def _verdicts(stage: Stage) -> dict[Labelled, float]:
    """The judge's number for each labelled text that it scored."""
    path = stage.folder / "verdicts.jsonl"
    found = {}
    for row in read_jsonl(path) if path.is_file() else ():
        if row.get("expected") is not None and row["label"] is not None:
            score = row["probability"] if row["probability"] is not None else float(row["label"])
            found[Labelled(row["query"], row["response"], row["expected"])] = score
    return found


def _is_linear(stage: Stage) -> bool:
    return (stage.folder / CARD).is_file() and read_card(stage.folder)["kind"] == "linear"


def _with_front(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with ``front``: by which cost (seconds, cost) no other reward is both cheaper and better."""
    name = measure_of(rows)
    for row in rows:
        row["front"] = [
            cost
            for cost in ("seconds", "cost")
            if row[name] is not None
            and row[cost] is not None
            and not any(
                other[name] is not None
                and other[cost] is not None
                and (other[cost] <= row[cost] and other[name] >= row[name])
                and (other[cost] < row[cost] or other[name] > row[name])
                for other in rows
            )
        ]
    return rows


# ---- by the number of labels ---------------------------------------------------------------------------------------


def _curves(context: Context, made: Making, inputs: CostInputs, settings: CostSettings) -> dict[str, Any]:
    """Held-out AUC and accuracy by the number of human labels, on the same half of the queries.

    Returns:
        ``n_fit``, ``n_test``, ``left_out`` (test texts of queries that curated pairs are of), ``length_auc`` of length
        alone, and rows by what learns: ``rm`` (a linear reward model: pairs of so many labelled texts, beside the runs'
        curated ones), ``rm_debated`` (the same of texts that the runs' debates labelled: no human label), ``judge``
        (the runs' judge with the task's own principles, calibrated on so many); None where the runs have no such thing.
    """
    fit, test = split_by_query(read_labelled(inputs.labels, inputs.reading), fraction=0.5, seed=context.seed)
    curations = [stage.folder for stage in made.known if stage.command == "curate"]
    curated = [pair for folder in curations for pair in _curated(folder / "pairs.jsonl")]
    debated = [text for folder in curations for text in _debated(folder / "transcripts.jsonl")]
    learnt = {pair.query for pair in curated} | {text.query for text in debated}
    held = [row for row in test if row.query not in learnt]
    how: dict[str, Any] = {"sizes": SIZES, "draws": settings.draws, "seed": context.seed}
    out: dict[str, Any] = {"n_fit": len(fit), "n_test": len(held), "left_out": len(test) - len(held)}
    out |= length_auc(held, seed=context.seed).named("length_auc")
    if missing := [size for size in SIZES if size > len(fit)]:
        note(f"{len(fit)} labels are there to draw from: no row for {', '.join(map(str, missing))}")
    out["rm"] = reward_curve(fit, held, beside=curated, **how)
    several = len({text.label for text in debated}) == 2
    out["rm_debated"] = reward_curve(debated, held, **how) if several else None
    out["judge"] = None
    judges = [stage.folder for stage in made.known if (stage.folder / JUDGE).is_file()]
    if judges:
        bare: dict[str, Any] = {"principles": None, "examples": NO_EXAMPLES, "corpus": ()}
        spec = dataclasses.replace(JudgeSpec.read(judges[-1]).uncalibrated, **bare)
        both = [*fit, *held]
        with context.judging("judge", len(both), spec.model, spec.mode) as (llm, asked):
            said = loop.run(judge_many(context.besides(spec).build(llm), both, **asked))
        out |= {"judge_model": spec.model, "judge_mode": spec.mode, "judge_unscored": sum(not v.scored for v in said)}
        out["judge"] = learning_curve(fit, said[: len(fit)], held, said[len(fit) :], settings=JudgeSettings(), **how)
    return out


def _curated(path: Path) -> list[Preference]:
    return [pair for pair in read_pairs(path) if is_curated(pair)] if path.is_file() and path.stat().st_size else []


def _debated(path: Path) -> list[Labelled]:
    """The texts that a curation's debates labelled, each once."""
    rows = (row for row in (read_jsonl(path) if path.is_file() else ()) if row["label"] is not None)
    return list(dict.fromkeys(Labelled(row["query"], row["response"], row["label"], "debate") for row in rows))
