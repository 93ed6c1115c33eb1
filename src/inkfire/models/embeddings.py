"""Texts → vectors of unit length: any OpenAI-compatible embeddings endpoint, or sentence-transformers on this machine.

    async with AsyncExitStack() as stack:
        embedder = open_embedder("text-embedding-3-small", ledger=ledger)
        stack.push_async_callback(embedder.close)
        vectors = await cached_vectors(embedder, texts)          # float32, (len(texts), dimensions)
        scores = vectors @ (await embedder.embed([query]))[0]    # cosines

Requests carry many texts, are bounded, retried and counted like every other call, and their replies are kept in the
ledger. ``cached_vectors`` keeps the vectors of a whole corpus in the user's cache as well, by the hash of model and
texts, for the runs of other folders.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inkfire.errors import MissingExtraError, ModelCallError, ModelNameError
from inkfire.files.jsonl import atomic
from inkfire.llm import structured
from inkfire.llm.base import Usage
from inkfire.llm.client import Client
from inkfire.llm.entry import Entry
from inkfire.llm.prices import text_tokens
from inkfire.llm.retry import Fault, Rejected
from inkfire.llm.shared import Shared
from inkfire.llm.wire import Completion, read_usage
from inkfire.models import store

Vectors = NDArray[np.float32]

_TOGETHER = 128  # texts of one request: endpoints take from 96 to 2,048
_VERSION = 1


class Embedder(Protocol):
    """``key`` tells its vectors from those of any other model."""

    @property
    def key(self) -> str: ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """float32 of shape (len(texts), dimensions); each row has length 1 (or 0).

        Raises:
            ModelCallError, BudgetExceeded, EndpointDown: as a model does.
        """
        ...

    async def close(self) -> None: ...


class EmbeddingClient(Client):
    """A model behind an embeddings endpoint."""

    @property
    def key(self) -> str:
        return self._old_key or self.model_key

    async def embed(self, texts: Sequence[str]) -> Vectors:
        chunks = [tuple(texts[start : start + _TOGETHER]) for start in range(0, len(texts), _TOGETHER)]
        parts = await asyncio.gather(*(self._vectors(chunk) for chunk in chunks))
        if len({part.shape[1] for part in parts}) > 1:
            raise ModelCallError(f"{self.name} gave vectors of different lengths")
        return unit(np.concatenate(parts)) if parts else np.zeros((0, 0), np.float32)

    async def _vectors(self, texts: tuple[str, ...]) -> Vectors:
        key = self._digest(self.model_key, texts)
        shared: Shared[Vectors] | None = self._in_flight.get(key)
        if shared is not None and not shared.task.cancelled():
            self._count(cached=1)
            return await shared.result()
        entry = None if self.ledger is None else self.ledger.find(key)
        if entry is None and self.ledger is not None and self._old_key is not None:
            entry = self.ledger.find(self._digest(self._old_key, texts))
        if entry is not None:
            self._count(cached=1)
            return np.frombuffer(base64.b64decode(entry.text), "<f4").reshape(len(texts), -1).astype(np.float32)
        return await self._share(key, lambda shared: self._fetch(texts, key, shared))

    @staticmethod
    def _digest(model_key: str, texts: tuple[str, ...]) -> bytes:
        asked = json.dumps([_VERSION, "embeddings", model_key, texts], separators=(",", ":"))
        return hashlib.sha256(asked.encode()).digest()

    async def _fetch(self, texts: tuple[str, ...], key: bytes, shared: Shared[Vectors]) -> Vectors:
        # An empty text is refused by some endpoints, a lone surrogate by all.
        said = [structured.well_formed(text) if text.strip() else " " for text in texts]
        prompt_tokens = sum(map(text_tokens, said))
        body = json.dumps({"model": self.model, "input": said, "encoding_format": "float"}, ensure_ascii=False).encode()

        def keep(content: bytes, latency: float) -> tuple[Entry, Vectors]:
            vectors, reported = read_embeddings(content, len(texts))
            packed = base64.b64encode(vectors.astype("<f4").tobytes()).decode()
            completion = Completion(packed, "stop", reported or Usage(prompt_tokens), reported is None, None)
            return self._entry(completion, key, 0, latency), vectors

        try:
            return await self._persist("/embeddings", body, Usage(prompt_tokens), keep, shared)
        except Rejected as rejected:
            self._count(failures=1)
            raise ModelCallError(f"{self.name} refused the request for embeddings ({rejected})") from rejected


def read_embeddings(content: bytes, n: int) -> tuple[Vectors, Usage | None]:
    """The vectors of a response in the order of the texts, and the usage it reports.

    Raises:
        Fault: ``malformed``, the body is not ``n`` vectors of one length.
    """
    try:
        body = json.loads(content)
        rows = sorted(body["data"], key=lambda row: row["index"])
        vectors = np.array([row["embedding"] for row in rows], dtype=np.float32)
        if [row["index"] for row in rows] != list(range(n)) or vectors.ndim != 2 or not np.isfinite(vectors).all():
            raise ValueError
        return vectors, read_usage(body.get("usage"))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise Fault("malformed") from error


def unit(vectors: Vectors) -> Vectors:
    """Rows divided by their length; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    shortened: Vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return shortened


class SentenceEmbedder:
    """A sentence-transformers model on this machine: free, and not in the ledger.

    Raises:
        MissingExtraError: sentence-transformers is not installed.
        ModelNameError: no such model.
    """

    def __init__(self, name: str) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtraError("sentence_transformers", "dense") from error
        try:
            self._model = SentenceTransformer(name, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise ModelNameError(f"st/{name}: sentence-transformers cannot load it: {error}") from error
        self.key = f"st/{name} {importlib.metadata.version('sentence-transformers')}"
        self._one_at_a_time = asyncio.Lock()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        async with self._one_at_a_time:
            encode = functools.partial(self._model.encode, show_progress_bar=False, convert_to_numpy=True)
            return unit(np.asarray(await asyncio.to_thread(encode, list(texts)), np.float32))

    async def close(self) -> None:
        """Nothing to close."""


async def cached_vectors(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    """The vectors of ``texts``, from the user's cache where this model has embedded the same texts before."""
    if not texts:
        return np.zeros((0, 0), np.float32)
    asked = json.dumps([_VERSION, embedder.key, list(texts)], separators=(",", ":"))
    path = store.cache_dir() / "vectors" / f"{hashlib.sha256(asked.encode()).hexdigest()}.npy"
    with contextlib.suppress(OSError, ValueError, EOFError):  # not there, or damaged
        vectors: Vectors = np.load(path, allow_pickle=False)
        if vectors.shape[0] == len(texts):
            return vectors
    vectors = await embedder.embed(texts)
    with atomic(path) as file:
        np.save(file, vectors, allow_pickle=False)
    return vectors
