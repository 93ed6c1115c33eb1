"""``inkfire score``: any reward on pairs or texts, beside what length explains; ``rank`` orders the texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from typing import Annotated, Any, TypeVar

from inkfire.errors import InputError
from inkfire.files.formats import read_pairs, read_texts_or_labelled
from inkfire.files.jsonl import write_jsonl
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.records import Candidate, Labelled, Preference
from inkfire.rewards.base import Reward
from inkfire.rewards.judge import JudgeReward
from inkfire.rewards.load import check_reward, load_reward, placeholders
from inkfire.runs.context import Access, Place, named_files, opened, read_as
from inkfire.runs.lineage import seen
from inkfire.settings import option, settings
from inkfire.stats.agreement import binary_metrics
from inkfire.stats.intervals import bootstrap_auc
from inkfire.stats.twins import length_auc, pair_slices, rate

T = TypeVar("T")


@settings
class ScoreInputs:
    """Who scores what."""

    reward: str
    """A reward's or judge's folder, share:X, or 'W*A + W*B'."""
    pairs: Data = ()
    """Preference pairs, in any format."""
    data: Data = ()
    """Texts, in any format; labels are used."""
    force: bool = False
    """Take a judge that is refused as a reward."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


def score(inputs: ScoreInputs, place: Place | None, *, access: Access = Access(), seed: int = 0) -> dict[str, Any]:
    """Score the pairs or the texts of a file.

    Args:
        place: where given, a run folder for scores.jsonl; else nothing is written (a judge's ledger keeps its replies).

    Returns:
        For pairs, the slices of ``twins.pair_slices``. For texts n, missing, mean and excellent_rate (at the reward's
        threshold); where they are labelled also auc, length_auc, and accuracy and its kin at the threshold.

    Raises:
        DataError, InputError: what is wrong with the file or the reward.
    """
    if bool(inputs.pairs) == bool(inputs.data):
        raise InputError("give either --pairs F or --data F")
    check_reward(inputs.reward, force=inputs.force)
    pairs = read_pairs(inputs.pairs, inputs.reading) if inputs.pairs else []
    texts = read_texts_or_labelled(inputs.data, inputs.reading) if inputs.data else []
    name, folders = placeholders(inputs.reward)
    known = seen((*inputs.pairs, *inputs.data), {folder.name: folder for folder in folders.values()})
    with _scorer(inputs.reward, access, force=inputs.force) as scorer:
        measured, rows = _pairs(scorer, pairs) if pairs else _texts(scorer, texts, seed)
        about: dict[str, Any] = {"reward": scorer.name, "threshold": scorer.threshold, "seen": known}
        if isinstance(scorer, JudgeReward):
            about |= {"calibrated": scorer.cut is not None, "injections": scorer.injections.total()}
    result = about | measured
    if place is not None:
        about = {"reward": name} | read_as(inputs.reading)
        with opened("score", place, settings=about, files=named_files(inputs) | folders) as context:
            write_jsonl(context.run.path("scores.jsonl"), rows)
            context.run.complete("score", result, seconds=0.0)
    return result


def rank(reward: str, query: str, texts: Sequence[str], *, access: Access = Access()) -> list[tuple[str, float | None]]:
    """Texts with their scores, the best first; those without a score come last."""
    with _scorer(reward, access) as scorer:
        scores = scorer.score([query] * len(texts), texts)
    return best_first(zip(texts, scores, strict=True), lambda one: one[1])


def best_first(scored: Iterable[T], score: Callable[[T], float | None]) -> list[T]:
    """Sorted by score; what has none comes last."""
    return sorted(scored, key=lambda one: -math.inf if (value := score(one)) is None else value, reverse=True)


@contextmanager
def _scorer(reward: str, access: Access, *, force: bool = False) -> Iterator[Reward]:
    """The reward, closed afterwards; a judge's replies are kept in the ledger beside its folder."""
    judges = [folder for folder in placeholders(reward)[1].values() if (folder / "judge.json").is_file()]
    ledger = access.ledger(judges[0].absolute().parent / ".inkfire" / "ledger.sqlite", "score") if judges else None
    with ledger or nullcontext():
        scorer = load_reward(reward, ledger=ledger, base_url=access.base_url, force=force)
        with closing(scorer):
            yield scorer


def _pairs(reward: Reward, pairs: Sequence[Preference]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    queries = [pair.query for pair in pairs]
    chosen = reward.score(queries, [pair.chosen for pair in pairs])
    rejected = reward.score(queries, [pair.rejected for pair in pairs])
    rows = [{"query": q, "chosen": c, "rejected": r} for q, c, r in zip(queries, chosen, rejected, strict=True)]
    return pair_slices(pairs, list(zip(chosen, rejected, strict=True))), rows


def _texts(
    reward: Reward, texts: Sequence[Candidate | Labelled], seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    scores = reward.score([text.query for text in texts], [text.response for text in texts])
    rows = [{"query": t.query, "response": t.response, "score": s} for t, s in zip(texts, scores, strict=True)]
    scored = [(text, score) for text, score in zip(texts, scores, strict=True) if score is not None]
    cut = reward.threshold
    out: dict[str, Any] = {"n": len(texts), "scored": len(scored), "missing": len(texts) - len(scored)}
    out["mean"] = sum(score for _, score in scored) / len(scored) if scored else None
    if cut is not None:
        out |= rate("excellent_rate", [score >= cut for _, score in scored], [text.query for text, _ in scored])
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
