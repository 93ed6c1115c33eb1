"""``inkfire score``: any reward on pairs or texts, beside what length explains; ``rank`` orders the texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from annotated_types import Ge

from inkfire.errors import InputError
from inkfire.files.formats import read_pairs, read_texts_or_labelled
from inkfire.files.jsonl import QUALIFIED, write_jsonl
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.records import Candidate, Labelled, Preference
from inkfire.rewards.base import PAIRS_PER_TEXT, Among, Reward
from inkfire.rewards.checks import Checks
from inkfire.rewards.checks import placeholders as placeholders_of_checks
from inkfire.rewards.judge import JudgeReward
from inkfire.rewards.load import behind_of, check_reward, is_relative, load_reward, parts_of, placeholders
from inkfire.rewards.mixture import Mixture
from inkfire.rewards.qualified import blind_of, keep, read_qualified
from inkfire.runs.context import Access, Place, named_files, note, opened, read_as
from inkfire.runs.damage import good_texts
from inkfire.runs.lineage import seen
from inkfire.runs.qualify import QUALIFY, Exam, read_ratings
from inkfire.settings import option, settings
from inkfire.stats.agreement import binary_metrics
from inkfire.stats.explained import explained
from inkfire.stats.intervals import bootstrap_auc
from inkfire.stats.twins import length_auc, pair_slices, rate
from inkfire.tasks.task import load_task

T = TypeVar("T")


@settings
class ScoreInputs:
    """Who scores what."""

    reward: str
    """A reward's or judge's folder, rank:, tournament:, reference: or checklist:JUDGE, share:X, or 'W*A + W*B'."""
    pairs: Data = ()
    """Preference pairs, in any format."""
    data: Data = ()
    """Texts, in any format; labels are used."""
    task: str | None = None
    """A task, whose good texts are shown damaged where the data has no good ones, and by which rank:MODEL judges."""
    pairs_per_text: Annotated[int, Ge(1)] = PAIRS_PER_TEXT
    """Of tournament: others of its group that a text meets, each in both orders."""
    reference: Path | None = None
    """Of reference: texts to compare with, one a query."""
    checks: Annotated[tuple[str, ...], option("--check")] = ()
    """What a text has to be, as length:20..90 (inkfire check --help); repeatable."""
    qualify: Annotated[int, Ge(0)] | None = None
    """Good texts shown beside each kind of damage: 40, or none where its card has it; 0: none."""
    ratings: Data = ()
    """Rated texts of the policy (20 queries with 3 or more): the correlation within the query."""
    force: bool = False
    """Take a judge that is refused as a reward."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


def score(inputs: ScoreInputs, place: Place | None, *, access: Access = Access(), seed: int = 0) -> dict[str, Any]:
    """Score the pairs or the texts of a file.

    Args:
        place: where given, a run folder for scores.jsonl; else nothing is written there (a judge's ledger keeps its
            replies). What it sees is kept beside the reward's own card, of a reward that is one folder.

    Returns:
        For pairs, the slices of ``twins.pair_slices``. For texts n, missing, mean and excellent_rate (at the reward's
        threshold), ``parts``, ``failed`` (texts by check) and what twins explain of the score; where they are labelled
        also auc, length_auc, and accuracy and its kin at the threshold. ``qualified`` and ``within_query`` where it
        was looked for.

    Raises:
        DataError, InputError: what is wrong with the file or the reward.
    """
    if bool(inputs.pairs) == bool(inputs.data):
        raise InputError("give either --pairs F or --data F")
    check_reward(inputs.reward, force=inputs.force)
    held_to = Checks.parse(inputs.checks)
    if held_to.fluent:
        raise InputError("--check fluent needs texts to be as fluent as: inkfire check --check fluent applies it")
    rated = read_ratings(inputs.ratings, inputs.reading)
    task = None if inputs.task is None else load_task(inputs.task)
    pairs = read_pairs(inputs.pairs, inputs.reading) if inputs.pairs else []
    texts = read_texts_or_labelled(inputs.data, inputs.reading) if inputs.data else []
    name, folders = placeholders(inputs.reward)
    known = seen((*inputs.pairs, *inputs.data), {folder.name: folder for folder in folders.values()})
    good = [Candidate(pair.query, pair.chosen) for pair in pairs]
    good += good_texts([text for text in texts if isinstance(text, Labelled)])
    n = inputs.qualify
    if n is None:
        n = 0 if all("qualified" in read_qualified(folder) for folder in folders.values()) and folders else QUALIFY
    exam = Exam.of(n, rated, good, [] if task is None else task.exam_texts())
    for line in blind_of(inputs.reward) if not n else ():
        note(line)
    among = Among(inputs.task, inputs.pairs_per_text, inputs.reference, seed)
    with scorer_of(inputs.reward, access, force=inputs.force, among=among) as scorer:
        relative = is_relative(inputs.reward)
        shown = _side_by_side(texts) if relative else texts
        measured, rows = _pairs(scorer, pairs) if pairs else _texts(scorer, shown, held_to, seed)
        found = exam.taken(scorer.score, seed, relative=relative)
        about: dict[str, Any] = {"reward": scorer.name, "threshold": scorer.threshold, "seen": known}
        if isinstance(scorer, JudgeReward):
            about |= {"calibrated": scorer.cut is not None, "injections": scorer.injections.total()}
    result = about | measured | found
    if found and name == "<reward 1>":
        keep(folders["reward 1"], QUALIFIED, found)
        note(f"{folders['reward 1'] / QUALIFIED} keeps what was found of what it sees")
    if place is not None:
        about = {"reward": name, "qualify": n, "task": task and task.name} | read_as(inputs.reading)
        said, listed = placeholders_of_checks(inputs.checks)
        about |= {"checks": said} if said else {}
        with opened("score", place, settings=about, files=named_files(inputs) | folders | listed) as context:
            write_jsonl(context.run.path("scores.jsonl"), rows)
            context.run.complete("score", result, seconds=0.0)
    return result


def rank(reward: str, query: str, texts: Sequence[str], *, access: Access = Access()) -> list[tuple[str, float | None]]:
    """Texts with their scores, the best first; those without a score come last."""
    with scorer_of(reward, access) as scorer:
        scores = scorer.score([query] * len(texts), texts)
    return best_first(zip(texts, scores, strict=True), lambda one: one[1])


def best_first(scored: Iterable[T], score: Callable[[T], float | None]) -> list[T]:
    """Sorted by score; what has none comes last."""
    return sorted(scored, key=lambda one: -math.inf if (value := score(one)) is None else value, reverse=True)


@contextmanager
def scorer_of(
    reward: str,
    access: Access,
    *,
    value: Literal["probability", "label"] = "probability",
    force: bool = False,
    run: str = "score",
    among: Among = Among(),
) -> Iterator[Reward]:
    """The reward, closed afterwards; a judge's replies are kept in the ledger beside its folder, those of a model that
    is only named in that of ``runs/``, as ``run``'s."""
    judges = [folder for folder in placeholders(reward)[1].values() if (folder / "judge.json").is_file()]
    home = judges[0].absolute().parent if judges else Path("runs")
    asks = judges or any(behind_of(name) for _, name in parts_of(reward) or [(1.0, reward)])
    ledger = access.ledger(home / ".inkfire" / "ledger.sqlite", run) if asks else None
    with ledger or nullcontext():
        scorer = load_reward(reward, ledger=ledger, base_url=access.base_url, value=value, force=force, among=among)
        with closing(scorer):
            yield scorer


def _pairs(reward: Reward, pairs: Sequence[Preference]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    queries = [pair.query for pair in pairs]
    both = [text for pair in pairs for text in (pair.chosen, pair.rejected)]
    scores = reward.score([query for query in queries for _ in (0, 1)], both)
    chosen, rejected = scores[::2], scores[1::2]
    rows = [{"query": q, "chosen": c, "rejected": r} for q, c, r in zip(queries, chosen, rejected, strict=True)]
    return pair_slices(pairs, list(zip(chosen, rejected, strict=True))), rows


def _side_by_side(texts: Sequence[Candidate] | Sequence[Labelled]) -> Sequence[Candidate | Labelled]:
    """The texts of a query one after the other, for a reward that looks at the group."""
    first: dict[str, int] = {}
    return sorted(texts, key=lambda text: first.setdefault(text.query, len(first)))


def _texts(
    reward: Reward, texts: Sequence[Candidate | Labelled], checks: Checks, seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    queries, responses = [text.query for text in texts], [text.response for text in texts]
    columns = reward.columns(queries, responses) if isinstance(reward, Mixture) else []
    scores = reward.together(columns, len(texts)) if isinstance(reward, Mixture) else reward.score(queries, responses)
    rows: list[dict[str, Any]] = [
        {"query": t.query, "response": t.response, "score": s} for t, s in zip(texts, scores, strict=True)
    ]
    failed = checks.failures(queries, responses)
    for i, row in enumerate(rows):
        row |= {"parts": {name: column[i] for _, name, column in columns}} if columns else {}
        row |= {"failed": failed[i]} if checks.names else {}
    scored = [(text, score) for text, score in zip(texts, scores, strict=True) if score is not None]
    cut = reward.threshold
    out: dict[str, Any] = {"n": len(texts), "scored": len(scored), "missing": len(texts) - len(scored)}
    out["mean"] = sum(score for _, score in scored) / len(scored) if scored else None
    if cut is not None:
        out |= rate("excellent_rate", [score >= cut for _, score in scored], [text.query for text, _ in scored])
    out |= {"parts": [_part(weight, name, column, scores) for weight, name, column in columns]} if columns else {}
    if checks.names:
        out["failed"] = {name: sum(name in names for names in failed) for name in checks.names}
        out |= rate("passed_rate", [not names for names in failed], queries)
    there = [i for i, score in enumerate(scores) if score is not None]
    asked, told, fails = [queries[i] for i in there], [responses[i] for i in there], [failed[i] for i in there]
    out |= explained([score for score in scores if score is not None], asked, told, fails, seed)
    labelled = [(text, score) for text, score in scored if isinstance(text, Labelled)]
    if labelled:
        labels, queries = [text.label for text, _ in labelled], [text.query for text, _ in labelled]
        area = bootstrap_auc(labels, [score for _, score in labelled], clusters=queries, seed=seed)
        length = length_auc([text for text, _ in labelled], seed=seed)
        out |= area.named("auc") | length.named("length_auc")
        if cut is not None:
            says = [int(score >= cut) for _, score in labelled]
            out |= binary_metrics(labels, says, queries, seed) | {"n": len(texts)}
    return out, rows


def _part(weight: float, name: str, column: Sequence[float | None], scores: Sequence[float | None]) -> dict[str, Any]:
    """A part of a reward: its spread, and how far it is the whole (Pearson's correlation; None where either is one
    number)."""
    both = [(part, score) for part, score in zip(column, scores, strict=True) if part is not None and score is not None]
    known = np.array([part for part in column if part is not None])
    out: dict[str, Any] = {"part": name, "weight": weight, "missing": len(column) - len(known)}
    out |= {"mean": float(known.mean()), "sd": float(known.std())} if len(known) else {"mean": None, "sd": None}
    varies = len(both) > 2 and all(len(set(side)) > 1 for side in zip(*both, strict=True))
    return out | {"correlation": float(np.corrcoef(np.array(both).T)[0, 1]) if varies else None}
