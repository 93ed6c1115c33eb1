"""Work that fails for one reason from its beginning: it stops there, and says the reason and the fix.

>>> futility = Futility("gpt-x")
>>> for _ in range(20):
...     futility.add("no log-probabilities")
Traceback (most recent call last):
inkfire.errors.InputError: 20 of the first 20 calls to gpt-x failed: no log-probabilities. Use --mode verdict
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable

from inkfire.errors import EndpointDown, InputError

_log = logging.getLogger(__name__)
FIRST = 20
SHARE = 0.8
_SETTINGS = (  # a reason → the setting that mends it
    (
        r"no log-prob|likelier cannot be told|together have probability|thinks before",
        "Use --mode verdict (refine has --detector verdict)",
    ),
    (r"--reply-tokens", "Or name a model that does not think"),
    (r"thinking cannot be told", "Name a model that does not think, or switch it off with --extra-body"),
    (r"--max-tokens", "Or name a model that does not think"),
    (r"last with timeout", "Raise --timeout, or lower --concurrency"),
    (
        r"context.{0,20}(?:length|window|size)|prompt is too long|(?:entity|payload|request) (?:is )?too large",
        "Show fewer --examples, or name another model",
    ),
)


class Futility:
    """The outcomes of the first calls to ``name``.

    Raises (:meth:`add`):
        InputError: four in five failed for one reason, which a setting mends.
        EndpointDown: which none does.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._reasons: list[str | None] = []

    def add(self, reason: str | None) -> None:
        """One more call is over; ``reason``: why it gave nothing that can be used."""
        if len(self._reasons) < FIRST:
            self._reasons.append(reason)
            if len(self._reasons) == FIRST and (found := main_reason(self._reasons)) and found[1] >= SHARE * FIRST:
                raise failure(f"{found[1]} of the first {FIRST} calls to {self._name} failed", found[0])


def check(reasons: Iterable[str | None], what: str) -> None:
    """Stop where all of the work failed; say it, where most of it did.

    Raises:
        InputError, EndpointDown: as :class:`Futility` does.
    """
    every = list(reasons)
    found = main_reason(every)
    if found is None or (None in every and 2 * found[1] <= len(every)):
        return
    said = f"{found[1]} of {len(every)} {what} failed"
    if None not in every and found[1] < len(every):
        said = f"all {len(every)} {what} failed, {found[1]} of them"
    error = failure(said, found[0])
    if None not in every:
        raise error
    _log.warning("%s", error)


def main_reason(reasons: Iterable[str | None]) -> tuple[str, int] | None:
    """The commonest reason (its first wording) and how often it was given; numbers and quotes in it do not matter."""
    kinds: Counter[str] = Counter()
    words: dict[str, str] = {}
    for reason in reasons:
        if reason is not None:
            kind = re.sub(r"\d+(?:\.\d+)?|['\"“][^'\"”]*['\"”]", "N", reason)[:60]
            kinds[kind] += 1
            words.setdefault(kind, reason)
    if not kinds:
        return None
    kind, n = kinds.most_common(1)[0]
    return words[kind], n


def failure(what: str, reason: str) -> InputError | EndpointDown:
    """The error that says so, with the setting that mends it, if one does."""
    fix = next((fix for pattern, fix in _SETTINGS if re.search(pattern, reason, re.IGNORECASE)), None)
    if fix is not None:
        return InputError(f"{what}: {reason}. {fix}")
    return EndpointDown(f"{what}: {reason}. Every reply so far is kept; --retry-unscored asks again")
