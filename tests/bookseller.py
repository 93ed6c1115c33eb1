"""What an endpoint answers that has taste in shelf cards: it writes them, argues about them and judges them.

Its taste is its own and stands in no prompt: a card must name a thing, must not shout, and must not say what every
card says. It sees most of what a bookseller sees, not all.

    with served(reply=answer, mark=taste) as stub: ...
    python tests/bookseller.py --port 8199       # until its standard input ends
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
from typing import Any

from stub_endpoint import Body, Stub

_STOCK = re.compile(
    r"\b(wonderful|amazing|stunning|perfect|timeless|treasure\w*|journey|discover|hidden|magic\w*|feast|selection|"
    r"range of|kind of|various|interesting|everyone|every book|something for|must-have|masterpiece|good choice|"
    r"believe|savings|bargains?|offers?|deals?|heart|soul|dreams?|dive|epic|exciting|beautiful|many)\b",
    re.IGNORECASE,
)
_THING = re.compile(
    r"\b(one|two|three|four|nine|eleven|twelve|forty|fifty|page|chapter|chair|till|door|road|window|cat|dog|bus|boots|"
    r"tea|cheese|lamp|key|button\w*|pencil\w*|last|owner|nobody|somebody|[0-9]+)\b",
    re.IGNORECASE,
)
_UNDER_REVIEW = re.compile(r'^(?:Text|The text under review): ("(?:[^"\\]|\\.)*")', re.MULTILINE)

_SHOWN = (
    "The {n} best are at eye level; the rest are under the chair, where the cat found them.",
    "Page {n} has a tea stain and the only joke. Somebody has underlined both.",
    "The last owner left a bus ticket at page {n}, which is further than most of us got.",
    "Nobody has returned one yet, and the door is only {n} steps away.",
    "Read standing up for {n} minutes before you ask us. The lamp is on until six.",
)
_STOCK_LINES = (
    "A wonderful selection with something for everyone, whatever it is that you enjoy!",
    "Discover a world of magic and let these timeless treasures speak to your heart.",
    "AMAZING offers on many beautiful books, dive in NOW and start your journey!",
    "Various interesting books of this kind, in a range of styles, are available here.",
)


def taste(text: str) -> float:
    """How sure it is that a text is good, from 0 to 1; of a prompt, the text that is under review in it."""
    found = _UNDER_REVIEW.findall(text)
    card = str(json.loads(found[-1])) if found else text
    faults = len(_STOCK.findall(card)) + card.count("!") + len(re.findall(r"\b[A-Z]{3,}\b", card))
    mood = random.Random(card).uniform(-0.15, 0.15)
    return min(max(0.45 + 0.2 * min(len(_THING.findall(card)), 2) - 0.25 * faults + mood, 0.02), 0.98)


def answer(body: Body) -> str:
    """A card for a request, or an object of the schema that is asked for."""
    asked = body["messages"][-1]["content"]
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
    if schema is None and not _UNDER_REVIEW.search(asked):
        return _card(asked, random.Random(json.dumps([body["messages"], body.get("seed")])))
    return json.dumps(_judged(asked, set((schema or {}).get("properties", {"judge": {}}))))


def _card(request: str, rng: random.Random) -> str:
    subject = re.split(r"[,;\n]", request)[0].strip()
    line = rng.choice(_SHOWN if rng.random() < 0.6 else _STOCK_LINES).format(n=rng.choice((2, 7, 11, 31, 90)))
    return f"{subject[:1].upper()}{subject[1:]}. {line}"


def _judged(asked: str, wanted: set[str]) -> dict[str, Any]:
    good = int(taste(asked) > 0.5)
    if "points" in wanted:
        return {"points": [{"point": "the last words", "reason": "names a thing" if good else "says what all say"}]}
    if "winner" in wanted:
        a, b = (json.loads(text) for text in re.findall(r'^[AB]: (".*")$', asked, re.MULTILINE))
        return {"reason": "names a thing", "winner": "A" if taste(a) > taste(b) else "B"}
    if "judge" in wanted:
        return {"reason": "names a thing" if good else "says what all cards say", "judge": good}
    return dict.fromkeys(sorted(wanted), 1 + 2 * good)  # the dimensions of a rubric


async def _main(port: int) -> None:
    async with Stub(reply=answer, mark=taste, port=port) as stub:
        print(stub.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[sys.argv.index("--port") + 1]) if "--port" in sys.argv else 0))
