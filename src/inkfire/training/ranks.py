"""Several processes that train one model: ``accelerate launch -m inkfire train …`` (or ``run``), or torchrun.

All of them train; the first one holds the folder's lock, asks models, scores, and writes. What it finds out the others
are told (``share``), so that all take the same steps and stop at the same one. A process that is not the first ends
with its last step (``leave``): what follows (saving, samples, measuring) is the first one's.

The group's size and this process's number come from the launcher's environment. Without one everything here does
nothing, and torch is not loaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from inkfire.errors import InkfireError, InputError

T = TypeVar("T")

_PATIENCE = timedelta(days=7)  # the others wait while the first one curates, or asks a judge


def count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def number() -> int:
    return int(os.environ.get("RANK", "0"))


def first() -> bool:
    """Whether this process is the one that writes."""
    return number() == 0


def meet() -> None:
    """Wait until all are here; the first call begins the group."""
    if count() > 1:
        import torch
        from accelerate import PartialState

        PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE).wait_for_everyone()


class Left(SystemExit):
    """A process that is not the first has done its part of a training; a recipe goes on to the next one."""


def leave() -> None:
    """Ends the part of a process that is not the first.

    Raises:
        Left: in all but the first.
    """
    if not first():
        raise Left(0)


def share(value: T) -> T:
    """The first one's value, in all of them."""
    if count() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    [found] = broadcast_object_list([value])
    return found  # type: ignore[no-any-return]


def anyone(value: bool) -> bool:
    """Whether it is so in one of them."""
    return any(gathered([value]))


def gathered(rows: Sequence[T]) -> list[T]:
    """The rows of all of them, by their numbers."""
    if count() == 1:
        return list(rows)
    from accelerate.utils import gather_object

    return list(gather_object(list(rows)))


def told(work: Callable[[], T]) -> T:
    """What the first one works out, in all of them; where it fails the others end with it."""
    if count() == 1:
        return work()
    found: tuple[str, Any] = ("failed", None)
    if first():
        try:
            found = ("done", work())
        except BaseException:
            share(found)
            raise
    how, value = share(found)
    if how == "failed":
        raise SystemExit(1)
    return value  # type: ignore[no-any-return]


def part(whole: int, what: str) -> int:
    """One process's part of a batch.

    Raises:
        InputError: the parts are not equal.
    """
    if whole % count():
        raise InputError(f"{what} = {whole} cannot be divided among {count()} processes: take a multiple of {count()}")
    return whole // count()


def alone(what: str) -> None:
    """Raises InputError where several processes were launched for what one does."""
    if count() > 1:
        raise InputError(f"{what} is done by one process: start it without a launcher")


def check_whole_weights() -> None:
    """Raises InputError where the launcher shards the weights: they are generated from, and saved, whole."""
    sharded = os.environ.get("ACCELERATE_USE_FSDP") == "true"
    sharded |= os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE") == "3"
    if sharded:
        raise InputError(
            "FSDP and ZeRO-3 keep parts of the weights on each GPU, which inkfire does not put together: take ZeRO-2 "
            "(docs/scaling.md), or hand the training over: inkfire export RECIPE --to verl"
        )


class Elsewhere:
    """Stands for a reward in the processes that do not ask it."""

    name, threshold, identities = "elsewhere", None, ()

    def score(self, queries: Sequence[str], responses: Sequence[str], **_: Any) -> list[float | None]:
        raise InkfireError("the first process scores")

    def close(self) -> None:
        pass
