"""The way to an endpoint: its address as people write it, and the environment that leads there."""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from inkfire.errors import InputError

if TYPE_CHECKING:
    import openai

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_CONNECT = 10.0  # seconds to connect
_PATHS = re.compile(r"/+(?:(?:chat/)?completions|embeddings|models|responses)/*$")
_ENVIRONMENT = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


def address(base_url: str) -> tuple[str, dict[str, str]]:
    """An address without what is not its base (a query, the path of a call); and the query's fields.

    >>> address("https://host/v1/chat/completions?api-version=2")
    ('https://host/v1', {'api-version': '2'})

    Raises:
        InputError: it is none.
    """
    try:
        url = urllib.parse.urlsplit(base_url.strip())
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # a port that is no number, an address in brackets that is none
        usable = False
    if not usable or not base_url.isascii() or re.search(r"\s", base_url.strip()):
        raise InputError(f"--base-url must look like https://host/v1, not {base_url!r}")
    path = _PATHS.sub("", url.path).rstrip("/")
    return urllib.parse.urlunsplit(url._replace(path=path, query="", fragment="")), dict(
        urllib.parse.parse_qsl(url.query)
    )


def check_key(key: str | None) -> None:
    """Whether a key can be sent.

    Raises:
        InputError: no header can carry it.
    """
    if key is not None and re.search(r"[^\x21-\x7e]", key):
        kind = "a blank or a line end" if key.isascii() else "a character that is not ASCII"
        raise InputError(f"OPENAI_API_KEY holds {kind}, which no request can carry: set it to the key alone")


def connect(base_url: str, query: dict[str, str], key: str | None, places: int) -> openai.AsyncOpenAI:
    """A client of an endpoint with so many connections.

    Raises:
        InputError: a proxy or a certificate file of the environment that cannot be used.
    """
    import httpx2
    import openai

    is_local = urllib.parse.urlsplit(base_url).hostname in LOOPBACK
    try:
        http = openai.DefaultAsyncHttpxClient(
            limits=httpx2.Limits(max_connections=places, max_keepalive_connections=places, keepalive_expiry=30.0),
            trust_env=not is_local,  # a proxy of the environment does not lead to this machine
            follow_redirects=False,  # the key goes to the address that the user named
        )
    except Exception as error:  # whatever a library finds wrong with it, the environment is the cause
        raise InputError(f"{_culprit(error)} cannot be used ({error}): correct it, or unset it") from error
    return openai.AsyncOpenAI(
        base_url=base_url,
        api_key=key or "none",
        max_retries=0,
        timeout=httpx2.Timeout(None, connect=_CONNECT),
        default_query=query or None,
        http_client=http,
    )


def between(base_url: str, words: str) -> str:
    """What of the environment stands between us and an endpoint that cannot be reached: the end of a message."""
    if urllib.parse.urlsplit(base_url).hostname in LOOPBACK:
        return ""
    of_certificates = "CERTIFICATE" in words
    named = _named(name for name in _given() if name.upper().startswith("SSL") is of_certificates)
    if of_certificates:
        so_far = f" (now {named})" if named else ""
        return f"; its certificate is not trusted here: SSL_CERT_FILE names the file of those that are{so_far}"
    return f"; the way there is by {named}" if named else ""


def _given() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.upper() in _ENVIRONMENT and value}


def _named(names: Iterable[str]) -> str:
    """Variables as ``NAME=value``, without passwords."""
    return " and ".join(f"{name}={re.sub(r'//[^/@]*@', '//', os.environ[name])}" for name in names)


def _culprit(error: Exception) -> str:
    """The variables that an error is about."""
    given = _given()
    files = {name: value for name, value in given.items() if name.upper().startswith("SSL_CERT")}
    missing = {name: value for name, value in files.items() if not Path(value).exists()}
    odd = {n: v for n, v in given.items() if n not in files and not re.match(r"https?://[^/\s]+/?$", v)}
    return _named((missing or files) if isinstance(error, OSError) and files else odd or given) or "the environment"
