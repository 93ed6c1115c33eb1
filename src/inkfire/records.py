"""The shared vocabulary: small frozen records whose field names are the same in JSON.

>>> Query.of("给外婆的八十大寿祝福").query
'给外婆的八十大寿祝福'
>>> Verdict(label=None, unscored="refused").scored
False
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

Label = Literal[0, 1]


def text_id(text: str) -> str:
    """A short stable id of a text: the first 12 hex digits of its SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


class Message(TypedDict):
    """One turn of a conversation with a model."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Query:
    """What a user asks for. ``tags`` carry the slice (for instance ``high-frequency``, ``spring``)."""

    id: str
    query: str
    tags: tuple[str, ...] = ()

    @classmethod
    def of(cls, query: str, tags: tuple[str, ...] = ()) -> Query:
        return cls(id=text_id(query), query=query, tags=tags)

    @property
    def number(self) -> int:
        """The id as a number: what a query is told apart and shared out by."""
        return int(self.id, 16)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One response to one query. ``source`` names the writer that wrote it."""

    query: str
    response: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A text that a policy wrote while it was trained, at a step. What nobody knows of it is None.

    ``fluency`` is its log-probability a token under a frozen model, ``relevance`` how much likelier a token is after
    its own query than after others.
    """

    step: int
    query: str
    response: str
    reward: float | None = None
    truncated: bool | None = None
    fluency: float | None = None
    relevance: float | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A good text for retrieval; ``clicks`` is its popularity."""

    query: str
    response: str
    clicks: int = 0


@dataclass(frozen=True, slots=True)
class Critique:
    """One side of a debate: ``points`` maps a point to its reason."""

    stance: Literal["positive", "negative"]
    points: dict[str, str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement of one text.

    ``label`` is 1 (good), 0 (bad) or None when the text could not be scored; ``unscored`` then says why.
    ``probability`` is P(good) where the judge gives one. ``principles`` is the version of the principle
    set the judge used (empty where it used none). ``injection`` names the rules by which the text was suspected of
    telling the judge what to answer (empty for all others). ``points`` are those of each dimension of the rubric, by a
    judge that rates by it.
    """

    label: Label | None
    probability: float | None = None
    reason: str = ""
    unscored: str | None = None
    principles: str = ""
    injection: str = ""
    points: Mapping[str, int] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        if (self.label is None) != (self.unscored is not None):
            raise ValueError("a verdict has either a label or the reason why it has none")

    @property
    def scored(self) -> bool:
        return self.label is not None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Which of two responses is better: ``a``, ``b`` or ``tie``; None when it could not be told (``unscored``).

    ``place`` is the place that won in both orders where that made a tie: 1 the first text, 2 the second.
    """

    winner: Literal["a", "b", "tie"] | None
    reason: str = ""
    unscored: str | None = None
    place: Literal[1, 2] | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """The texts of a group by their places in it: ``order`` the best first, None where it could not be told
    (``unscored``). ``shown`` is the order in which they were shown; ``last`` are the suspected ones, which were not:
    they stand together behind all others."""

    order: tuple[int, ...] | None
    shown: tuple[int, ...] = ()
    last: tuple[int, ...] = ()
    unscored: str | None = None


@dataclass(frozen=True, slots=True)
class Preference:
    """``chosen`` is preferred over ``rejected`` as a response to ``query``."""

    query: str
    chosen: str
    rejected: str
    provenance: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A response with a label, 1 good or 0 bad, and who gave it."""

    query: str
    response: str
    label: Label
    annotator: str = ""


@dataclass(frozen=True, slots=True)
class Rating:
    """What a text got: the points of each dimension of its task's rubric (``tasks/rubric.py`` reads and weighs it)."""

    points: dict[str, int]


RewardKind = Literal["reward model", "judge", "check", "likelihood"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who scores, whatever it is called and wherever it lies: one elementary reward.

    ``sha256`` is over what decides its scores (``rewards/identity.py``), empty where that is not known; ``model`` and
    ``mode`` are a judge's. ``name`` is for people and tells nothing apart.
    """

    kind: RewardKind
    name: str = field(compare=False)
    sha256: str = ""
    model: str | None = None
    mode: str | None = None

    def same(self, other: Identity) -> bool:
        """Whether both are one reward; one that is not known may be any of its kind."""
        known = self.sha256 and other.sha256
        return self.kind == other.kind and (self.sha256 == other.sha256 or not known)


def to_json(record: Any) -> dict[str, Any]:
    """A record as a JSON object: fields in declaration order, tuples as lists, empty optionals left in."""
    out = dataclasses.asdict(record)
    return {k: list(v) if isinstance(v, tuple) else v for k, v in out.items()}
