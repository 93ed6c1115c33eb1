"""Retrieval: nearest first, clicks decide among them, and never the text itself."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stub_endpoint import vector

from inkfire.errors import InputError, ModelCallError
from inkfire.models.embeddings import Embedder, Vectors, unit
from inkfire.records import Example
from inkfire.search import (
    BM25Ranker,
    DenseRanker,
    RetrievalSettings,
    Retriever,
    merge_rankings,
    near_duplicate,
    without,
)

DENSE = RetrievalSettings(retrieval="dense", embedder="pairs")
CORPUS = [
    Example("祝外婆八十大寿", "外婆，院子里的石榴又红了，您尝第一颗。", clicks=3),
    Example("外婆生日祝福", "外婆，灯下缝补的手，今天只许切蛋糕。", clicks=9),
    Example("同事升职", "升职了，工位的绿萝我替你浇。", clicks=50),
    Example("", "没有需求的文字。"),
]


async def test_similarity_finds_and_clicks_rank() -> None:
    found = await Retriever(CORPUS, k_search=2, k_final=2).retrieve("外婆八十大寿的祝福")
    assert [example.clicks for example in found] == [9, 3]


async def test_k_final_bounds_and_nothing_similar_is_nothing() -> None:
    retriever = Retriever(CORPUS, k_final=1)
    assert len(await retriever.retrieve("外婆的生日")) == 1
    assert await retriever.retrieve("quantum entanglement") == []
    assert await retriever.retrieve("！？") == []


async def test_never_the_text_itself_nor_a_near_duplicate() -> None:
    found = await Retriever(CORPUS).retrieve("祝外婆八十大寿", exclude="外婆，院子里的石榴又红了！您尝第一颗")
    assert CORPUS[0] not in found
    assert CORPUS[1] in found


async def test_an_empty_corpus_and_one_without_words_find_nothing() -> None:
    assert await Retriever([]).retrieve("外婆") == []
    assert await Retriever([Example("…", "x")]).retrieve("外婆") == []


async def test_several_rankers_are_merged() -> None:
    class Fixed:
        async def rank(self, query: str, k: int) -> list[int]:
            return [2, 0]

    texts = [example.query for example in CORPUS]
    found = await Retriever(CORPUS, rankers=[BM25Ranker(texts), Fixed()], k_search=1, k_final=1).retrieve(
        "祝外婆八十大寿"
    )
    assert found == [CORPUS[0]]


def test_reciprocal_rank_fusion_prefers_agreement() -> None:
    assert merge_rankings([[1, 2, 3], [2, 3, 1]]) == [2, 1, 3]
    assert merge_rankings([[], [5]]) == [5]


def test_near_duplicates_ignore_punctuation_and_case() -> None:
    assert near_duplicate("Happy birthday, Ann!", "happy birthday ann")
    assert not near_duplicate("Happy birthday, Ann!", "Sorry to see you go, Ann.")
    assert near_duplicate("!", "!")
    assert not near_duplicate("", "!")


@given(st.text(max_size=40), st.text(max_size=40))
def test_near_duplicate_is_symmetric(a: str, b: str) -> None:
    assert near_duplicate(a, b) == near_duplicate(b, a)


async def test_25_000_texts_are_indexed_and_searched_quickly() -> None:
    corpus = [
        Example(f"给第{i}位{'亲友同事老师'[i % 6]}的{i % 97}岁生日祝福", f"文字{i}", clicks=i) for i in range(25_000)
    ]
    started = time.perf_counter()
    retriever = Retriever(corpus)
    assert time.perf_counter() - started < 30
    started = time.perf_counter()
    for i in range(20):
        await retriever.retrieve(f"给老师的{i}岁生日祝福", exclude="文字")
    assert (time.perf_counter() - started) / 20 < 0.05


class Pairs:
    """Embeds by the pairs of characters; no model, no endpoint."""

    key = "pairs"

    def __init__(self) -> None:
        self.embedded = 0

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.embedded += len(texts)
        return unit(np.array([vector(text) for text in texts], np.float32).reshape(len(texts), -1))

    async def close(self) -> None: ...


@pytest.fixture
def embedder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pairs:
    monkeypatch.setenv("INKFIRE_CACHE", str(tmp_path))
    return Pairs()


async def test_dense_finds_the_nearest_and_clicks_decide_among_them(embedder: Pairs) -> None:
    retriever = Retriever.of(CORPUS, RetrievalSettings(retrieval="dense", embedder="pairs", k_search=2), embedder)
    await retriever.ready()
    assert embedder.embedded == len(CORPUS)
    found = await retriever.retrieve("外婆八十大寿的祝福")
    assert {example.clicks for example in found} == {9, 3}
    assert found[0].clicks == 9
    assert embedder.embedded == len(CORPUS) + 1
    await Retriever.of(CORPUS, DENSE, embedder).ready()
    assert embedder.embedded == len(CORPUS) + 1  # kept by the contents of the corpus


async def test_dense_never_shows_the_text_itself_nor_a_near_duplicate(embedder: Pairs) -> None:
    retriever = Retriever.of(CORPUS, DENSE, embedder)
    found = await retriever.retrieve("祝外婆八十大寿", exclude="外婆，院子里的石榴又红了！您尝第一颗")
    assert CORPUS[0] not in found
    assert CORPUS[1] in found


async def test_hybrid_merges_both_by_rank(embedder: Pairs) -> None:
    retriever = Retriever.of(CORPUS, RetrievalSettings(retrieval="hybrid", embedder="pairs"), embedder)
    assert [type(ranker) for ranker in retriever.rankers] == [BM25Ranker, DenseRanker]
    assert CORPUS[0] in await retriever.retrieve("祝外婆八十大寿")
    assert [type(ranker) for ranker in Retriever.of(CORPUS, RetrievalSettings()).rankers] == [BM25Ranker]


async def test_dense_ranks_as_sorting_all_cosines_does(embedder: Pairs) -> None:
    texts = [f"给第{i % 50}位{'亲友同事老师'[i % 6]}的祝福" for i in range(400)]
    ranker = DenseRanker(texts, embedder)
    [query] = await embedder.embed(["给老师的祝福"])
    cosines = (await embedder.embed(texts)) @ query
    for k in (1, 7, 399, 400, 1000):
        ranked = await ranker.rank("给老师的祝福", k)
        assert len(ranked) == min(k, 400)
        assert np.allclose(cosines[ranked], np.sort(cosines)[::-1][:k])
    assert await DenseRanker([], embedder).rank("x", 3) == []


async def test_a_large_corpus_is_searched_by_inverted_lists(embedder: Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    texts = [
        f"给{'亲友同事老师邻居'[i % 8]}的第{i}句祝福，愿{chr(0x4E00 + i)}{chr(0x5E00 + 7 * i)}常在" for i in range(1200)
    ]
    exact = DenseRanker(texts, embedder)
    await exact.ready()
    monkeypatch.setattr("inkfire.search.LARGE", 1000)
    lists = DenseRanker(texts, embedder)
    vectors = await embedder.embed(texts)
    for query in ("给老师的祝福", "给邻居的第7句祝福"):
        best, found = await exact.rank(query, 20), await lists.rank(query, 20)
        [asked] = await embedder.embed([query])
        assert len(set(found)) == len(found) == 20
        assert (vectors[found] @ asked).mean() > 0.95 * (vectors[best] @ asked).mean()  # nearly as near
    assert await lists.rank(texts[17], 5) == await lists.rank(texts[17], 5)
    assert (await lists.rank(texts[17], 1))[0] == (await exact.rank(texts[17], 1))[0]


async def test_vectors_of_another_length_are_an_error(embedder: Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
    async def three(embedder: Embedder, texts: Sequence[str]) -> Vectors:
        return np.ones((len(texts), 3), np.float32)

    monkeypatch.setattr("inkfire.search.cached_vectors", three)
    ranker = DenseRanker(["a", "b"], embedder)
    with pytest.raises(ModelCallError, match="a vector of 64 numbers, where the corpus has 3"):
        await ranker.rank("x", 1)


@pytest.mark.parametrize(
    ("how", "searched", "message"),
    [
        ({"retrieval": "cosine", "embedder": "e"}, True, "use bm25, dense, hybrid"),
        ({"retrieval": "dense", "embedder": "e"}, False, "dense has nothing to search: add some"),
        ({"retrieval": "hybrid"}, True, "hybrid needs --embedder MODEL"),
        ({"embedder": "e"}, True, "--embedder is used with"),
        ({"k_search": 2, "k_final": 3}, True, "--k-final 3 is more than --k-search 2"),
    ],
)
def test_what_cannot_work_is_refused(how: dict[str, Any], searched: bool, message: str) -> None:
    with pytest.raises(InputError, match=message):
        RetrievalSettings(**how).check_retrieval(searched=searched, otherwise="add some")


async def test_settings_say_how_many_are_found_and_kept() -> None:
    found = await Retriever.of(CORPUS, RetrievalSettings(k_search=1, k_final=1)).retrieve("祝外婆八十大寿")
    assert found == [CORPUS[0]]  # the more clicked one is not among the one that is found


def test_a_corpus_is_rid_of_texts_that_are_known() -> None:
    known = ["外婆，院子里的石榴又红了，您尝第一颗！", "别的话。"]
    assert without(CORPUS, known) == CORPUS[1:]
    assert without(CORPUS, []) == CORPUS
