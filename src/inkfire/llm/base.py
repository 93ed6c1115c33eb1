"""The seam every model stands behind: ``async LLM.chat(messages, *, schema, sampling) -> Reply``.

Implementations: ``client.Client`` (any OpenAI-compatible endpoint, the embedded engine included) and
``scripted.ScriptedLLM`` (tests and dry runs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from inkfire.records import Message as Message  # part of the seam

JsonSchema = dict[str, Any]


def object_schema(properties: JsonSchema) -> JsonSchema:
    """An object that has these properties, all of them and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a reply is drawn. All of it is part of the ledger's key.

    ``sample`` tells several draws for one prompt apart; ``top_logprobs`` > 0 asks for that many
    alternatives (natural log) at each output position.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 256
    seed: int | None = None
    sample: int = 0
    top_logprobs: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one reply; ``cached_tokens`` of the prompt came from the server's prefix cache."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    token: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered.

    ``parsed`` is the object when a schema was asked for and the text (after repair and bounded re-asks)
    satisfies it; otherwise None, and ``unparsed`` says why. ``logprobs[i]`` are the alternatives at output
    position i, empty where none were asked for or the endpoint has none. ``lacking`` says what was asked for and did
    not come: an object (``unparsed``) or, without a schema, a text or log-probabilities; ``--retry-unscored`` asks for
    it again. ``cached`` means that the ledger answered and nothing was sent.
    """

    text: str
    parsed: Any = None
    unparsed: str | None = None
    logprobs: tuple[tuple[TokenLogprob, ...], ...] = ()
    usage: Usage = field(default_factory=Usage)
    finish_reason: str = "stop"
    cached: bool = False
    lacking: str | None = None


class LLM(Protocol):
    """A model. ``name`` identifies it in transcripts and manifests. Who opens one closes it.

    Raises:
        ModelCallError: this call failed for good (record it as data).
        BudgetExceeded: the spend limit does not allow the call.
        EndpointDown: the endpoint keeps failing or refuses the credentials.
    """

    @property
    def name(self) -> str: ...

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        schema: JsonSchema | None = None,
        sampling: Sampling = Sampling(),
    ) -> Reply: ...

    async def close(self) -> None:
        """Let what is in flight end, and release connections and engines. Idempotent; nothing is asked after it."""
        ...
