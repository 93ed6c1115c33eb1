"""Texts become vectors: in order, in few requests, kept, and never silently wrong."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from stub_endpoint import Faults, Stub, vector

from inkfire.errors import BudgetExceeded, EndpointDown, InputError, MissingExtraError, ModelCallError, ModelNameError
from inkfire.llm.ledger import Ledger
from inkfire.llm.prices import Budget, Price
from inkfire.llm.retry import Fault, Retry
from inkfire.models.embeddings import EmbeddingClient, SentenceEmbedder, cached_vectors, read_embeddings, unit
from inkfire.models.open import open_embedder

TEXTS = [f"给第{i}位朋友的生日祝福" for i in range(300)]
FAST = Retry(first=0.001, longest=0.01)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INKFIRE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vectors"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


def client(stub: Stub, ledger: Ledger | None = None, **more: Any) -> EmbeddingClient:
    return EmbeddingClient("embedder", base_url=stub.url, ledger=ledger, **{"retry": FAST, **more})


async def test_vectors_have_length_one_and_the_order_of_their_texts(ledger: Ledger) -> None:
    async with Stub() as stub, client(stub, ledger) as embedder:
        vectors = await embedder.embed(TEXTS)
        assert (vectors.shape, vectors.dtype) == ((300, 64), np.float32)
        assert np.allclose(vectors, unit(np.array([vector(text) for text in TEXTS], np.float32)))
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
        assert sorted(len(request.body["input"]) for request in stub.log) == [44, 128, 128]
        stats = ledger.stats()
        assert (stats["calls"], stats["cached"]) == (3, 0)
        assert stats["tokens"] == sum(len(text) // 4 + 1 for text in TEXTS)


async def test_what_was_embedded_is_not_asked_again(ledger: Ledger) -> None:
    async with Stub(latency=0.02) as stub, client(stub, ledger) as embedder:
        first = await embedder.embed(TEXTS[:5])
        assert np.array_equal(await embedder.embed(TEXTS[:5]), first)
        assert len(stub.log) == 1
        several = await asyncio.gather(*(embedder.embed(TEXTS[7:8]) for _ in range(4)))
        assert len(stub.log) == 2
        assert all(np.array_equal(vectors, several[0]) for vectors in several)
        assert ledger.stats()["cached"] == 4
        async with client(stub, ledger, model="other") as other:
            await other.embed(TEXTS[:5])
        assert len(stub.log) == 3


async def test_nothing_and_empty_texts(ledger: Ledger) -> None:
    async with Stub() as stub, client(stub, ledger) as embedder:
        assert (await embedder.embed([])).shape[0] == 0
        assert (await embedder.embed(["", "\ud800x"])).shape == (2, 64)
        assert stub.log[0].body["input"][0] == " "
    assert np.array_equal(unit(np.zeros((1, 3), np.float32)), np.zeros((1, 3)))


async def test_faults_are_retried_and_counted(ledger: Ledger) -> None:
    faults = Faults(http_500=0.2, http_429=0.1, malformed=0.2, retry_after=0.01)
    async with Stub(faults=faults) as stub, client(stub, ledger) as embedder:
        parts = await asyncio.gather(*(embedder.embed([text]) for text in TEXTS[:60]))
        assert np.allclose(parts[9], unit(np.array([vector(TEXTS[9])], np.float32)))
    assert ledger.stats()["calls"] == 60
    assert {"500", "429", "malformed"} == ledger.stats()["faults"].keys()


async def test_a_failure_is_typed(ledger: Ledger) -> None:
    async with Stub(unsupported=("input",)) as stub, client(stub, ledger) as embedder:
        with pytest.raises(ModelCallError, match="embedder refused the request for embeddings"):
            await embedder.embed(["a"])
    async with Stub(api_key="right") as stub, client(stub, ledger) as embedder:
        with pytest.raises(EndpointDown, match="OPENAI_API_KEY"):
            await embedder.embed(["a"])
    assert ledger.stats()["failures"] == 1


async def test_the_spend_limit_holds_for_vectors_too(tmp_path: Path) -> None:
    prices = {"embedder": Price(1000.0, 0.0)}
    with Ledger(tmp_path / "l.sqlite", budget=Budget(money=1.0), prices=prices) as ledger:
        async with Stub() as stub, client(stub, ledger) as embedder:
            await embedder.embed(TEXTS[:4])
            assert ledger.stats()["cost"] == pytest.approx(4 * 3 / 1000)
            with pytest.raises(BudgetExceeded):
                await embedder.embed(TEXTS)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": []},
        {"data": [{"index": 0, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 2, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [None]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [float("nan")]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [10**400]}]},
        {"data": [{"index": 0, "embedding": "abc"}, {"index": 1, "embedding": "abd"}]},
        {"data": [1, 2]},
        [],
    ],
)
def test_what_is_no_list_of_vectors_is_malformed(body: Any) -> None:
    with pytest.raises(Fault, match="malformed"):
        read_embeddings(json.dumps(body).encode(), 2)


def damage(folder: Path) -> int:
    """Cut every file; how many there are."""
    files = list(folder.iterdir())
    for file in files:
        file.write_bytes(file.read_bytes()[:90])
    return len(files)


async def test_a_corpus_is_kept_by_its_contents(ledger: Ledger, tmp_path: Path, cache: Path) -> None:
    async with Stub() as stub, client(stub, ledger) as embedder:
        first = await cached_vectors(embedder, TEXTS[:6])
        with Ledger(tmp_path / "elsewhere" / "ledger.sqlite") as other:
            async with client(stub, other) as again:
                assert np.array_equal(await cached_vectors(again, TEXTS[:6]), first)
                assert len(stub.log) == 1
                await cached_vectors(again, TEXTS[:5])
                await cached_vectors(again, TEXTS[5::-1])
                assert len(stub.log) == 3
        assert damage(cache) == 3  # a damaged file is made again (here from the ledger)
        assert np.array_equal(await cached_vectors(embedder, TEXTS[:6]), first)
        assert len(stub.log) == 3


# ---- models on this machine ------------------------------------------------------------------------------------------


@pytest.mark.model
async def test_the_embedded_engine_puts_like_texts_near_each_other(ledger: Ledger, smollm2: Path) -> None:
    embedder = open_embedder(str(smollm2), ledger=ledger)
    try:
        texts = ["Happy birthday to my dear grandmother!", "Grandmother, a very happy birthday!", "The train is late."]
        grandmother, again, train = await embedder.embed(texts)
        assert np.isclose(np.linalg.norm(grandmother), 1, atol=1e-4)
        assert grandmother @ again > grandmother @ train
        assert ledger.stats()["cost"] == 0
    finally:
        await embedder.close()


def test_an_endpoint_elsewhere_needs_a_key(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InputError, match="set OPENAI_API_KEY"):
        open_embedder("text-embedding-3-small", ledger=ledger, base_url="https://api.example.com/v1")


def test_sentence_transformers_is_an_extra(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'inkfire\[dense\]'"):
        open_embedder("st/all-MiniLM-L6-v2", ledger=ledger)


async def test_a_sentence_transformers_model(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    class SentenceTransformer:
        def __init__(self, name: str, *, trust_remote_code: bool) -> None:
            if name == "missing" or trust_remote_code:
                raise OSError("no such model")

        def encode(self, texts: list[str], *, show_progress_bar: bool, convert_to_numpy: bool) -> Any:
            assert convert_to_numpy
            assert not show_progress_bar
            return np.array([vector(text) for text in texts])

    module = ModuleType("sentence_transformers")
    module.SentenceTransformer = SentenceTransformer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "5.0")
    with pytest.raises(ModelNameError, match="st/missing"):
        open_embedder("st/missing", ledger=ledger)
    embedder = open_embedder("st/tiny", ledger=ledger)
    assert isinstance(embedder, SentenceEmbedder)
    assert embedder.key == "st/tiny 5.0"
    parts = await asyncio.gather(*(embedder.embed(TEXTS[i : i + 2]) for i in range(4)))
    assert np.allclose(parts[3], unit(np.array([vector(text) for text in TEXTS[3:5]], np.float32)))
    assert (await cached_vectors(embedder, TEXTS)).dtype == np.float32
    await embedder.close()
    assert ledger.stats()["calls"] == 0
