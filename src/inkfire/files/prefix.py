"""A prefix that nearly all queries share: what a trainer's template put there, and no part of what is asked.

>>> shared_prefix([f"Write a card that rhymes: {name}" for name in ("Ann", "Bo", "Cy", "Di")])
'Write a card that rhymes: '
"""

from __future__ import annotations

import functools
import logging
import re
import shlex
from collections.abc import Iterable
from itertools import pairwise

_log = logging.getLogger(__name__)

SHARE = 0.9
"""Of the queries, at least, have it."""

_FEW, _SHORT = 4, 12


def shared_prefix(queries: Iterable[str]) -> str | None:
    """The longest beginning, up to a blank or a mark, of ``SHARE`` of the distinct queries; None where it is short.

    A wide (East Asian) character counts as two.
    """
    ordered = sorted(set(queries))
    window = max(-int(-SHARE * len(ordered) // 1), 2)
    if len(ordered) < _FEW:
        return None
    common = [_common(a, b) for a, b in pairwise(ordered)]
    best = ""
    for i in range(len(ordered) - window + 1):
        length = min(common[i : i + window - 1])
        if length > len(best):
            best = ordered[i][:length]
    cut = re.match(r".*[\s\W_]", best, re.DOTALL)
    prefix = cut[0] if cut else ""
    wide = len(re.findall(r"[⺀-鿿가-힣＀-￯]", prefix))
    return prefix if len(prefix) + wide >= _SHORT else None


def _common(a: str, b: str) -> int:
    length = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        length += 1
    return length


@functools.cache  # a file that is read twice says it once
def say_prefix(path: str, prefix: str) -> None:
    """Warn of the prefix of a file, with the option that leaves it out."""
    if prefix.isprintable():
        quoted = shlex.quote(prefix)
    else:
        escaped = prefix.replace("\\", "\\\\").replace("'", "\\'")
        quoted = "$'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in escaped) + "'"
    _log.warning(
        "%s: %d %% of the queries or more begin with the same words. Where these are a template's and no part of what "
        "is asked, a judge or reward sees other queries than its texts had: --strip-prefix %s",
        *(path, round(100 * SHARE), quoted),
    )
