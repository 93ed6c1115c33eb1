"""OpenRLHF's own code asks a reward server: run by bench_openrlhf.py in an environment that has it, and aiohttp.

    python benchmarks/openrlhf_client.py URL < texts.json       # [[prompt, response, label], …]

``openrlhf.utils.agent`` is imported without its package's ``__init__``, which wants torch, Ray and DeepSpeed. Around
it stand a tokenizer whose tokens are characters and an engine that writes the response. Prints what the executor made
of each.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class Ids(list[int]):
    def tolist(self) -> list[int]:
        return list(self)


class Characters:
    """A tokenizer: each character is a token."""

    def __call__(self, text: str, **how: Any) -> dict[str, list[Ids]]:
        return {"input_ids": [Ids(map(ord, text))]}

    def decode(self, ids: list[int], **how: Any) -> str:
        return "".join(map(chr, ids))


class Engine:
    """Writes one response."""

    def __init__(self, response: str):
        self.response = response

    async def generate(self, *asked: Any, **how: Any) -> Any:
        ids = [ord(character) for character in self.response]
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=ids, finish_reason="stop", logprobs=None)])


def executor(url: str) -> Any:
    spec = importlib.util.find_spec("openrlhf")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    for name, at in (("openrlhf", folder), ("openrlhf.utils", folder / "utils")):
        module = types.ModuleType(name)
        module.__path__ = [str(at)]
        sys.modules[name] = module
    return importlib.import_module("openrlhf.utils.agent").SingleTurnAgentExecutor(url)


async def main() -> None:
    single = executor(sys.argv[1])
    how = SimpleNamespace(max_tokens=1000, logprobs=None)
    rows = json.load(sys.stdin)
    made = [single.execute(prompt, label, how, 100_000, Characters(), Engine(text)) for prompt, text, label in rows]
    kept = ("reward", "scores", "extra_logs")
    print(json.dumps([{key: row[key] for key in kept} for row in await asyncio.gather(*made)]))


if __name__ == "__main__":
    asyncio.run(main())
