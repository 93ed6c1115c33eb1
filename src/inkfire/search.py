"""Retrieval: the nearest good examples for a query, re-ranked by clicks.

``k_search`` examples by similarity, then the ``k_final`` most clicked of them (PAPER, strategy A, step 1).

    retriever = Retriever(read_examples("corpus.jsonl"))
    await retriever.retrieve("祝外婆八十大寿", exclude="外婆，…")

Similarity is BM25 over words (rjieba cuts Chinese; no download), the cosine of embeddings, or both, merged by rank.
A BM25 index of 25,000 queries is built in about a second, so it is not kept; vectors are paid for, so they are
(``llm.embeddings``). A search is exact, one product of a few milliseconds; in a large corpus, with the extra ``dense``,
it looks into faiss's inverted lists instead. A text never sees itself or a near-duplicate among its examples: an agent
that is shown the answer does not judge.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any, Literal, Protocol, Self, get_args

import numpy as np
from numpy.typing import NDArray

from inkfire.errors import InputError, ModelCallError
from inkfire.models.embeddings import Embedder, Vectors, cached_vectors
from inkfire.records import Example

Retrieval = Literal["bm25", "dense", "hybrid"]
RETRIEVALS: tuple[Retrieval, ...] = get_args(Retrieval)

NEAR_DUPLICATE = 0.8
"""Character 3-gram Jaccard similarity from which two texts count as the same text."""

LARGE = 10_000
"""Vectors from which inverted lists are worth their while."""


def check_retrieval(kind: str, *, corpus: bool, embedder: str | None) -> None:
    """Refuse what cannot work.

    Raises:
        InputError: an unknown kind, no corpus to search, or an embedder too few or too many.
    """
    if kind not in RETRIEVALS:
        raise InputError(f"--retrieval {kind!r}: use {', '.join(RETRIEVALS)}")
    if kind != "bm25" and not (corpus and embedder):
        raise InputError(f"--retrieval {kind} needs --corpus FILE and --embedder MODEL")
    if kind == "bm25" and embedder:
        raise InputError("--embedder is used with --retrieval dense or hybrid only")


class Ranker(Protocol):
    """Orders the examples it was built on by similarity to a query."""

    async def rank(self, query: str, k: int) -> list[int]:
        """Indices of at most ``k`` examples, most similar first; only those with some similarity."""
        ...


def words(text: str) -> list[str]:
    """The words of a text for BM25: Chinese cut by rjieba, the rest by blanks; lower case, no punctuation."""
    import rjieba

    return [word.lower() for word in rjieba.cut_for_search(text) if any(char.isalnum() for char in word)]


class ExampleSource(Protocol):
    """Where an agent's examples come from: a :class:`Retriever`, or what stands in for it."""

    async def retrieve(self, query: str, *, exclude: str = "") -> list[Example]:
        """Good texts for a query; none of them is ``exclude``."""
        ...


class BM25Ranker:
    def __init__(self, texts: Sequence[str]):
        import bm25s

        self._index = None
        tokens = [words(text) for text in texts]
        if any(tokens):
            self._index = bm25s.BM25()
            self._index.index(tokens, show_progress=False)

    async def rank(self, query: str, k: int) -> list[int]:
        known = [] if self._index is None else [word for word in words(query) if word in self._index.vocab_dict]
        if not known or self._index is None:
            return []
        return _best(self._index.get_scores(known), k)


class DenseRanker:
    """Orders by the cosine of embeddings. Make one with ``of``."""

    def __init__(self, embedder: Embedder, vectors: Vectors):
        self._embedder = embedder
        self._vectors = vectors
        large = len(vectors) >= LARGE and importlib.util.find_spec("faiss") is not None
        self._lists = _inverted_lists(vectors) if large else None

    @classmethod
    async def of(cls, texts: Sequence[str], embedder: Embedder) -> Self:
        return cls(embedder, await cached_vectors(embedder, texts))

    async def rank(self, query: str, k: int) -> list[int]:
        if not len(self._vectors):
            return []
        [vector] = await self._embedder.embed([query])
        if len(vector) != self._vectors.shape[1]:
            raise ModelCallError(f"a vector of {len(vector)} numbers, where the corpus has {self._vectors.shape[1]}")
        if self._lists is not None:
            cosines, found = self._lists.search(vector[None], k)
            return [int(index) for index, cosine in zip(found[0], cosines[0], strict=True) if index >= 0 and cosine > 0]
        return _best(self._vectors @ vector, k)


def _best(scores: NDArray[Any], k: int) -> list[int]:
    """The places of the ``k`` highest scores above 0, the earlier one first where they are equal."""
    return [int(index) for index in np.argsort(-scores, kind="stable")[:k] if scores[index] > 0]


def _inverted_lists(vectors: Vectors) -> Any:
    """faiss's IVF index of √n lists (Jégou, Douze and Schmid 2011), of which a quarter is looked into."""
    import faiss

    n, dimensions = vectors.shape
    lists = round(n**0.5)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimensions), dimensions, lists, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    index.nprobe = lists // 4
    return index


class Retriever:
    """Good examples for a query.

    Args:
        examples: the corpus.
        rankers: how similarity is measured; several are merged by reciprocal rank. BM25 by default.
        k_search: examples taken by similarity.
        k_final: examples kept after re-ranking by clicks (ties: the more similar first).
    """

    def __init__(
        self, examples: Sequence[Example], *, rankers: Sequence[Ranker] = (), k_search: int = 20, k_final: int = 2
    ):
        self.examples = list(examples)
        self.rankers = list(rankers) or [BM25Ranker([example.query for example in self.examples])]
        self.k_search = k_search
        self.k_final = k_final

    @classmethod
    async def of(cls, examples: Sequence[Example], kind: Retrieval, embedder: Embedder | None = None) -> Self:
        """A retriever of a kind; all but ``bm25`` need an embedder, which stays open as long as it is used."""
        texts = [example.query for example in examples]
        rankers: list[Ranker] = [BM25Ranker(texts)] if kind != "dense" else []
        if embedder is not None:
            rankers.append(await DenseRanker.of(texts, embedder))
        return cls(examples, rankers=rankers)

    async def retrieve(self, query: str, *, exclude: str = "") -> list[Example]:
        """At most ``k_final`` examples; none is ``exclude`` or a near-duplicate of it."""
        rankings = [await ranker.rank(query, 2 * self.k_search) for ranker in self.rankers]
        found = (self.examples[index] for index in merge_rankings(rankings))
        apart = [example for example in found if not near_duplicate(example.response, exclude)][: self.k_search]
        return sorted(apart, key=lambda example: -example.clicks)[: self.k_final]


def merge_rankings(rankings: Sequence[Sequence[int]], damping: int = 60) -> list[int]:
    """Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009): sum of 1 / (damping + rank)."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, index in enumerate(ranking, start=1):
            scores[index] = scores.get(index, 0.0) + 1.0 / (damping + rank)
    return sorted(scores, key=lambda index: -scores[index])


def near_duplicate(a: str, b: str, threshold: float = NEAR_DUPLICATE) -> bool:
    """Whether two texts are the same, or the same but for punctuation, blanks or a few characters."""
    grams_a, grams_b = _grams(a), _grams(b)
    if not grams_a or not grams_b:
        return a == b
    return len(grams_a & grams_b) >= threshold * len(grams_a | grams_b)


def _grams(text: str) -> set[str]:
    letters = "".join(char for char in text.lower() if char.isalnum())
    return {letters[i : i + 3] for i in range(max(1, len(letters) - 2))} if letters else set()
