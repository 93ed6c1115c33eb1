"""``inkfire serve``: what trainers ask over HTTP."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from cyclopts import App, Parameter

from inkfire.cli.common import Json, flat, say
from inkfire.files.jsonl import dump
from inkfire.report.words import several
from inkfire.runs.context import Access
from inkfire.runs.serve import RewardServer, serve_reward

app = App(
    name="serve",
    help="Serve a reward to a trainer that runs elsewhere.\n\nExample: inkfire serve reward runs/judge --port 8766",
)


@app.command
def reward(
    reward: Annotated[str, Parameter(help="A reward's or judge's folder, python:FILE.py:NAME, or 'W*A + W*B'.")],
    /,
    *,
    how: Annotated[RewardServer, flat] = RewardServer(),
    access: Annotated[Access, flat] = Access(),
    json: Json = False,
) -> None:
    """Answer queries and texts with scores, over HTTP, until it is interrupted.

    It takes POST /score, and what OpenRLHF, slime and LLaMA-Factory post
    (docs/scaling.md). It listens on this machine alone and wants a token:
    INKFIRE_TOKEN, or a new one that is printed.

    Example: inkfire serve reward runs/judge --port 8766
    Example: inkfire serve reward '0.7*runs/judge + 0.3*runs/rm' \\
        --check length:20..90 --diversity 0.3
    """

    def ready(told: Mapping[str, Any]) -> None:
        if json:
            print(dump(told), flush=True)
        else:
            for line in _lines(told):
                say(line)
            sys.stdout.flush()

    result = serve_reward(reward, how, access, ready)
    if not json:
        say(_done(result))


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    """What is served where. What is to be copied stays on one line."""
    where = (
        "It looks at each text alone."
        if not told["whole_groups"]
        else ("It looks at the group: send all texts of a query together, or name their group. At /score alone.")
    )
    yield f"{told['reward']} is served. {where} Ctrl-C or SIGTERM stops it."
    yield f"\n  {told['url']}/score   with the header   Authorization: Bearer {told['token']}"
    if not told["whole_groups"]:
        inside = told["url"].replace("://", f"://inkfire:{told['token']}@")
        for option, path in _ENGINES.items():
            yield f"  {option} {inside}/{path}"


_ENGINES = {
    "OpenRLHF: --reward.remote_url": "openrlhf",
    "slime: --rm-type remote_rm --rm-url": "slime",
    "LLaMA-Factory: reward_model_type: api, reward_model:": "llamafactory",
}


def _done(result: Mapping[str, Any]) -> str:
    missing = ", ".join(f"{n} {reason}" for reason, n in result["missing"].items())
    said = f"{several(result['texts'], 'text')} were answered, "
    said += f"of which have no score: {missing}" if missing else "all with a score"
    return f"{said}; {result['neutral']} got a neutral value." if result["neutral"] else f"{said}."
