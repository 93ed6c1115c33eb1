"""The prices of a ledger as a list, and the file to write them into.

price_list(Path("runs/.inkfire/ledger.sqlite"))[0]["source"]     # "file", "embedded", "replies" or "none"
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inkfire.errors import InputError
from inkfire.llm.prices import CURRENCY, Prices, is_embedded, prices_path
from inkfire.llm.totals import summarise

_HEAD = """\
# Prices per million tokens. They are looked up whenever something is summed: what is filled in here counts at once,
# also for the calls of the past. A model without a price costs "unknown", never 0. Take the # away from what is
# filled in.
"""


def price_list(ledger: Path, prices: Prices) -> list[dict[str, Any]]:
    """Every model of the ledger or of the prices: its calls, its price (None: none) and the price's source.

    ``source`` is ``embedded`` (free: it runs on this machine), ``file``, ``replies`` (no price now; all its replies
    hold what they cost when they came) or ``none``.

    Raises:
        InputError: there is no such ledger.
    """
    met = {row["model"]: row for row in summarise(ledger, prices=prices)}
    return [_listed(model, met.get(model, {}), prices) for model in sorted(met.keys() | prices.by_model.keys())]


def _listed(model: str, row: dict[str, Any], prices: Prices) -> dict[str, Any]:
    price = prices.of(model)
    source = "file" if row.get("unpriced_calls") is None else "none" if row["unpriced_calls"] else "replies"
    if price is not None:
        source = "embedded" if is_embedded(model) else "file"
    names = ("prompt", "cached_prompt", "completion")
    return {
        "model": model,
        "calls": row.get("calls", 0),
        **{name: None if price is None else getattr(price, name) for name in names},
        "source": source,
    }


def make_prices(ledger: Path, models: Sequence[str]) -> bool:
    """Write the file of prices, to be filled in for ``models``; False: there is one, and it stays as it is.

    Raises:
        InputError: it cannot be written.
    """
    path = prices_path(ledger)
    tables = "\n".join(map(blank, models or ["name-of-a-model"]))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(f'{_HEAD}\ncurrency = "{CURRENCY}"\n\n{tables}')
    except FileExistsError:
        return False
    except OSError as error:
        raise InputError(f"cannot write {path} ({error}): make its folder writable") from error
    return True


def blank(model: str) -> str:
    """The lines of a model whose price is to be filled in."""
    name = json.dumps(model, ensure_ascii=False).replace("\x7f", "\\u007f")  # all else that TOML forbids, JSON escapes
    return f"# [{name}]\n# prompt =\n# cached_prompt =    # optional: what a prefix cache served\n# completion =\n"
