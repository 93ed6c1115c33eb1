"""One run of ``inkfire curate``: the folder, the ledger and the models around ``agents.curate.curate``."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inkfire.errors import InputError

if TYPE_CHECKING:
    from inkfire.debate.shards import Shard
    from inkfire.files.run import Run
    from inkfire.judge.judging import Access
    from inkfire.llm.batch import Batch
    from inkfire.llm.ledger import Ledger
    from inkfire.llm.progress import Bar
    from inkfire.records import Query
    from inkfire.tasks.task import Task

Settings = dict[str, Any]

_CONCURRENCY = 16  # calls in flight that are fed with work where --concurrency says nothing


def run_curation(
    task_name: str,
    files: Mapping[str, Path],
    out: Path,
    settings: Settings,
    *,
    access: Access,
    seed: int,
    estimate: bool = False,
    batch_dir: Path | None = None,
) -> dict[str, Any]:
    """Open the run folder and the ledger, curate, record the result. A finished run is read back.

    An estimate leaves no folder behind, so that other settings can be tried under the same name; its replies are kept.
    With a folder for batches a run that waits for replies says so in ``waiting``, and what to do in ``next``.
    """
    from inkfire.debate.shards import Shard, distinct
    from inkfire.llm import loop
    from inkfire.llm.batch import Batch, Waiting
    from inkfire.runs.card import write_card
    from inkfire.runs.estimate import SAMPLE
    from inkfire.runs.progress import Progress
    from inkfire.search import check_retrieval
    from inkfire.tasks.task import load_task

    check_retrieval(settings["retrieval"], corpus="corpus" in files, embedder=settings["embedder"])
    task = load_task(task_name)
    shard = Shard.parse(settings["shard"] or "1/1")
    total = sum(map(shard.owns, distinct(_queries(files, settings["limit"]))))  # finds bad rows before anything is paid
    run = open_run(task, files, out, settings, seed, keep=not estimate)
    finished = None if estimate or access.retry_unscored else run.done("curate")
    if finished is not None:
        # Every reply that went into it is on file: as a run does that goes through them all again, it says so.
        return {**finished, "cached": finished["calls"], "tokens": 0, "cost": 0.0, "waiting": 0}
    started = time.monotonic()
    with ExitStack() as stack:
        batch = stack.enter_context(Batch(batch_dir)) if batch_dir is not None else None
        ledger = stack.enter_context(access.ledger(run))
        label, n = ("estimate", min(SAMPLE, total)) if estimate else ("curate", total)
        progress = stack.enter_context(Progress(label, n, stats=ledger.stats))
        try:
            result = loop.run(
                _curate(task, files, run, settings, shard, seed, ledger, progress, access.concurrency, estimate, batch)
            )
        except Waiting as waiting:
            result = {"queries": total, "queries_waiting": waiting.queries}
        stats = ledger.stats()
    used = {key: stats[key] for key in ("cached", "tokens", "cost")}
    if estimate or (batch is not None and batch.pending):
        told = batch.report(result["queries_waiting"]) if batch is not None else {}
        return result | told | {"calls": stats["calls"]} | used
    # By the endpoint or the ledger: the same numbers in a run that was resumed. Money is rounded where all is summed.
    result |= {"calls": stats["calls"], "total_tokens": stats["total_tokens"]}
    result["total_cost"] = stats["total_cost"] if settings["shard"] else round(stats["total_cost"], 6)
    write_card(run, result)
    run.complete("curate", result, seconds=time.monotonic() - started)
    return result | used | {"waiting": 0}


def open_run(
    task: Task, files: Mapping[str, Path], out: Path, settings: Settings, seed: int, *, keep: bool = True
) -> Run:
    """The run folder of a curation, new or to be resumed; ``keep`` False leaves none behind."""
    from inkfire.debate.pairs import PAIR_POLICIES
    from inkfire.files.run import Run

    if settings["pairs"] not in PAIR_POLICIES:
        raise InputError(f"--pairs {settings['pairs']!r}: use {', '.join(PAIR_POLICIES)}")
    described = {**settings, "task": task.name, "task_version": task.version, "language": task.language}
    if not keep:
        return Run(out, described)
    return Run.open(out, command="curate", settings=described, inputs=files, seed=seed)


async def _curate(
    task: Task,
    files: Mapping[str, Path],
    run: Run,
    settings: Settings,
    shard: Shard,
    seed: int,
    ledger: Ledger,
    progress: Bar,
    concurrency: int | None,
    estimate: bool,
    batch: Batch | None,
) -> dict[str, Any]:
    """The models of the run, opened once each and closed at the end, around ``agents.curate.curate``."""
    from inkfire.debate.debate import Debate
    from inkfire.debate.sampler import RejectionSampler, curate
    from inkfire.debate.writers import GivenWriter, ModelWriter, Writer
    from inkfire.files.formats import iter_texts, read_examples
    from inkfire.models.open import is_local, open_embedder, open_model
    from inkfire.runs.estimate import Capacity
    from inkfire.runs.estimate import estimate as estimate_curation
    from inkfire.search import Retriever

    specs = settings["writers"]
    names = [settings["model"], *settings["agents"].values(), *(spec["model"] for spec in specs)]
    async with AsyncExitStack() as stack:
        models = {}
        for name in dict.fromkeys(names):
            client = open_model(
                name, ledger=ledger, base_url=settings["base_url"], concurrency=concurrency, batch=batch
            )
            models[name] = await stack.enter_async_context(client)
        writers: Sequence[Writer]
        candidates = settings["candidates"]
        if "candidates" in files:
            writers, _ = GivenWriter.of(iter_texts(files["candidates"]), shard.owns)
            candidates = len(writers)
        else:
            writers = [
                ModelWriter(task, models[spec["model"]], variant=spec["prompt"], temperature=spec["temperature"])
                for spec in specs
            ]
        retriever = embedder = None
        if settings["embedder"] is not None:
            embedder = open_embedder(
                settings["embedder"], ledger=ledger, base_url=settings["base_url"], concurrency=concurrency
            )
            stack.push_async_callback(embedder.close)
        if "corpus" in files:
            retriever = await Retriever.of(read_examples(files["corpus"]), settings["retrieval"], embedder)
        debate = Debate(
            task,
            models[settings["model"]],
            retriever=retriever,
            agents=list(settings["agents"]),
            per_agent={agent: models[name] for agent, name in settings["agents"].items()},
            seed=seed,
        )
        queries = _queries(files, settings["limit"])
        rounds = 1 if "candidates" in files else settings["rounds"]
        # One slow debate holds its query's place. An embedded engine's slots keep the beginning that a debate's four
        # calls share only as long as few debates are under way.
        remote = max(4, 4 * (concurrency or _CONCURRENCY) // candidates)
        limit = 2 if all(map(is_local, names)) else remote
        if estimate:
            pairs, ratio = settings["pairs"], settings["max_length_ratio"]
            return await estimate_curation(
                filter(shard.owns, queries),
                RejectionSampler(writers, debate, candidates, pairs, ratio, rounds, seed),
                capacity={name: Capacity.of(model) for name, model in models.items()},
                seed=seed,
                limit=limit,
                progress=progress,
            )
        return await curate(
            task,
            queries,
            writers,
            debate,
            pairs_path=run.path("pairs.jsonl"),
            transcripts_path=run.path("transcripts.jsonl"),
            outcomes_path=run.path("outcomes.jsonl"),
            shard=shard,
            candidates_per_query=candidates,
            pair_policy=settings["pairs"],
            max_length_ratio=settings["max_length_ratio"],
            rounds=rounds,
            seed=seed,
            limit=limit,
            progress=progress,
        )


def _queries(files: Mapping[str, Path], limit: int | None) -> Iterator[Query]:
    """The run's queries, read as they are needed; those of given candidates once each."""
    from inkfire.debate.shards import distinct
    from inkfire.files.formats import iter_queries

    queries = iter_queries(files["prompts"]) if "prompts" in files else distinct(iter_queries(files["candidates"]))
    return itertools.islice(queries, limit)
