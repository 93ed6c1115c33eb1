"""What a ledger file holds, by model and by run, at today's prices; it is read only, also while a run writes it.

summarise(Path("runs/.inkfire/ledger.sqlite"))[0]["calls"]
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from inkfire.errors import InputError
from inkfire.llm.bill import bill, sums
from inkfire.llm.prices import Prices, prices_beside
from inkfire.settings import nearest

_COUNTS = ("calls", "unparsed", "prompt_tokens", "cached_tokens", "completion_tokens", "latency_total")


def summarise(path: Path, *, prices: Prices | None = None, runs: Sequence[str] = ()) -> list[dict[str, Any]]:
    """What a ledger file holds, by model: calls, tokens, cost, seconds a call, and the requests that failed by kind.

    ``calls`` counts replies that were asked anew, too; ``unparsed`` those that lacked what was asked for. ``cost`` is
    None where some replies of the model have no price; beside it stands what is known (``Bill.fields``).

    Args:
        prices: by default those of the file beside the ledger.
        runs: count these alone.

    Raises:
        InputError: there is no such file, it is not a ledger, or it has no such run.
    """
    prices = prices_beside(path) if prices is None else prices
    with _opened(path) as db:
        rows = _rows(db, runs)
        return [_row(db, of_model, prices, runs) for of_model in _by("model", rows)]


def summarise_runs(path: Path, *, prices: Prices | None = None, runs: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The same by run (the name of its folder): the sums of each, and in ``models`` its rows by model."""
    prices = prices_beside(path) if prices is None else prices
    found = []
    with _opened(path) as db:
        for of_run in _by("run", _rows(db, runs)):
            name = of_run[0]["run"]
            total = {key: sum(row[key] for row in of_run) for key in _COUNTS}
            models = [_row(db, of_model, prices, (name,)) for of_model in _by("model", of_run)]
            found.append({"run": name, **total, **bill(of_run, prices).fields(), "models": models})
    return found


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise InputError(f"there is no ledger {path}: name the file, or a run folder with --out")
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            yield db
    except sqlite3.Error as error:
        raise InputError(f"{path} is not a ledger of inkfire ({error})") from error


def _rows(db: sqlite3.Connection, runs: Sequence[str]) -> list[dict[str, Any]]:
    rows = list(sums(db))
    known = sorted({row["run"] for row in rows})
    for name in runs:
        if name not in known:
            raise InputError(f"the ledger has no run {name!r}{nearest(name, known)}")
    return [row for row in rows if not runs or row["run"] in runs]


def _by(name: str, rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    key = itemgetter(name)
    return [list(group) for _, group in groupby(sorted(rows, key=key), key)]


def _row(db: sqlite3.Connection, rows: list[dict[str, Any]], prices: Prices, runs: Sequence[str]) -> dict[str, Any]:
    """What ``rows`` (sums of one model) come to."""
    model = rows[0]["model"]
    row = {"model": model} | {key: sum(one[key] for one in rows) for key in _COUNTS} | bill(rows, prices).fields()
    among = f" AND run IN ({', '.join('?' * len(runs))})" if runs else ""
    nth = f"SELECT latency FROM replies WHERE model = ?{among} ORDER BY latency LIMIT 1 OFFSET ?"
    for name, share in (("latency_median", 0.5), ("latency_p95", 0.95)):
        row[name] = db.execute(nth, (model, *runs, int(share * (row["calls"] - 1)))).fetchone()[0]
    kinds = db.execute(f"SELECT kind, SUM(n) FROM faults WHERE model = ?{among} GROUP BY kind", (model, *runs))
    return row | {"faults": dict(sorted(kinds))}
