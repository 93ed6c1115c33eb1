"""``inkfire curate merge`` and ``--engine ray``: one curation in parts, by hand or on a Ray cluster."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inkfire.cli import common
from inkfire.errors import BudgetExceeded, EndpointDown, InkfireError, InputError, MissingExtraError

if TYPE_CHECKING:
    from inkfire.judge.judging import Access

_FAILURES: dict[int, type[InkfireError]] = {2: InputError, 3: BudgetExceeded, 4: EndpointDown}


def merge(
    shards: Annotated[list[Path], typer.Argument(help="The finished run folders of all shards, in any order.")],
    out: common.Out,
    json: common.Json = False,
) -> None:
    """Put the shards of one curation together: the folder of the run that was not divided, byte for byte.

    Example: inkfire curate merge runs/1-of-2 runs/2-of-2 --out runs/pairs
    """
    common.emit(merge_shards(shards, out), as_json=json)


def merge_shards(folders: Sequence[Path], out: Path) -> dict[str, Any]:
    """The result of the whole. Merging again takes what the shards hold by then.

    Raises:
        InputError: the shards are not those of one run, complete and disjoint.
    """
    from inkfire.debate.sampler import add_up
    from inkfire.debate.shards import merge_outputs, open_merged, open_shards
    from inkfire.runs.card import write_card

    runs = open_shards(folders)
    run = open_merged(runs, out)
    started = time.monotonic()
    merge_outputs(runs, out)
    results = [part for part in (shard.done("curate") for shard in runs) if part is not None]
    result = add_up(results)
    result |= {name: sum(part[name] for part in results) for name in ("calls", "total_tokens", "total_cost")}
    result["total_cost"] = round(result["total_cost"], 6)
    write_card(run, result)
    run.complete("curate", result, seconds=time.monotonic() - started)
    return {**result, "shards": len(runs)}


# ---- Ray -----------------------------------------------------------------------------------------------------------


def curate_on_ray(
    shards: int | None,
    task: str,
    files: Mapping[str, Path],
    out: Path,
    settings: dict[str, Any],
    *,
    access: Access,
    seed: int,
) -> dict[str, Any]:
    """Each shard as a task of a Ray cluster (RAY_ADDRESS, or one on this machine), then the merge.

    The shards are run folders under ``out``/shards, each with a ledger of its own (machines cannot share an SQLite
    file), so that the same command resumes. Every node must see ``out`` and the inputs under the same paths.

    Args:
        shards: how many; by default those of an earlier try, else one for each CPU of the cluster.
        access: limits are of the whole; each shard gets its share.

    Raises:
        MissingExtraError: Ray is not installed.
        BudgetExceeded, EndpointDown, InputError: what the first of the shards ended with; the others are let finish.
    """
    from inkfire.runs.curate import open_run, run_curation
    from inkfire.tasks.task import load_task

    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    place = str(Path(task).absolute()) if Path(task).is_dir() else task
    files = {name: path.absolute() for name, path in files.items()}
    run = open_run(load_task(task), files, out.absolute(), settings, seed)
    finished = None if access.retry_unscored else run.done("curate")
    if finished is not None:
        return {**finished, "cached": finished["calls"], "tokens": 0, "cost": 0.0}
    with redirect_stdout(sys.stderr):  # Ray prints what it has to say about workers; stdout is the result's
        ray.init(ignore_reinit_error=True)
        try:
            n = shards or _earlier(run.out) or max(1, int(ray.cluster_resources().get("CPU", 1)))
            share = dataclasses.replace(
                access,
                budget=None if access.budget is None else access.budget / n,
                budget_tokens=None if access.budget_tokens is None else access.budget_tokens // n,
                rpm=None if access.rpm is None else max(1, access.rpm // n),
                tpm=None if access.tpm is None else max(1, access.tpm // n),
            )

            def curate_shard(name: str, folder: Path) -> dict[str, Any]:
                try:
                    part = {**settings, "shard": name}
                    return {"result": run_curation(place, files, folder, part, access=share, seed=seed)}
                except InkfireError as error:  # taken apart: not every error survives being sent
                    return {"error": str(error), "exit_code": error.exit_code}

            folders = [run.out / "shards" / f"{i}-of-{n}" / "run" for i in range(1, n + 1)]
            for folder in folders:
                _lend_prices(run.ledger_path, folder)
            task_of = ray.remote(num_cpus=1, max_retries=2)(curate_shard)  # a worker that died is replaced and resumes
            ended = ray.get([task_of.remote(f"{i}/{n}", folder) for i, folder in enumerate(folders, 1)])
        finally:
            ray.shutdown()
    for i, end in enumerate(ended, 1):
        if "error" in end:
            raise _FAILURES.get(end["exit_code"], InkfireError)(f"shard {i}/{n}: {end['error']}")
    used = {name: sum(end["result"][name] for end in ended) for name in ("cached", "tokens", "cost")}
    return merge_shards(folders, run.out) | used


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
