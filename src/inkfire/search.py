"""Retrieval: the nearest good examples for a query, re-ranked by clicks.

``k_search`` examples by similarity, then the ``k_final`` most clicked of them, as in the paper's strategy A.

    retriever = Retriever(read_examples("corpus.jsonl"))
    await retriever.retrieve("祝外婆八十大寿", exclude="外婆，…")

Similarity is BM25 over words (rjieba cuts Chinese; no download), the cosine of embeddings, or both, merged by rank.
A BM25 index of 25,000 queries is built in about a second, so it is not kept; vectors are paid for, so they are
(``llm.embeddings``). A search is exact, one product of a few milliseconds; in a large corpus, with the extra ``dense``,
it looks into faiss's inverted lists instead. A text never sees itself or a near-duplicate among its examples: an agent
that is shown the answer does not judge.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Protocol, Self, get_args

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from inkfire.errors import InputError, ModelCallError
from inkfire.models.embeddings import Embedder, Vectors, cached_vectors
from inkfire.records import Example
from inkfire.settings import settings
from inkfire.stats.texts import repeats

Retrieval = Literal["bm25", "dense", "hybrid"]
RETRIEVALS: tuple[Retrieval, ...] = get_args(Retrieval)

NEAR_DUPLICATE = 0.8
"""Character 3-gram Jaccard similarity from which two texts count as the same text."""

LARGE = 10_000
"""Vectors from which inverted lists are worth their while."""


@settings
class RetrievalSettings:
    """How examples are found."""

    retrieval: Retrieval = "bm25"
    """bm25, dense (by --embedder), or hybrid: both, merged by rank."""
    embedder: str | None = None
    """An endpoint's model; on this machine local/NAME or st/NAME."""
    k_search: Annotated[int, Ge(1)] = 20
    """Good texts that are found by nearness for a debate."""
    k_final: Annotated[int, Ge(0)] = 2
    """The most clicked of these, which its agents are shown; 0: none."""

    def check_retrieval(self, *, searched: bool, otherwise: str) -> None:
        """Refuse what cannot work.

        Args:
            searched: whether there is anything to search, and ``otherwise`` what to do where there is not.

        Raises:
            InputError: an unknown kind, nothing to search, an embedder too few or too many, or more examples kept than
                found.
        """
        kind = self.retrieval
        if kind not in RETRIEVALS:
            raise InputError(f"--retrieval {kind!r}: use {', '.join(RETRIEVALS)}")
        if kind != "bm25" and not searched:
            raise InputError(f"--retrieval {kind} has nothing to search: {otherwise}")
        if kind != "bm25" and not self.embedder:
            raise InputError(f"--retrieval {kind} needs --embedder MODEL")
        if kind == "bm25" and self.embedder:
            raise InputError("--embedder is used with --retrieval dense or hybrid only")
        if self.k_final > self.k_search:
            raise InputError(f"--k-final {self.k_final} is more than --k-search {self.k_search}: raise that")


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
    """Orders by the cosine of embeddings. The texts are embedded once, by ``ready`` or by the first search."""

    def __init__(self, texts: Sequence[str], embedder: Embedder):
        self._texts, self._embedder = texts, embedder
        self._vectors: Vectors | None = None
        self._lists: Any = None
        self._one_at_a_time = asyncio.Lock()

    async def ready(self) -> Vectors:
        """The vectors of the texts, float32 of shape (texts, dimensions)."""
        async with self._one_at_a_time:
            if self._vectors is None:
                self._vectors = await cached_vectors(self._embedder, self._texts)
                if len(self._texts) >= LARGE and importlib.util.find_spec("faiss") is not None:
                    self._lists = _inverted_lists(self._vectors)
            return self._vectors

    async def rank(self, query: str, k: int) -> list[int]:
        vectors = await self.ready()
        if not len(vectors):
            return []
        [vector] = await self._embedder.embed([query])
        if len(vector) != vectors.shape[1]:
            raise ModelCallError(f"a vector of {len(vector)} numbers, where the corpus has {vectors.shape[1]}")
        if self._lists is not None:
            cosines, found = self._lists.search(vector[None], k)
            return [int(index) for index, cosine in zip(found[0], cosines[0], strict=True) if index >= 0 and cosine > 0]
        return _best(vectors @ vector, k)


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


def rankers_of(kind: Retrieval, texts: Sequence[str], embedder: Embedder | None = None) -> list[Ranker]:
    """The rankers of a kind, whose orders :func:`merge_rankings` merges.

    Args:
        embedder: for all kinds but ``bm25``; it stays open as long as they are used.
    """
    if kind == "bm25":
        return [BM25Ranker(texts)]
    if embedder is None:
        raise ValueError(f"{kind} retrieval needs an embedder that is open")
    dense = DenseRanker(texts, embedder)
    return [dense] if kind == "dense" else [BM25Ranker(texts), dense]


class Retriever:
    """Good examples for a query.

    Args:
        examples: the corpus.
        rankers: how similarity is measured; several are merged by reciprocal rank. BM25 by default.
        k_search: examples taken by similarity.
        k_final: examples kept after re-ranking by clicks (ties: the more similar first).
        own_query: whether an example may answer the very query that is searched for.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        *,
        rankers: Sequence[Ranker] = (),
        k_search: int = 20,
        k_final: int = 2,
        own_query: bool = True,
    ):
        self.examples = list(examples)
        self.rankers = list(rankers) or rankers_of("bm25", [example.query for example in self.examples])
        self.k_search = k_search
        self.k_final = k_final
        self.own_query = own_query

    @classmethod
    def of(
        cls,
        examples: Sequence[Example],
        how: RetrievalSettings,
        embedder: Embedder | None = None,
        *,
        own_query: bool = True,
    ) -> Self:
        """A retriever by settings; all kinds but ``bm25`` need the embedder, open."""
        rankers = rankers_of(how.retrieval, [example.query for example in examples], embedder)
        return cls(examples, rankers=rankers, k_search=how.k_search, k_final=how.k_final, own_query=own_query)

    async def ready(self) -> None:
        """Embed the corpus now, so that an embedder which does not work is found out before the first text."""
        for ranker in self.rankers:
            if isinstance(ranker, DenseRanker):
                await ranker.ready()

    async def retrieve(self, query: str, *, exclude: str = "") -> list[Example]:
        """At most ``k_final`` examples; none is ``exclude`` or a near-duplicate of it."""
        rankings = [await ranker.rank(query, 2 * self.k_search) for ranker in self.rankers]
        found = [self.examples[index] for index in merge_rankings(rankings)]
        other = [example for example in found if self.own_query or example.query != query]
        apart = [example for example in other if not near_duplicate(example.response, exclude)][: self.k_search]
        return sorted(apart, key=lambda example: -example.clicks)[: self.k_final]


def without(examples: Sequence[Example], known: Iterable[str]) -> list[Example]:
    """The examples whose text repeats none of the ``known`` ones, exactly or nearly."""
    repeated = repeats(set(known), {example.response for example in examples})
    return [example for example in examples if example.response not in repeated]


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
