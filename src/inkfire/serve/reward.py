"""A reward for a trainer that runs elsewhere, over HTTP.

    POST /score        {queries, responses[, truncated, groups]} → {scores}, null where one is missing
    POST /openrlhf, /slime, /llamafactory                          as these engines ask (dialects.py)
    GET  /health, /metrics

Whoever has the token may ask, as ``Authorization: Bearer TOKEN`` or, since engines send no headers of their own, as the
password in the address: ``http://inkfire:TOKEN@HOST:PORT/openrlhf``. /health needs none.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from inkfire.errors import MissingExtraError
from inkfire.serve.metrics import MEDIA_TYPE, Metrics
from inkfire.serve.port import config
from inkfire.serve.scoring import Desk, Failed, Full, Group, Refused, Text, TooLarge
from inkfire.settings import Strict

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.datastructures import Headers
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "starlette", "serve") from error

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

LARGEST = 16 * 1024 * 1024
"""Bytes of a request."""
GRACE = 180
"""Seconds that what is in flight has at the end: as long as engines wait for an answer."""
_RETRY_AFTER = "1"
_OPEN = "/health"


class InGroup(Strict):
    """The group of a text."""

    id: Annotated[str, Field(min_length=1, max_length=256)]
    size: Annotated[int, Field(ge=1)]


class Asked(Strict):
    """What POST /score takes; ``truncated`` and ``groups`` have an entry for each response."""

    queries: tuple[str, ...]
    responses: tuple[str, ...]
    truncated: tuple[bool | None, ...] | None = None
    groups: tuple[InGroup, ...] | None = None

    def texts(self) -> list[Text]:
        """
        Raises:
            Refused: the lists are not of one length.
        """
        n = len(self.responses)
        for name in ("queries", "truncated", "groups"):
            given = getattr(self, name)
            if given is not None and len(given) != n:
                raise Refused(f"{name} has {len(given)} entries, responses {n}")
        cut = self.truncated or (None,) * n
        return [Text(*row) for row in zip(self.queries, self.responses, cut, strict=True)]

    def grouped(self) -> list[Group] | None:
        return None if self.groups is None else [Group(group.id, group.size) for group in self.groups]


def reward_server(desk: Desk, token: str, dialects: Sequence[Route] = ()) -> Starlette:
    """The server as an ASGI application; ``desk`` is open while it runs."""
    metrics = Metrics()

    async def score(request: Request) -> Response:
        asked = await read(request, Asked)
        return JSONResponse({"scores": await unless_gone(request, desk.ask(asked.texts(), asked.grouped()))})

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def told(request: Request) -> Response:
        return Response(metrics.text(desk), media_type=MEDIA_TYPE)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with desk.open():
            yield

    routes = [
        Route("/score", score, methods=["POST"]),
        Route(_OPEN, health),
        Route("/metrics", told),
        *dialects,
    ]
    paths = frozenset(route.path for route in routes)
    return Starlette(
        routes=routes,
        middleware=[Middleware(_Watched, metrics=metrics, paths=paths), Middleware(_Guarded, token=token)],
        exception_handlers={
            HTTPException: _said,
            TooLarge: _answers(413),
            Refused: _answers(422),
            Full: _answers(429),
            Failed: _answers(503),
        },
        lifespan=lifespan,
    )


async def read(request: Request, model: type[M]) -> M:
    """What a request asks.

    Raises:
        Refused: it is none; the message names the first place that is wrong.
        TooLarge: more than :data:`LARGEST` bytes.
    """
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= LARGEST:
            body += chunk
        elif size > 8 * LARGEST:  # until there it is read to its end: who is still sending does not hear the answer
            break
    if size > LARGEST:
        raise TooLarge(f"a request has at most {LARGEST} bytes: send it in parts")
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise Refused(f"{f'{place}: ' if place else ''}{first['msg']}") from None


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Wait for work, and give it up where whoever asked has hung up: a group must not count its texts twice.

    Raises:
        HTTPException: 499, which nobody reads.
    """
    task, gone = asyncio.create_task(work), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise HTTPException(499)
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _answers(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    headers = {"Retry-After": _RETRY_AFTER} if status in (429, 503) else None

    async def answer(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, status, headers)

    return answer


async def _said(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


class _Guarded:
    """Nobody is answered without the token, but for whether the server is there."""

    def __init__(self, app: ASGIApp, token: str):
        self.app, self.token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != _OPEN and not self._knows(Headers(scope=scope)):
            answer = JSONResponse(
                {"error": "the token is missing or wrong: Authorization: Bearer TOKEN, or http://inkfire:TOKEN@…"},
                401,
                {"WWW-Authenticate": "Bearer"},
            )
            await answer(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _knows(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        token = given.strip().encode("latin-1", "replace")
        if scheme.lower() == "basic":
            try:
                token = base64.b64decode(token, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        return scheme.lower() in ("bearer", "basic") and hmac.compare_digest(token, self.token)


class _Watched:
    """Counts requests and their seconds by path and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: frozenset[str]):
        self.app, self.metrics, self.paths = app, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.monotonic(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            path = scope["path"] if scope["path"] in self.paths else "other"
            self.metrics.saw(path, status, time.monotonic() - started)


class _Server(uvicorn.Server):
    """Lets go of groups that cannot become whole, and then waits for what is in flight."""

    def __init__(self, config: uvicorn.Config, desk: Desk):
        super().__init__(config)
        self.desk = desk

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.desk.stop()
        await super().shutdown(sockets)


def serve(app: Starlette, desk: Desk, at: socket.socket) -> None:
    """Serve until the process is told to stop; what is in flight is answered.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    _Server(config(app, grace=GRACE, lifespan=True), desk).run(sockets=[at])
