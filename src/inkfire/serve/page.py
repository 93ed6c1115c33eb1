"""The page that people rate on: one rater's next texts, and the votes that come back.

    /r/TOKEN         the next texts, or that all are done      POST /r/TOKEN/vote, /r/TOKEN/undo
    /page/rate.css, rate.js

Who has a rater's token may vote in that name; whoever has none sees nothing. Plain forms do all of it; the script adds
keys, the time that the page was looked at, and a second try where the server did not answer. Every text is escaped,
and what would turn the direction of text around is shown as what it is.
"""

from __future__ import annotations

import hmac
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from inkfire.errors import InputError, MissingExtraError, RunFolderError
from inkfire.evaluation.ballots import LONGEST_NOTE, Vote, seconds_of
from inkfire.evaluation.sitting import Sitting
from inkfire.serve.port import config

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
    from starlette.routing import Route
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "starlette", "serve") from error

_FILES = {"rate.css": "text/css", "rate.js": "text/javascript"}
_LONGEST = 65536  # bytes of a vote
_BUTTONS = 11  # values of a scale that are buttons; of a longer one a number is typed
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def as_text(text: str) -> Markup:
    """A text for the page: escaped, and what is not seen but obeyed (a turn of direction, a control) as its number."""
    lines = escape(text.replace("\r\n", "\n"))
    return Markup(_UNSEEN.sub(lambda found: f'<span class="unseen">U+{ord(found[0]):04X}</span>', lines))


@dataclass
class _Desk:
    """The raters by their tokens, and when each was shown what (for who has no script)."""

    sitting: Sitting
    tokens: Mapping[str, str]
    since: dict[tuple[str, int], float] = field(default_factory=dict)

    def rater(self, token: str) -> str:
        """
        Raises:
            HTTPException: it is nobody's: 404, as any page that is not there.
        """
        given = token.encode("utf-8", "replace")
        found = [rater for rater, known in self.tokens.items() if hmac.compare_digest(known.encode(), given)]
        if not found:
            raise HTTPException(404)
        return found[0]

    def read(self, rater: str, given: Mapping[str, str]) -> Vote:
        """A vote as the form sends it.

        Raises:
            InputError: it is none.
        """
        form = self.sitting.form
        if not re.fullmatch("[0-9]{1,6}", given.get("position", "")):
            raise InputError("the vote does not say of which texts it is")
        position = int(given["position"])
        seconds = seconds_of(given.get("seconds"))
        if seconds is None and (since := self.since.get((rater, position))) is not None:
            seconds = seconds_of(time.monotonic() - since)
        note = given.get("note", "").strip()[:LONGEST_NOTE]
        if form.mode == "pairwise":
            choice = self.sitting.choice(rater, position, given.get("choice", ""))
            return Vote(rater, position, choice, note=note, seconds=seconds)
        points = {}
        for number, dimension in enumerate(form.rubric):
            value = given.get(f"points-{number}", "")
            if not re.fullmatch("[0-9]{1,3}", value):
                raise InputError(f"no points for {dimension.name}")
            points[dimension.name] = int(value)
        return Vote(rater, position, points=points, note=note, seconds=seconds)


def rating_page(sitting: Sitting, tokens: Mapping[str, str]) -> Starlette:
    """The page as an ASGI application.

    Args:
        tokens: rater → token.
    """
    desk = _Desk(sitting, tokens)
    environment = Environment(
        loader=PackageLoader("inkfire.serve"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["as_text"] = as_text
    template = environment.get_template("rate.html.jinja")

    async def show(request: Request) -> Response:
        rater = desk.rater(request.path_params["token"])
        shown = await run_in_threadpool(sitting.shown, rater)  # it may wait for a vote that is being written
        done, planned = sitting.progress(rater)
        values: dict[str, Any] = {"form": sitting.form, "shown": shown, "done": done, "planned": planned}
        low, high = sitting.form.scale
        values |= {"scale": range(low, high + 1), "buttons": high - low < _BUTTONS, "longest_note": LONGEST_NOTE}
        values["side"] = None
        if shown is not None:
            desk.since.setdefault((rater, shown.position), time.monotonic())
            values["side"] = shown.before and sitting.side(shown.before)
        return HTMLResponse(template.render(here=request.url.path, **values).encode("utf-8", "replace"))

    async def vote(request: Request) -> Response:
        rater = desk.rater(request.path_params["token"])
        given = dict(parse_qsl((await _body(request)).decode("utf-8", "replace"), keep_blank_values=True))
        return await _told(lambda: sitting.vote(desk.read(rater, given)), request)

    async def undo(request: Request) -> Response:
        rater = desk.rater(request.path_params["token"])
        return await _told(lambda: sitting.undo(rater), request)

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _FILES:
            raise HTTPException(404)
        return Response(resources.files("inkfire.serve").joinpath("static", name).read_bytes(), media_type=_FILES[name])

    routes = [
        Route("/r/{token}", show, name="show"),
        Route("/r/{token}/vote", vote, methods=["POST"]),
        Route("/r/{token}/undo", undo, methods=["POST"]),
        Route("/page/{name}", static),
    ]
    return Starlette(routes=routes, middleware=[Middleware(_Headers)])


async def _told(work: Callable[[], object], request: Request) -> Response:
    """Do what writes to the disk, then lead back to the page: what is answered is written."""
    try:
        await run_in_threadpool(work)
    except RunFolderError as error:
        return PlainTextResponse(str(error), 503)
    except InputError as error:
        return PlainTextResponse(str(error), 409)
    return RedirectResponse(request.url_for("show", token=request.path_params["token"]).path, 303)


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST:
            raise HTTPException(413)
    return body


class _Headers:
    """No answer is cached, framed, or lets the page load anything from elsewhere."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
            await send(message)

        await self.app(scope, receive, answer)


def serve(app: Starlette, at: socket.socket) -> None:
    """Serve until the process is told to stop.

    Raises:
        KeyboardInterrupt: it was interrupted; requests that had come are answered.
    """
    uvicorn.Server(config(app, grace=3)).run(sockets=[at])
