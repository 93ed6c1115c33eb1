"""``inkfire serve reward``: a reward behind a port, for a trainer that runs elsewhere."""

from __future__ import annotations

import dataclasses
import os
import secrets
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from inkfire.errors import InputError
from inkfire.rewards.base import Reward
from inkfire.rewards.checks import FLUENT, Checks
from inkfire.rewards.load import check_reward
from inkfire.rewards.qualified import blind_of
from inkfire.rewards.shaped import Shaped, Shaping, Within
from inkfire.runs.context import Access, note
from inkfire.runs.score import scorer_of
from inkfire.settings import settings

TOKEN = "INKFIRE_TOKEN"
"""The environment variable that names the token."""


@settings
class RewardServer(Within):
    """How a reward is served."""

    value: Literal["probability", "label"] = "probability"
    """What a judge gives: its P(Good), or the paper's 0/1."""
    force: bool = False
    """Take a judge that is refused as a reward."""
    host: str = "127.0.0.1"
    """The address to listen on; this machine alone, if not said otherwise."""
    port: Annotated[int, Ge(0), Le(65535)] = 8766
    """The port; 0 takes a free one."""
    batch: Annotated[int, Ge(1)] = 256
    """Texts of several requests that are scored in one call, at most; a group is never divided."""
    queue: Annotated[int, Ge(1)] = 4096
    """Texts that may wait or be at work; where there is no room the answer is 429."""
    group_timeout: Annotated[float, Gt(0)] = 60.0
    """Seconds from a group's first text to its last; then those that came are answered as missing."""


def serve_reward(
    reward: str, how: RewardServer, access: Access, ready: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Serve a reward until the process is told to stop, by Ctrl-C or SIGTERM; what is in flight is answered.

    Args:
        ready: told when it can be asked: ``url``, ``token``, ``reward`` and ``whole_groups``, whether it looks at them.

    Returns:
        ``texts`` that were answered, ``missing`` of them by the reason, ``neutral`` values in place of missing scores.

    Raises:
        InputError: what is wrong with the reward, its checks, the token or the address.
        RefusedReward: a judge that must not be a reward.
        MissingExtraError: starlette or uvicorn is not installed.
    """
    from inkfire.serve.dialects import dialects
    from inkfire.serve.port import base_url, is_loopback, listen
    from inkfire.serve.reward import reward_server, serve
    from inkfire.serve.scoring import Desk, Limits

    check_reward(reward, force=how.force)
    checks = Checks.parse(how.checks)
    if checks.fluent:
        raise InputError(f"--check {FLUENT} is measured by texts of the start policy, which a server does not have")
    token = os.environ.get(TOKEN, "").strip() or secrets.token_hex(16)
    if not token.isascii():
        raise InputError(f"{TOKEN} is no token: use letters, digits, - and _")
    for line in blind_of(reward):
        note(line)
    with (
        listen(how.host, how.port) as at,
        scorer_of(reward, access, value=how.value, force=how.force, run="serve") as scorer,
    ):
        if not is_loopback(how.host):
            note(f"what is sent to {how.host} is not encrypted: where others share the network, put TLS before it")
        served = _within(scorer, how, checks)
        whole = served is not scorer
        desk = Desk(served, whole=whole, limits=Limits(how.batch, how.queue, how.group_timeout))
        told = {"url": base_url(how.host, at), "token": token, "reward": scorer.name, "whole_groups": whole}
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # raised again when the server has come to its end
        with suppress(KeyboardInterrupt):
            ready(told)
            serve(reward_server(desk, token, dialects(desk)), desk, at)
    counts = desk.counts
    return {"texts": counts.texts, "missing": dict(counts.missing), "neutral": counts.neutral}


def _within(reward: Reward, how: Within, checks: Checks) -> Reward:
    """The reward, as it looks at the group where that is asked for."""
    asked = {field.name: getattr(how, field.name) for field in dataclasses.fields(Within)}
    shaping = Shaping(**asked)
    return Shaped(reward, shaping, checks) if shaping.needed(reward) else reward
