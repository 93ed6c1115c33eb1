"""What every server of inkfire's shares: an address that is taken before it is named, and how it is served."""

from __future__ import annotations

import ipaddress
import socket

from inkfire.errors import InputError, MissingExtraError

try:
    import uvicorn
    from starlette.types import ASGIApp
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "starlette", "serve") from error


def listen(host: str, port: int) -> socket.socket:
    """A socket that is taken, so that what is said of its address holds.

    Raises:
        InputError: it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        why = error.strerror or error
        raise InputError(f"cannot listen on {host}, port {port}: {why}; name another, for instance --port 0") from None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def base_url(host: str, at: socket.socket) -> str:
    """How others reach what listens at ``at``: by the name of this machine, where not by it alone."""
    name = host if is_loopback(host) else socket.gethostname()
    return f"http://{f'[{name}]' if ':' in name else name}:{at.getsockname()[1]}"


def config(app: ASGIApp, *, grace: int, lifespan: bool = False) -> uvicorn.Config:
    """How it is served.

    Args:
        grace: seconds that what is in flight has, when the server is told to stop.
        lifespan: whether the application has something to begin and to end.
    """
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # a URL may have the token in it
        lifespan="on" if lifespan else "off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=grace,
        timeout_keep_alive=75,  # a connection that a trainer keeps is not closed while it sends
    )
