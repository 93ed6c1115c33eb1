"""A model's name → a client that speaks to it: the one place where embedded and remote models part ways.

``local/NAME`` (NAME of `inkfire models list`, a hub's org/repo/file.gguf, or a path), any path of a .gguf and the
folder of a policy trained on one mean the embedded engine; everything else is sent to the OpenAI-compatible endpoint.

    async with open_model("local/qwen2.5-coder-0.5b", ledger=ledger) as llm:
        reply = await llm.chat([{"role": "user", "content": "写一句生日祝福"}])
"""

from __future__ import annotations

import os
import re
import urllib.parse
from pathlib import Path
from typing import TypeVar

from inkfire.errors import InputError, ModelNameError
from inkfire.llm.batch import Batch, BatchClient
from inkfire.llm.client import Client
from inkfire.llm.connect import LOOPBACK, check_key
from inkfire.llm.ledger import Ledger
from inkfire.llm.pace import Pace
from inkfire.llm.prices import FREE, is_embedded
from inkfire.llm.terms import Terms
from inkfire.models import engine, store
from inkfire.models.card import CARD, is_policy
from inkfire.models.embeddings import Embedder, EmbeddingClient, SentenceEmbedder

C = TypeVar("C", bound=Client)

_OPENAI = "https://api.openai.com/v1"


def is_local(name: str) -> bool:
    """Whether a name means the embedded engine."""
    return is_embedded(name) or is_policy(name)


def check_name(name: str, *, base_url: str | None = None, weights: bool = False) -> None:
    """Whether a name can mean a model, as far as that is known without a download or a request.

    Args:
        weights: weights are needed (to train, or to write as a policy), not an endpoint.

    Raises:
        ModelNameError: no such name, file or folder.
        InputError: an endpoint that is not on this machine, and no key for it.
    """
    if is_embedded(name):
        if store.is_file_name(name):
            store.path(name)
        elif name.count("/") < 2:
            store.known(name)
    elif not weights and is_policy(name):
        from inkfire.models import gguf_lora

        gguf_lora.base_of(Path(name))
    elif not weights:
        _endpoint(name, base_url)
    elif Path(name).is_dir():
        if not any((Path(name) / file).is_file() for file in ("config.json", "adapter_config.json")):
            raise ModelNameError(f"{name}: no model (the folder has no config.json)")
    elif not re.fullmatch(r"[\w.-]+/[\w.-]+", name.removeprefix("hf/")):
        near = f"; did you mean local/{name}?" if name in store.names() else ""
        raise ModelNameError(f"{name}: no such folder, and no hub id (ORG/NAME){near}")


def open_model(
    name: str,
    *,
    ledger: Ledger | None,
    base_url: str | None = None,
    concurrency: int | None = None,
    batch: Batch | None = None,
) -> Client:
    """A client of the model; weights that are not on this machine yet are downloaded first.

    Close it (it is an async context manager): the embedded engine stops with its last client.

    Args:
        name: ``local/NAME``, a .gguf, a policy trained on one, or what the endpoint calls the model. A policy answers
            what it is asked here, as any model: its own task's template is for writing (``load_policy``).
        ledger: where every reply is kept; None keeps nothing.
        base_url: of the endpoint; by default OPENAI_BASE_URL, then OpenAI's. The key is OPENAI_API_KEY.
        concurrency: requests in flight at once; by default 16, or the engine's slots.
        batch: where the calls of a remote model go instead of to its endpoint; needs a ledger.

    Raises:
        ModelNameError: no such model, weights that cannot be loaded, or a folder that the engine cannot serve.
        InputError: an endpoint that is not on this machine, and no key for it.
        EndpointDown: weights that could not be downloaded.
        MissingExtraError: xllamacpp is not installed.
    """
    if is_local(name):
        return _embedded(Client, name, ledger, concurrency)
    if batch is not None and ledger is not None:
        return BatchClient(name, base_url=base_url or _default_url(), ledger=ledger, batch=batch)
    return _remote(Client, name, ledger, base_url, concurrency)


def open_embedder(
    name: str, *, ledger: Ledger | None, base_url: str | None = None, concurrency: int | None = None
) -> Embedder:
    """A model that makes vectors of texts. Close it.

    Args:
        name: ``local/NAME``, a .gguf or a policy (the mean of a writer's last layer: slower and rougher than a model
            made for it), what the endpoint calls the model, or ``st/NAME`` for sentence-transformers on this machine.
        ledger, base_url, concurrency: as for ``open_model``.

    Raises:
        InputError: an endpoint that is not on this machine, and no key for it.
        ModelNameError, MissingExtraError: no such model; xllamacpp or sentence-transformers is not installed.
    """
    if is_local(name):
        return _embedded(EmbeddingClient, name, ledger, concurrency)
    if name.startswith("st/"):
        return SentenceEmbedder(name.removeprefix("st/"))
    return _remote(EmbeddingClient, name, ledger, base_url, concurrency)


def _default_url() -> str:
    return os.environ.get("OPENAI_BASE_URL") or _OPENAI


def _endpoint(name: str, base_url: str | None) -> tuple[str, str | None]:
    """Where a remote model is, and the key for it."""
    if name.startswith("hf/"):
        raise ModelNameError(
            f"{name}: weights from the hub can be trained and write as policies; who judges, debates or embeds is "
            "local/NAME, a .gguf or a model of the endpoint"
        )
    url = base_url or _default_url()
    if url == _OPENAI and Path(name).is_dir():
        raise ModelNameError(
            f"{name} is a folder and no policy (it has no {CARD}): serve it (`vllm serve {name}`) and give its address "
            "as --base-url"
        )
    key = os.environ.get("OPENAI_API_KEY")
    if not key and urllib.parse.urlsplit(url).hostname not in LOOPBACK:
        near = "; there is no folder of that name" if "/" in name else ""
        near = f"; for the embedded engine write local/{name}" if name in store.names() else near
        raise InputError(f"{name} is asked for at {url}, which needs a key: set OPENAI_API_KEY{near}")
    check_key(key)
    return url, key


def _remote(kind: type[C], name: str, ledger: Ledger | None, base_url: str | None, concurrency: int | None) -> C:
    url, key = _endpoint(name, base_url)
    pace, terms = (Pace(), Terms()) if ledger is None else (ledger.pace, ledger.terms)
    places = concurrency or 16
    return kind(name, base_url=url, api_key=key, ledger=ledger, concurrency=places, pace=pace, terms=terms)


def _embedded(kind: type[C], name: str, ledger: Ledger | None, concurrency: int | None) -> C:
    """A client of the embedded engine, which it holds until it is closed."""
    terms = Terms() if ledger is None else ledger.terms
    adapter: Path | None = None
    if is_embedded(name):
        weights = store.pull(name)
    else:
        from inkfire.models import gguf_lora

        weights, adapter = gguf_lora.served(Path(name))
        name = f"local/{Path(name).resolve().name}"  # in ledgers and cards: no path of this machine, and free
    running = engine.acquire(weights, adapter, embedding=kind is EmbeddingClient)
    try:
        return kind(
            name,
            base_url=running.base_url,
            api_key=running.api_key,
            model_key=running.model_key,
            ledger=ledger,
            concurrency=concurrency or engine.slots(),
            price=FREE,
            terms=Terms(terms.reply_tokens, timeout=terms.timeout),
            deadline=900.0,  # a busy laptop is slow, not broken
            on_close=running.release,
        )
    except BaseException:  # nobody holds a client that could be closed
        running.release()
        raise
