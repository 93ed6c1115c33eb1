"""What a ledger file holds, by model; it is read only, also while a run writes it.

summarise(Path("runs/.inkfire/ledger.sqlite"))[0]["calls"]
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from inkfire.errors import InputError


def summarise(path: Path) -> list[dict[str, Any]]:
    """What a ledger file holds, by model: calls, tokens, cost, seconds a call, and the requests that failed by kind.

    ``calls`` counts replies that were asked anew, too; ``unparsed`` those that lacked what was asked for; ``cost`` is
    None where some replies of the model have no price.

    Raises:
        InputError: there is no such file, or it is not a ledger.
    """
    if not path.is_file():
        raise InputError(f"there is no ledger {path}: name the file, or a run folder with --out")
    totals = """
        SELECT model, COUNT(*) AS calls, COUNT(unparsed) AS unparsed,
               CAST(TOTAL(prompt_tokens) AS INTEGER) AS prompt_tokens,
               CAST(TOTAL(cached_tokens) AS INTEGER) AS cached_tokens,
               CAST(TOTAL(completion_tokens) AS INTEGER) AS completion_tokens,
               CASE WHEN COUNT(cost) = COUNT(*) THEN SUM(cost) END AS cost, SUM(latency) AS latency_total
        FROM replies GROUP BY model ORDER BY model"""
    nth = "SELECT latency FROM replies WHERE model = ? ORDER BY latency LIMIT 1 OFFSET ?"
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            names = [column[0] for column in db.execute(totals).description]
            rows = [dict(zip(names, row, strict=True)) for row in db.execute(totals)]
            for row in rows:
                for name, share in (("latency_median", 0.5), ("latency_p95", 0.95)):
                    row[name] = db.execute(nth, (row["model"], int(share * (row["calls"] - 1)))).fetchone()[0]
                kinds = db.execute("SELECT kind, SUM(n) FROM faults WHERE model = ? GROUP BY kind", (row["model"],))
                row["faults"] = dict(sorted(kinds))
            return rows
    except sqlite3.Error as error:
        raise InputError(f"{path} is not a ledger of inkfire ({error})") from error
