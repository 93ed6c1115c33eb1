"""``inkfire curate merge`` and ``--engine ray``: one curation in parts, by hand or on a Ray cluster.

Each shard is a run folder of its own, made wherever there is room. Put together they are the folder that one run over
everything would have made, byte for byte given the same replies, and no more than a line of each file of each shard is
held at a time: every query has its place in the input and its numbers of lines in ``outcomes.jsonl``.
"""

from __future__ import annotations

import dataclasses
import heapq
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, closing, redirect_stdout
from itertools import islice
from pathlib import Path
from typing import Any

from inkfire.debate.sampler import Tally
from inkfire.debate.shards import Shard
from inkfire.errors import BudgetExceeded, EndpointDown, InkfireError, InputError, MissingExtraError, RunFolderError
from inkfire.files.jsonl import atomic, open_input, parse_json
from inkfire.files.run import Run, before_named, locked
from inkfire.llm.bill import Bill, repriced
from inkfire.llm.prices import CURRENCY, prices_beside
from inkfire.runs.card import write_card
from inkfire.runs.context import Place
from inkfire.runs.curate import CurateHow, CurateInputs, CurateSettings, check, curate, open_curation

OUTPUTS = ("outcomes.jsonl", "transcripts.jsonl", "pairs.jsonl")
_FAILURES: dict[int, type[InkfireError]] = {2: InputError, 3: BudgetExceeded, 4: EndpointDown}


def merge(folders: Sequence[Path], out: Path) -> dict[str, Any]:
    """The result of the whole. Merging again takes what the shards hold by then.

    Raises:
        InputError: the shards are not those of one run, complete and disjoint.
    """
    runs = open_shards(folders)
    with locked(out):
        return _merge(runs, out)


def _merge(runs: Sequence[Run], out: Path) -> dict[str, Any]:
    run = open_merged(runs, out)
    started = time.monotonic()
    merge_outputs(runs, out)
    parts = [(part, prices_beside(shard.ledger_path)) for shard in runs if (part := shard.done("curate")) is not None]
    results = [repriced(part, prices, "total_") for part, prices in parts]
    result = Tally.of(results).result() | {"depth": before_named(run.manifest["settings"], "depth")}
    total = sum((Bill.read(part, "total_") for part in results), start=Bill()).rounded()
    result |= {"calls": sum(part["calls"] for part in results), "total_tokens": total.tokens, **total.fields("total_")}
    result["currency"] = _one_currency(results)
    if lacking := {model: found for part in results for model, found in part.get("lacking", {}).items()}:
        result["lacking"] = lacking
    write_card(run, result)
    run.complete("curate", result, seconds=time.monotonic() - started)
    return {**result, "shards": len(runs)}


def _one_currency(results: Sequence[Mapping[str, Any]]) -> str:
    """That of all shards; money in several is not added up.

    Raises:
        InputError: they differ.
    """
    named = sorted({part.get("currency", CURRENCY) for part in results})
    if len(named) > 1:
        raise InputError(f"the shards' prices are in {' and '.join(named)}: money in several currencies has no sum")
    return named[0] if named else CURRENCY


def open_shards(folders: Sequence[Path]) -> list[Run]:
    """The finished runs in ``folders``, in the order of their shards.

    Raises:
        InputError: a folder is no finished shard, shards are of different runs, one is there twice, or some are
            missing (they are named).
    """
    runs: dict[int, Run] = {}
    total = 0
    for folder in folders:
        run = Run.read(folder)
        name = run.manifest.get("settings", {}).get("shard") if run.manifest.get("command") == "curate" else None
        if name is None:
            raise InputError(f"{folder} is no shard: it was not made by inkfire curate --shard i/n")
        if run.done("curate") is None:
            raise InputError(f"{folder} (shard {name}) is not finished: run its command again")
        shard = Shard.parse(name)
        total = total or shard.of
        if shard.of != total:
            raise InputError(f"{folder} is shard {name}, others are of {total}: all must be of one division")
        if shard.index in runs:
            raise InputError(f"{folder} and {runs[shard.index].out} are both shard {name}: leave one out")
        runs[shard.index] = run
    missing = [f"{index}/{total}" for index in range(1, total + 1) if index not in runs]
    if missing:
        raise InputError(f"shards are missing: {', '.join(missing)}; make them with inkfire curate --shard")
    ordered = [runs[index] for index in sorted(runs)]
    for run in ordered[1:]:
        if difference := _whole(ordered[0]).difference(_whole(run).manifest):
            raise InputError(f"{ordered[0].out} and {run.out} are not of the same run: {difference}")
    return ordered


def _whole(shard: Run) -> Run:
    """The run of which a shard is a part: the same manifest without the shard."""
    return Run(shard.out, {**shard.manifest, "settings": {**shard.manifest["settings"], "shard": None}})


def open_merged(runs: Sequence[Run], out: Path) -> Run:
    """The folder of the whole: its manifest is that of a run that was never divided.

    Raises:
        RunFolderError: ``out`` holds another run.
    """
    return Run.open_as(out, _whole(runs[0]).manifest)


def merge_outputs(runs: Sequence[Run], out: Path) -> None:
    """Write the shards' lines into ``out`` in the order of the input, as they are.

    Raises:
        RunFolderError: a shard's files do not fit each other, or two shards have a query in common.
    """
    last = -1
    with ExitStack() as stack:
        files = [stack.enter_context(atomic(out / name)) for name in OUTPUTS]
        parts = [stack.enter_context(closing(_parcels(run.out))) for run in runs]
        for position, parcel in heapq.merge(*parts, key=lambda item: item[0]):
            if position <= last:
                raise RunFolderError(
                    f"line {position} of the input is in two shards: they were made of different files"
                )
            last = position
            for file, lines in zip(files, parcel, strict=True):
                file.writelines(lines)


def _parcels(folder: Path) -> Generator[tuple[int, tuple[list[bytes], ...]]]:
    """A shard's queries in order: (place in the input, the lines of each output)."""
    with ExitStack() as stack:
        outcomes, transcripts, pairs = (stack.enter_context(open_input(folder / name)) for name in OUTPUTS)
        for number, line in enumerate(outcomes, 1):
            row = parse_json(line.decode("utf-8"), path=folder / OUTPUTS[0], line=number)
            debated = list(islice(transcripts, row["candidates"]))
            paired = list(islice(pairs, row["pairs"]))
            if len(debated) < row["candidates"] or len(paired) < row["pairs"]:
                raise RunFolderError(f"{folder} is damaged: a file ends before {OUTPUTS[0]} does; make it anew")
            yield row["position"], ([line], debated, paired)
        if next(transcripts, None) or next(pairs, None):
            raise RunFolderError(f"{folder} is damaged: a file goes on after {OUTPUTS[0]}; make it anew")


# ---- Ray -----------------------------------------------------------------------------------------------------------


def curate_on_ray(inputs: CurateInputs, settings: CurateSettings, place: Place, how: CurateHow) -> dict[str, Any]:
    """Each shard as a task of a Ray cluster (RAY_ADDRESS, or one on this machine), then the merge.

    The shards are run folders under ``out``/shards, each with a ledger of its own (machines cannot share an SQLite
    file), so that the same command resumes. Every node must see ``out`` and the inputs under the same paths. Limits are
    of the whole; each shard gets its share.

    Raises:
        MissingExtraError: Ray is not installed.
        BudgetExceeded, EndpointDown, InputError: what the first of the shards ended with; the others are let finish.
    """
    inputs, settings = check(inputs, settings, how)
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    inputs = _absolute(inputs)
    place = dataclasses.replace(place, out=place.out.absolute())
    access = place.access
    with open_curation(inputs, settings, place) as context:
        run = context.run
        finished = None if access.retry_unscored else run.done("curate")
        if finished is not None:
            finished = repriced(finished, prices_beside(run.ledger_path), "total_")
            return {**finished, "cached": finished["calls"], "tokens": 0, **Bill().fields()}
        with redirect_stdout(sys.stderr):  # Ray prints what it has to say about workers; stdout is the result's
            ray.init(ignore_reinit_error=True)
            try:
                n = how.shards or _earlier(run.out) or max(1, int(ray.cluster_resources().get("CPU", 1)))
                share = dataclasses.replace(
                    access,
                    budget=None if access.budget is None else access.budget / n,
                    budget_tokens=None if access.budget_tokens is None else max(1, access.budget_tokens // n),
                    rpm=None if access.rpm is None else max(1, access.rpm // n),
                    tpm=None if access.tpm is None else max(1, access.tpm // n),
                )

                def curate_shard(name: str, folder: Path) -> dict[str, Any]:
                    try:
                        part = Place(folder, place.seed, share, place.yes)
                        return {"result": curate(inputs, settings, part, CurateHow(shard=name))}
                    except InkfireError as error:  # taken apart: not every error survives being sent
                        return {"error": str(error), "exit_code": error.exit_code}

                folders = [run.out / "shards" / f"{i}-of-{n}" / "run" for i in range(1, n + 1)]
                for folder in folders:
                    _lend_prices(run.ledger_path, folder)
                task_of = ray.remote(num_cpus=1, max_retries=2)(curate_shard)  # a dead worker is replaced and resumes
                ended = ray.get([task_of.remote(f"{i}/{n}", folder) for i, folder in enumerate(folders, 1)])
            finally:
                ray.shutdown()
        for i, end in enumerate(ended, 1):
            if "error" in end:
                raise _FAILURES.get(end["exit_code"], InkfireError)(f"shard {i}/{n}: {end['error']}")
        used = sum((Bill.read(end["result"]) for end in ended), start=Bill())
        cached = sum(end["result"]["cached"] for end in ended)
        merged = _merge(open_shards(folders), run.out)
        return merged | {"cached": cached, "tokens": used.tokens, **used.fields()}


def _absolute(inputs: CurateInputs) -> CurateInputs:
    """The inputs as every worker finds them."""
    task = Path(inputs.task)
    given = {name: value for name, value in vars(inputs).items() if name in ("prompts", "candidates_from", "corpus")}
    paths: dict[str, Any] = {name: tuple(path.absolute() for path in value) for name, value in given.items()}
    return dataclasses.replace(inputs, task=str(task.absolute()) if task.is_dir() else inputs.task, **paths)


def _lend_prices(ledger: Path, folder: Path) -> None:
    """The prices beside the whole run's ledger, beside that of a shard."""
    prices = ledger.with_name("prices.toml")
    if prices.is_file():
        theirs = folder.parent / ".inkfire" / prices.name
        theirs.parent.mkdir(parents=True, exist_ok=True)
        theirs.write_bytes(prices.read_bytes())


def _earlier(out: Path) -> int | None:
    """Into how many shards an earlier try divided the run."""
    counts = {int(folder.name.partition("-of-")[2]) for folder in out.glob("shards/*-of-*")}
    if len(counts) > 1:
        raise InputError(
            f"{out / 'shards'} has shards of {sorted(counts)}: name one with --shards, or remove the others"
        )
    return counts.pop() if counts else None
