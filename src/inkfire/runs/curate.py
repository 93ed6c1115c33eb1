"""``inkfire curate``: strategy A's preference data, and ``inkfire curate show``: one of its debates.

    out/pairs.jsonl         TRL's conversational preference    out/outcomes.jsonl   one line a query: its fate
    out/transcripts.jsonl   one line a debate                  out/README.md        the dataset's card

Many queries are in flight at once and their results are written in input order, so memory stays flat and the same
replies give the same bytes. Everything asked of a model is in the ledger: a run that was killed, run again, repeats no
call that was answered.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from inkfire.debate.debate import Debate
from inkfire.debate.pairs import MAX_LENGTH_RATIO, PairPolicy
from inkfire.debate.sampler import RejectionSampler, Sampled, Tally
from inkfire.debate.settings import DebateSettings
from inkfire.debate.shards import Shard, distinct
from inkfire.debate.writers import GivenWriter, ModelWriter, Writer
from inkfire.errors import DataError, InputError
from inkfire.files.formats import iter_queries, iter_texts
from inkfire.files.jsonl import JsonlWriter, read_jsonl
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.files.run import Run
from inkfire.llm import loop
from inkfire.llm.batch import Batch, Waiting
from inkfire.llm.bill import FIELDS, Bill, repriced
from inkfire.llm.prices import prices_beside
from inkfire.llm.progress import Bar
from inkfire.llm.stream import ordered
from inkfire.models.card import is_policy
from inkfire.models.open import is_local
from inkfire.records import Candidate, Query
from inkfire.runs.card import write_card
from inkfire.runs.context import Context, Place, described, named_files, opened, with_own_data
from inkfire.runs.debates import corpus_of
from inkfire.runs.estimate import SAMPLE, Capacity, estimate
from inkfire.runs.memory import Peak
from inkfire.runs.policy_writers import Spec, check_policy, shares, specs_of, texts_of_policies, writes_here
from inkfire.search import Retriever, without
from inkfire.settings import WithPreset, option, settings
from inkfire.tasks.task import Task, load_task

_CONCURRENCY = 16  # calls in flight that are fed with work where --concurrency says nothing


@settings
class CurateInputs:
    """What is debated, and by which model."""

    task: str
    """A task's name (inkfire tasks list) or its folder."""
    model: str
    """Model of the agents, and of the writers unless --writer says else."""
    prompts: Data = ()
    """Queries, in any format that has them; the task's own if none."""
    candidates_from: Data = ()
    """Debate these {query, response, source}, beside what a --writer that is named writes."""
    corpus: Data = ()
    """Good {query, response, clicks} that agents are shown, by nearness; in a full debate the task's, if none."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


@settings
class CurateSettings(DebateSettings, WithPreset):
    """How candidates come about, are debated and become pairs."""

    candidates: Annotated[int, Ge(1)] = 4
    """Candidates a query and round, shared out among the writers."""
    writer: tuple[str, ...] = ()
    """MODEL or POLICY[,prompt=writer|writer_alt][,temperature=T]; repeat it. Default: --model with both prompts."""
    temperature: Annotated[float, Ge(0)] = 1.0
    """Of the writers that name none."""
    pairs: PairPolicy = "length-matched"
    """length-matched, best-worst or all."""
    max_length_ratio: Annotated[float, Ge(1)] = MAX_LENGTH_RATIO
    """Bound of length-matched: longer text over shorter."""
    rounds: Annotated[int, Ge(1)] = 2
    """Fresh candidates until a pair, this often."""
    limit: Annotated[int, Ge(1)] | None = None
    """Use the first N queries."""
    max_tokens: Annotated[int, Ge(1)] | None = None
    """Of a text; the task's own if none."""


@settings
class CurateHow:
    """In which way it is done; but for the shard no part of what the run is."""

    shard: str | None = None
    """i/n: only the i-th of n parts; join them with inkfire curate merge."""
    engine: Literal["local", "ray"] = "local"
    """local, or ray: shards as tasks of a Ray cluster."""
    shards: Annotated[int, Ge(1)] | None = None
    """With --engine ray; default: its CPUs."""
    estimate: bool = False
    """Try a few queries, and say what all of them will take; no pairs."""
    batch_dir: Path | None = None
    """Write calls of remote models as OpenAI batch files there; take replies in."""


def curate(
    inputs: CurateInputs, settings: CurateSettings, place: Place, how: CurateHow = CurateHow()
) -> dict[str, Any]:
    """Curate in this process and record the result (``shards.py``: on a cluster). A finished run is read back.

    An estimate leaves no folder behind, so that other settings can be tried under the same name; its replies are kept.
    With a folder for batches a run that waits for replies says so in ``waiting``, and what to do in ``next``.
    """
    inputs, settings = check(inputs, settings, how)
    shard = Shard.parse(how.shard or "1/1")
    total = sum(map(shard.owns, distinct(_queries(inputs, settings))))  # finds bad rows before anything is paid
    if how.estimate:
        with ExitStack() as stack:
            context = Context(Run(place.out, {}), place, stack)
            return _estimated(context, inputs, settings, shard, total)
    with open_curation(inputs, settings, place, how.shard) as context:
        finished = None if place.access.retry_unscored else context.run.done("curate")
        if finished is not None:
            # Every reply that went into it is on file: as a run does that goes through them all again, it says so.
            finished = repriced(finished, prices_beside(context.run.ledger_path), "total_")
            return {**finished, "cached": finished["calls"], "tokens": 0, **Bill().fields(), "waiting": 0}
        return _curated(context, inputs, settings, shard, total, how)


def open_curation(
    inputs: CurateInputs, settings: CurateSettings, place: Place, shard: str | None = None
) -> AbstractContextManager[Context]:
    """The run folder of a curation."""
    task = load_task(inputs.task)
    specs = _writers(inputs, settings)
    policies = {f"writer {i}": Path(one["model"]) for i, one in enumerate(specs, 1) if is_policy(one["model"])}
    about = described(inputs, settings, task=task.name, task_version=task.version, language=task.language)
    about["slices"] = {name: one.model_dump(mode="json") for name, one in task.slices.items()}  # for the card
    about |= {"shard": shard, "writers": specs, "agents": settings.agents(inputs.model)}
    if not inputs.corpus and (corpus := corpus_of(task, settings, (), inputs.reading)):
        about["examples_of_task"] = len(corpus)
    del about["writer"], about["agent"]
    return opened("curate", place, settings=about, files=named_files(inputs) | policies)


def check(inputs: CurateInputs, settings: CurateSettings, how: CurateHow) -> tuple[CurateInputs, CurateSettings]:
    """The inputs, with the task's queries where none are named, and the settings with the debate's depth decided.

    Raises:
        InputError: what is asked for does not fit together; nothing is written yet.
    """
    if inputs.prompts and inputs.candidates_from:
        raise InputError("give either --prompts or --candidates-from: the candidates have their queries with them")
    if how.estimate and how.batch_dir is not None:
        raise InputError("--estimate asks a few queries now: leave --batch-dir out of it")
    if (how.engine == "ray" and how.shard) or (how.shards is not None and how.engine != "ray"):
        raise InputError("--engine is local (with --shard i/n for one part) or ray (with --shards N for all of them)")
    if how.engine == "ray" and (how.estimate or how.batch_dir is not None):
        raise InputError("--estimate and --batch-dir need no cluster: leave --engine ray out")
    task = load_task(inputs.task)
    for spec in _writers(inputs, settings):
        task.messages("a query", spec["prompt"])
        check_policy(spec, estimate=how.estimate)
    settings = settings.settled(task, inputs.model)
    corpus_of(task, settings, inputs.corpus, inputs.reading)
    return inputs if inputs.candidates_from else with_own_data(inputs, task, prompts="queries"), settings


def _curated(
    context: Context, inputs: CurateInputs, settings: CurateSettings, shard: Shard, total: int, how: CurateHow
) -> dict[str, Any]:
    run, started = context.run, time.monotonic()
    batching = nullcontext() if how.batch_dir is None else Batch(how.batch_dir)
    task = load_task(inputs.task).limited(settings.max_tokens)
    asked = (query.query for query in distinct(_queries(inputs, settings)) if shard.owns(query))
    own = texts_of_policies(context, task, shares(_writers(inputs, settings), settings.candidates), asked)
    with Peak() as peak, batching as batch, context.bars("curate", total) as bar:
        try:
            sampler = loop.run(_sampler(context, inputs, settings, shard, batch, own))
            queries, limit = _queries(inputs, settings), _at_once(context, inputs, settings)
            result = loop.run(write_pairs(queries, sampler, run.out, shard=shard, limit=limit, bar=bar))
        except Waiting as waiting:
            result = {"queries": total, "queries_waiting": waiting.queries}
    stats = context.ledger.stats()
    used = {key: stats[key] for key in ("cached", "tokens", *FIELDS)}
    if batch is not None and batch.pending:
        return result | batch.report(result["queries_waiting"]) | {"calls": stats["calls"]} | used
    # By the endpoint or the ledger: the same numbers in a run that was resumed. Money is rounded where all is summed.
    bill = Bill.read(stats, "total_")
    result |= {"depth": settings.depth, "calls": stats["calls"], "total_tokens": bill.tokens}
    result |= (bill if how.shard else bill.rounded()).fields("total_") | {"currency": stats["currency"]}
    result |= context.lacking()
    write_card(run, result)
    run.complete("curate", result, seconds=time.monotonic() - started, used=peak.fields())
    return result | used | {"waiting": 0}


def _estimated(
    context: Context, inputs: CurateInputs, settings: CurateSettings, shard: Shard, total: int
) -> dict[str, Any]:
    with context.bars("estimate", min(SAMPLE, total)) as bar:
        sampler = loop.run(_sampler(context, inputs, settings, shard, None))
        queries, limit = filter(shard.owns, _queries(inputs, settings)), _at_once(context, inputs, settings)
        capacity = {name: Capacity.of(model) for (name, _), model in context.models.items()}
        tried = estimate(queries, sampler, capacity=capacity, seed=context.seed, limit=limit, progress=bar)
        result = loop.run(tried)
    stats = context.ledger.stats()
    return result | {key: stats[key] for key in ("calls", "cached", "tokens", *FIELDS, "currency")}


async def _sampler(
    context: Context,
    inputs: CurateInputs,
    settings: CurateSettings,
    shard: Shard,
    batch: Batch | None,
    own: Sequence[Candidate] = (),
) -> RejectionSampler:
    """The writers and the debate, on models that the context opens once each; ``own`` is what policies wrote."""
    task = load_task(inputs.task).limited(settings.max_tokens)

    def model(name: str) -> Any:
        return context.model(name, concurrency=context.access.concurrency, batch=batch)

    writers: list[Writer] = []
    if inputs.candidates_from:
        writers += GivenWriter.of(iter_texts(inputs.candidates_from, inputs.reading), shard.owns)[0]
    writers += GivenWriter.of(own)[0]
    asked = [(spec, n) for spec, n in shares(_writers(inputs, settings), settings.candidates) if not writes_here(spec)]
    writers += [
        ModelWriter(task, model(spec["model"]), variant=spec["prompt"], temperature=spec["temperature"])
        for spec, _ in asked
    ]
    agents = {agent: model(name) for agent, name in settings.agents(inputs.model).items()}
    debate = Debate(
        task,
        model(inputs.model),
        retriever=await _retriever(context, inputs, settings, task),
        agents=list(agents),
        per_agent=agents,
        seed=context.seed,
        depth=settings,
    )
    n, rounds = sum(share for _, share in asked), settings.rounds
    if not n:  # what is given is all there is: nobody writes more in another round
        n, rounds = len(writers), 1
    return RejectionSampler(writers, debate, n, settings.pairs, settings.max_length_ratio, rounds, context.seed)


async def _retriever(context: Context, inputs: CurateInputs, settings: CurateSettings, task: Task) -> Retriever | None:
    """Where the agents' examples come from; a text that is debated is never among them, whichever query it is for."""
    corpus = corpus_of(task, settings, inputs.corpus, inputs.reading)
    if not corpus:
        return None
    if inputs.candidates_from:
        corpus = without(corpus, (text.response for text in iter_texts(inputs.candidates_from, inputs.reading)))
    retriever = Retriever.of(corpus, settings, context.embedder(settings.embedder) if settings.embedder else None)
    await retriever.ready()
    return retriever


def _at_once(context: Context, inputs: CurateInputs, settings: CurateSettings) -> int:
    """Queries in flight. One slow debate holds its query's place; an embedded engine's slots keep the beginning that a
    debate's four calls share only as long as few debates are under way."""
    names = [inputs.model, *settings.agents(inputs.model).values()]
    names += [spec["model"] for spec in _writers(inputs, settings)]
    remote = max(4, 4 * (context.access.concurrency or _CONCURRENCY) // settings.candidates)
    return 2 if all(map(is_local, names)) else remote


async def write_pairs(
    queries: Iterable[Query],
    sampler: RejectionSampler,
    folder: Path,
    *,
    shard: Shard = Shard(1, 1),
    limit: int = 32,
    bar: Bar | None = None,
) -> dict[str, Any]:
    """Write pairs.jsonl, transcripts.jsonl and outcomes.jsonl for ``queries`` and say what came of them.

    Args:
        queries: read lazily; one that repeats is curated once.
        shard: the part of ``queries`` that is curated.
        limit: queries in flight at once. Each has up to ``sampler.candidates`` debates in flight.

    Returns:
        :meth:`Tally.result`.

    Raises:
        BudgetExceeded, EndpointDown: the run stops; the same call resumes it from the ledger.
        Waiting: replies of so many queries are still to come by batch; the files are not complete.
    """
    tally, waiting = Tally(), 0

    async def sample(item: tuple[int, Query]) -> Sampled | None:
        try:
            return await sampler.sample(item)
        except Waiting:
            return None

    with ExitStack() as stack:
        pairs, transcripts, outcomes = (
            stack.enter_context(JsonlWriter(folder / name))
            for name in ("pairs.jsonl", "transcripts.jsonl", "outcomes.jsonl")
        )
        async for sampled in ordered(sample, _own(queries, shard, tally), limit=limit):
            if sampled is None:
                waiting += 1
                continue
            outcomes.write(sampled.to_json())
            for transcript in sampled.transcripts:
                transcripts.write(transcript.to_json())
            for chosen, rejected in sampled.pairs:
                pairs.write(sampler.preference_row(chosen, rejected))
            tally.add(sampled)
            if bar is not None:
                bar.advance(1, failed=sum(not t.verdict.scored for t in sampled.transcripts))
        if waiting:
            raise Waiting(waiting)
    return tally.result()


def _own(queries: Iterable[Query], shard: Shard, tally: Tally) -> Iterator[tuple[int, Query]]:
    """The shard's queries, each once, with their places in the input."""
    seen: set[int] = set()
    for position, query in enumerate(queries):
        if shard.owns(query):
            if query.number in seen:
                tally.count["repeated_queries"] += 1
                continue
            seen.add(query.number)
            yield position, query


def _queries(inputs: CurateInputs, settings: CurateSettings) -> Iterator[Query]:
    """The run's queries, read as they are needed; those of given candidates once each."""
    if inputs.prompts:
        queries = iter_queries(inputs.prompts, inputs.reading)
    else:
        queries = distinct(iter_queries(inputs.candidates_from, inputs.reading))
    return itertools.islice(queries, settings.limit)


def _writers(inputs: CurateInputs, settings: CurateSettings) -> list[Spec]:
    """The writers that are models."""
    given = settings.writer
    if not given and not inputs.candidates_from:
        given = (inputs.model, f"{inputs.model},prompt=writer_alt")
    return specs_of(given, settings.temperature)


def find_transcript(out: Path, id: str) -> dict[str, Any]:
    """The transcript whose id begins so; that of a run still going on is looked for in what it has written."""
    path = out / "transcripts.jsonl"
    partial = path.with_name(path.name + ".partial")
    found = [row for row in read_jsonl(partial if partial.exists() else path) if row["id"].startswith(id)]
    if not found:
        raise DataError(f"holds no debate {id!r}; the ids are the first field of each line", path=path)
    if len(found) > 1 and any(row["id"] != found[0]["id"] for row in found):
        raise DataError(f"{id!r} begins the ids of {len(found)} debates; give more of it", path=path)
    return found[0]
