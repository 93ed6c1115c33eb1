"""Stop and go: a signal ends a training behind a whole step, and what TRL forgets when one goes on."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from transformers import TrainerCallback

from inkfire.training import ranks

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopAfterStep(TrainerCallback):  # type: ignore[misc]
    """Where it was asked to stop: keeps a checkpoint behind the next whole step, and ends the training.

    Args:
        updates: optimizer steps of a step, between which a checkpoint would lose texts that were written.

    ``stopped`` says that the training ended for that, before its time.
    """

    def __init__(self, updates: int):
        self._updates, self._asked, self.stopped = updates, False, False

    def ask(self) -> None:
        self._asked = True

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        at_an_end = state.global_step < state.max_steps and state.global_step % self._updates == 0
        if at_an_end and ranks.anyone(self._asked):
            self.stopped = control.should_save = control.should_training_stop = True


@contextmanager
def stoppable(updates: int) -> Iterator[StopAfterStep]:
    """Within: the first Ctrl-C or SIGTERM asks for a stop, the second one is obeyed at once. Of several processes each
    gets both from its launcher, so they only ask.

    Raises:
        KeyboardInterrupt: at the end, where the training was stopped by that.
    """
    stop = StopAfterStep(updates)
    if threading.current_thread() is not threading.main_thread():  # which alone may handle signals
        yield stop
        return
    before = [signal.getsignal(number) for number in _SIGNALS]

    def restore() -> None:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)

    def ask(number: int, frame: FrameType | None) -> None:
        if ranks.count() == 1:
            restore()
        stop.ask()
        if ranks.first():
            print("Stopping after this step; once more stops at once.", file=sys.stderr, flush=True)

    for number in _SIGNALS:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()
    if stop.stopped:
        raise KeyboardInterrupt


class Shuffled(TrainerCallback):  # type: ignore[misc]
    """Draws the orders of the passes that are over.

    TRL's sampler draws the order of each pass from one generator, which a training that goes on begins anew: its
    prompts would come in the order of the first pass.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **_: Any) -> None:
        for _pass in range(int(state.epoch or 0)):
            next(iter(train_dataloader.batch_sampler.sampler))
