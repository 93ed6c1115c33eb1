"""Retrieval: nearest first, clicks decide among them, and never the text itself."""

import time

from hypothesis import given
from hypothesis import strategies as st

from inkfire.agents.retrieve import BM25Ranker, Retriever, merge_rankings, near_duplicate
from inkfire.records import Example

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
    assert not near_duplicate("", "")


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
