"""``inkfire curate``: strategy A's preference data, and ``inkfire curate show``: one debate, readable."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inkfire.cli import common
from inkfire.cli.shards import curate_on_ray, merge
from inkfire.errors import DataError, InputError

if TYPE_CHECKING:
    from inkfire.agents.curate import Advances
    from inkfire.agents.shards import Shard
    from inkfire.llm.ledger import Ledger
    from inkfire.records import Query
    from inkfire.tasks.task import Task
    from inkfire.workspace import Run

_CONCURRENCY = 16  # calls in flight that are fed with work where --concurrency says nothing

curate_app = typer.Typer()

Settings = dict[str, Any]


@curate_app.callback(invoke_without_command=True)
def curate(
    context: typer.Context,
    task: Annotated[str | None, typer.Option("--task", help="A task's name or its folder.")] = None,
    prompts: Annotated[Path | None, typer.Option("--prompts", help="Queries, in any format that has them.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Model of the agents, and of the writers unless --writer says else.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The run folder; the same command resumes.")] = None,
    candidates: Annotated[int, typer.Option("--candidates", min=1, help="Candidates a query and round.")] = 4,
    candidates_from: Annotated[
        Path | None,
        typer.Option("--candidates-from", help="Debate these {query, response, source} instead of writing."),
    ] = None,
    writer: Annotated[
        list[str] | None,
        typer.Option(
            "--writer",
            help="MODEL[,prompt=writer|writer_alt][,temperature=T]; repeat it. Default: --model with both prompts.",
        ),
    ] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option("--agent", help="AGENT=MODEL or AGENT=off, for positive, negative, judge, reflect; repeat it."),
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option("--corpus", help="Good {query, response, clicks} that agents are shown, by nearness.")
    ] = None,
    pairs: Annotated[str, typer.Option("--pairs", help="length-matched, best-worst or all.")] = "length-matched",
    max_length_ratio: Annotated[
        float, typer.Option("--max-length-ratio", min=1, help="Bound of length-matched: longer text over shorter.")
    ] = 1.25,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Fresh candidates until a pair, this often.")] = 2,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Use the first N queries.")] = None,
    shard: Annotated[
        str | None, typer.Option("--shard", help="i/n: only the i-th of n parts; join them with inkfire curate merge.")
    ] = None,
    engine: Annotated[str, typer.Option("--engine", help="local, or ray: shards as tasks of a Ray cluster.")] = "local",
    shards: Annotated[int | None, typer.Option("--shards", min=1, help="With --engine ray; default: its CPUs.")] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, help="Calls in flight at once, per model (and shard).")
    ] = None,
    base_url: common.BaseUrl = None,
    budget: common.BudgetMoney = None,
    budget_tokens: common.BudgetTokens = None,
    retry_unscored: common.RetryUnscored = False,
    seed: common.Seed = 0,
    json: common.Json = False,
) -> None:
    """Write candidates for queries, debate each, and make preference pairs: pairs.jsonl and transcripts.jsonl.

    Example: inkfire curate --task greetings-zh --prompts queries.txt --model local/qwen2.5-coder-1.5b --out runs/pairs

    In parts: the same with --shard 1/4 --out runs/1-of-4, …; then inkfire curate merge runs/*-of-4 --out runs/pairs

    On Ray: the same with --engine ray --shards 4
    """
    if context.invoked_subcommand is not None:
        return
    if task is None or model is None or out is None or (prompts is None) == (candidates_from is None):
        raise InputError("inkfire curate needs --task, --model, --out, and --prompts or else --candidates-from")
    settings: Settings = {
        "model": model,
        "base_url": base_url,
        "writers": [] if candidates_from else parse_writers(writer or [model, f"{model},prompt=writer_alt"]),
        "agents": parse_agents(agent or [], model),
        "candidates": candidates,
        "pairs": pairs,
        "max_length_ratio": max_length_ratio,
        "rounds": rounds,
        "limit": limit,
        "shard": shard,
    }
    files = {"prompts": prompts, "candidates": candidates_from, "corpus": corpus}
    if engine not in ("local", "ray") or (shards is not None and engine != "ray") or (shard and engine == "ray"):
        raise InputError("--engine is local (with --shard i/n for one part) or ray (with --shards N for all of them)")
    run_all: Callable[..., Settings] = run_curation if engine == "local" else partial(curate_on_ray, shards)
    result = run_all(
        task,
        {name: path for name, path in files.items() if path is not None},
        out,
        settings,
        seed=seed,
        budget=(budget, budget_tokens),
        retry_unscored=retry_unscored,
        concurrency=concurrency,
    )
    common.emit(result, as_json=json)


def parse_writers(specs: list[str]) -> list[Settings]:
    """``MODEL[,prompt=P][,temperature=T]`` → its parts."""
    writers = []
    for spec in specs:
        name, *options = spec.split(",")
        values = dict(option.partition("=")[::2] for option in options)
        if not name or set(values) - {"prompt", "temperature"}:
            raise InputError(f"--writer {spec!r}: write MODEL,prompt=writer_alt,temperature=0.8")
        try:
            temperature = float(values.get("temperature", 1.0))
        except ValueError:
            raise InputError(f"--writer {spec!r}: temperature must be a number") from None
        writers.append({"model": name, "prompt": values.get("prompt", "writer"), "temperature": temperature})
    return writers


def parse_agents(specs: list[str], model: str) -> dict[str, str]:
    """Agent → its model, for the agents that take part."""
    from inkfire.agents.debate import AGENTS

    agents: dict[str, str] = dict.fromkeys(AGENTS, model)
    for spec in specs:
        name, _, value = spec.partition("=")
        if name not in AGENTS or not value:
            raise InputError(f"--agent {spec!r}: write AGENT=MODEL or AGENT=off; the agents are {', '.join(AGENTS)}")
        agents[name] = value
    return {name: value for name, value in agents.items() if value != "off"}


def run_curation(
    task_name: str,
    files: Mapping[str, Path],
    out: Path,
    settings: Settings,
    *,
    seed: int,
    budget: tuple[float | None, int | None],
    retry_unscored: bool,
    concurrency: int | None,
) -> dict[str, Any]:
    """Open the run folder and the ledger, curate, record the result. A finished run is read back."""
    from inkfire.agents.card import write_card
    from inkfire.agents.shards import Shard, distinct
    from inkfire.llm import loop
    from inkfire.llm.ledger import Ledger
    from inkfire.llm.prices import Budget
    from inkfire.llm.progress import Progress
    from inkfire.tasks.task import load_task

    task = load_task(task_name)
    shard = Shard.parse(settings["shard"] or "1/1")
    total = sum(map(shard.owns, distinct(_queries(files, settings["limit"]))))  # finds bad rows before anything is paid
    run = open_run(task, files, out, settings, seed)
    finished = None if retry_unscored else run.done("curate")
    if finished is not None:
        # Every reply that went into it is on file: as a run does that goes through them all again, it says so.
        return {**finished, "cached": finished["calls"], "tokens": 0, "cost": 0.0}
    started = time.monotonic()
    spend = Budget(*budget) if any(bound is not None for bound in budget) else None
    with (
        Ledger(run.ledger_path, budget=spend, retry_unscored=retry_unscored, run=out.name) as ledger,
        Progress("curate", total, stats=ledger.stats) as progress,
    ):
        result = loop.run(_curate(task, files, run, settings, shard, seed, ledger, progress, concurrency))
        stats = ledger.stats()
    # By the endpoint or the ledger: the same numbers in a run that was resumed. Money is rounded where all is summed.
    result |= {"calls": stats["calls"], "total_tokens": stats["total_tokens"]}
    result["total_cost"] = stats["total_cost"] if settings["shard"] else round(stats["total_cost"], 6)
    write_card(run, result)
    run.complete("curate", result, seconds=time.monotonic() - started)
    return result | {key: stats[key] for key in ("cached", "tokens", "cost")}


def open_run(task: Task, files: Mapping[str, Path], out: Path, settings: Settings, seed: int) -> Run:
    """The run folder of a curation, new or to be resumed."""
    from inkfire.agents.pairs import PAIR_POLICIES
    from inkfire.workspace import Run

    if settings["pairs"] not in PAIR_POLICIES:
        raise InputError(f"--pairs {settings['pairs']!r}: use {', '.join(PAIR_POLICIES)}")
    described = {**settings, "task": task.name, "task_version": task.version, "language": task.language}
    return Run.open(out, command="curate", settings=described, inputs=files, seed=seed)


async def _curate(
    task: Task,
    files: Mapping[str, Path],
    run: Run,
    settings: Settings,
    shard: Shard,
    seed: int,
    ledger: Ledger,
    progress: Advances,
    concurrency: int | None,
) -> dict[str, Any]:
    """The models of the run, opened once each and closed at the end, around ``agents.curate.curate``."""
    from inkfire.agents.curate import curate
    from inkfire.agents.debate import Debate
    from inkfire.agents.retrieve import Retriever
    from inkfire.agents.writers import GivenWriter, ModelWriter, Writer
    from inkfire.datafiles import iter_texts, read_examples
    from inkfire.llm.models import open_model

    specs = settings["writers"]
    names = [settings["model"], *settings["agents"].values(), *(spec["model"] for spec in specs)]
    async with AsyncExitStack() as stack:
        models = {}
        for name in dict.fromkeys(names):
            client = open_model(name, ledger=ledger, base_url=settings["base_url"], concurrency=concurrency)
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
        debate = Debate(
            task,
            models[settings["model"]],
            retriever=Retriever(read_examples(files["corpus"])) if "corpus" in files else None,
            agents=list(settings["agents"]),
            per_agent={agent: models[name] for agent, name in settings["agents"].items()},
            seed=seed,
        )
        return await curate(
            task,
            _queries(files, settings["limit"]),
            writers,
            debate,
            pairs_path=run.path("pairs.jsonl"),
            transcripts_path=run.path("transcripts.jsonl"),
            outcomes_path=run.path("outcomes.jsonl"),
            shard=shard,
            candidates_per_query=candidates,
            pair_policy=settings["pairs"],
            max_length_ratio=settings["max_length_ratio"],
            rounds=1 if "candidates" in files else settings["rounds"],
            seed=seed,
            limit=max(4, 4 * (concurrency or _CONCURRENCY) // candidates),  # one slow debate holds its query's place
            progress=progress,
        )


def _queries(files: Mapping[str, Path], limit: int | None) -> Iterator[Query]:
    """The run's queries, read as they are needed; those of given candidates once each."""
    from inkfire.agents.shards import distinct
    from inkfire.datafiles import iter_queries

    queries = iter_queries(files["prompts"]) if "prompts" in files else distinct(iter_queries(files["candidates"]))
    return itertools.islice(queries, limit)


curate_app.command("merge")(merge)


@curate_app.command("show")
def show(
    id: Annotated[str, typer.Argument(help="A transcript's id, or the beginning of one.")],
    out: Annotated[Path, typer.Option("--out", help="The run folder of inkfire curate.")],
    json: common.Json = False,
) -> None:
    """Print one debate as a conversation.

    Example: inkfire curate show 3f9c --out runs/pairs
    """
    common.emit(find_transcript(out, id), as_json=json, show=lambda row: typer.echo(conversation(row)))


def find_transcript(out: Path, id: str) -> dict[str, Any]:
    """The transcript whose id begins so; that of a run still going on is looked for in what it has written."""
    from inkfire.workspace import read_jsonl

    path = out / "transcripts.jsonl"
    partial = path.with_name(path.name + ".partial")
    found = [row for row in read_jsonl(partial if partial.exists() else path) if row["id"].startswith(id)]
    if not found:
        raise DataError(f"holds no debate {id!r}; the ids are the first field of each line", path=path)
    if len(found) > 1 and any(row["id"] != found[0]["id"] for row in found):
        raise DataError(f"{id!r} begins the ids of {len(found)} debates; give more of it", path=path)
    return found[0]


_VERDICTS = {1: "good", 0: "bad", None: "unscored"}


def conversation(row: Mapping[str, Any]) -> str:
    """A transcript as people read it: who said what, in order."""
    lines = [f"{row['id']}  {_VERDICTS[row['label']]}", "", f"Query     {row['query']}", f"Text      {row['response']}"]
    lines += [f"          written by {row['source']}"] if row["source"] else []
    lines += [f"Example   {example['query']}: {example['response']}" for example in row["examples"]]
    for agent, sign in (("positive", "+"), ("negative", "-")):
        if row[agent] is not None:
            lines += ["", f"{agent.capitalize():<10}({row['models'][agent]})"]
            lines += [f"  {sign} {point}: {reason}" for point, reason in row[agent].items()]
    for agent in ("judge", "reflect"):
        if row[agent] is not None:
            flip = ", overturning the judge" if agent == "reflect" and row["flipped"] else ""
            lines += ["", f"{agent.capitalize():<10}({row['models'][agent]})"]
            lines += [f"  {_VERDICTS[row[agent]['judge']]}{flip}: {row[agent]['reason']}"]
    if row["unscored"] is not None:
        lines += ["", f"Unscored  {row['unscored']}"]
    return "\n".join(lines)
