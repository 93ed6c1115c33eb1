"""``inkfire curate``: strategy A's preference data, and ``inkfire curate show``: one debate, readable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from inkfire.cli import common
from inkfire.cli.shards import curate_on_ray, merge
from inkfire.errors import DataError, InputError
from inkfire.runs.curate import Settings, run_curation

curate_app = typer.Typer()


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
    retrieval: Annotated[
        str, typer.Option("--retrieval", help="bm25, dense (by --embedder), or hybrid: both, merged by rank.")
    ] = "bm25",
    embedder: Annotated[
        str | None, typer.Option("--embedder", help="An endpoint's model; on this machine local/NAME or st/NAME.")
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
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Try a few queries, and say what all of them will take; no pairs.")
    ] = False,
    batch_dir: Annotated[
        Path | None,
        typer.Option("--batch-dir", help="Write calls of remote models as OpenAI batch files there; take replies in."),
    ] = None,
    base_url: common.BaseUrl = None,
    budget: common.BudgetMoney = None,
    budget_tokens: common.BudgetTokens = None,
    rpm: common.Rpm = None,
    tpm: common.Tpm = None,
    retry_unscored: common.RetryUnscored = False,
    seed: common.Seed = 0,
    json: common.Json = False,
) -> None:
    """Write candidates for queries, debate each, and make preference pairs: pairs.jsonl and transcripts.jsonl.

    Example: inkfire curate --task greetings-zh --prompts queries.txt --model local/qwen2.5-coder-1.5b --out runs/pairs

    What will it take? The same with --estimate. At a batch service's price, over days: with --batch-dir runs/batch.
    In parts: the same with --shard 1/4 --out runs/1-of-4, …; then inkfire curate merge runs/*-of-4 --out runs/pairs

    On Ray: the same with --engine ray --shards 4
    """
    if context.invoked_subcommand is not None:
        return
    if task is None or model is None or out is None or (prompts is None) == (candidates_from is None):
        raise InputError("inkfire curate needs --task, --model, --out, and --prompts or else --candidates-from")
    if estimate and batch_dir is not None:
        raise InputError("--estimate asks a few queries now: leave --batch-dir out of it")
    from inkfire.judge.judging import Access

    settings: Settings = {
        "model": model,
        "base_url": base_url,
        "writers": [] if candidates_from else parse_writers(writer or [model, f"{model},prompt=writer_alt"]),
        "agents": parse_agents(agent or [], model),
        "candidates": candidates,
        "retrieval": retrieval,
        "embedder": embedder,
        "pairs": pairs,
        "max_length_ratio": max_length_ratio,
        "rounds": rounds,
        "limit": limit,
        "shard": shard,
    }
    files = {"prompts": prompts, "candidates": candidates_from, "corpus": corpus}
    if engine not in ("local", "ray") or (shards is not None and engine != "ray") or (shard and engine == "ray"):
        raise InputError("--engine is local (with --shard i/n for one part) or ray (with --shards N for all of them)")
    if engine == "ray" and (estimate or batch_dir is not None):
        raise InputError("--estimate and --batch-dir need no cluster: leave --engine ray out")
    access = Access(base_url, budget, budget_tokens, retry_unscored, concurrency, rpm, tpm)
    given = {name: path for name, path in files.items() if path is not None}
    if engine == "ray":
        result = curate_on_ray(shards, task, given, out, settings, access=access, seed=seed)
    else:
        result = run_curation(
            task, given, out, settings, access=access, seed=seed, estimate=estimate, batch_dir=batch_dir
        )
    common.emit(result, as_json=json, show=_show_estimate if estimate else _show_next if "next" in result else None)


def _show_estimate(result: Mapping[str, Any]) -> None:
    from inkfire.runs.estimate import describe

    typer.echo(describe(result))


def _show_next(result: Mapping[str, Any]) -> None:
    typer.echo(result["next"])


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
    from inkfire.debate.debate import AGENTS

    agents: dict[str, str] = dict.fromkeys(AGENTS, model)
    for spec in specs:
        name, _, value = spec.partition("=")
        if name not in AGENTS or not value:
            raise InputError(f"--agent {spec!r}: write AGENT=MODEL or AGENT=off; the agents are {', '.join(AGENTS)}")
        agents[name] = value
    return {name: value for name, value in agents.items() if value != "off"}


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
    from inkfire.files.jsonl import read_jsonl

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
