"""Nothing that an endpoint says stops a run or its ledger: from a response's bytes to the next process's recall."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stub_endpoint import Body, Stub

from inkfire.errors import ModelCallError
from inkfire.files.jsonl import read_jsonl, write_jsonl
from inkfire.llm.base import JsonSchema, Message, Reply, Sampling
from inkfire.llm.client import Client
from inkfire.llm.ledger import Ledger
from inkfire.llm.prices import Budget, Price
from inkfire.llm.retry import Retry
from inkfire.llm.totals import summarise

SCHEMA: JsonSchema = {
    "type": "object",
    "properties": {"judge": {"enum": [0, 1]}, "reason": {"type": "string"}},
    "required": ["judge"],
}
ASK: list[Message] = [{"role": "user", "content": "?"}]
CONTRADICTION = '{"\\ud800": 1, "\\ud800": 2}'


class Canned(Client):
    """Its endpoint answers with these bytes, once."""

    def __init__(self, contents: list[bytes], ledger: Ledger) -> None:
        super().__init__("m", base_url="http://x/v1", ledger=ledger, reasks=0, retry=Retry(tries=1), price=Price(1, 1))
        self._contents = contents

    async def _post(self, path: str, body: bytes) -> tuple[bytes, float]:
        return self._contents.pop(), 0.1


async def there_and_back(content: bytes, folder: Path) -> list[Reply]:
    """The replies to three questions, which another process then finds as they were."""
    path = folder / "ledger.sqlite"
    questions = ((None, Sampling()), (SCHEMA, Sampling()), (None, Sampling(top_logprobs=5)))

    async def run(contents: list[bytes]) -> list[Reply | str]:
        out: list[Reply | str] = []
        with Ledger(path, run="r", budget=Budget(tokens=10**12)) as ledger:
            async with Canned(contents, ledger) as llm:
                for schema, sampling in questions:
                    try:
                        out.append(await asyncio.wait_for(llm.chat(ASK, schema=schema, sampling=sampling), 20))
                    except ModelCallError as error:
                        out.append(str(error))
        return out

    first = await run([content] * 3)
    replies = [reply for reply in first if isinstance(reply, Reply)]
    if "malformed" not in str(first):  # the body is no completion at all: nothing to keep
        again = await run([])
        assert [dataclasses.replace(r, cached=False) if isinstance(r, Reply) else r for r in again] == first
        assert summarise(path)[0]["calls"] == 3
    texts = [*first, *map(dataclasses.asdict, replies), summarise(path)]
    json.dumps(texts, ensure_ascii=False, default=dataclasses.asdict, allow_nan=False).encode()
    return replies


def completion(text: Any = "hi", reason: Any = "stop", usage: Any = None, logprobs: Any = None) -> bytes:
    choice = {"message": {"content": text}, "finish_reason": reason, "logprobs": logprobs}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


def position(logprob: Any, token: Any = "a") -> Any:
    return {"content": [{"token": token, "logprob": logprob, "top_logprobs": [{"token": "b", "logprob": -1}]}]}


@pytest.mark.parametrize(
    "content",
    [
        completion(CONTRADICTION),
        completion("\ud800"),
        completion("a\x00b\u2028\ufeff"),
        completion('{"judge": 1, "reason": "\x00\\ud83d"}'),
        completion('{"judge": 1, "' + "k" * 3_000_000 + '": 1}'),
        completion("好" * 3_000_000),
        completion("{" * 100_000),
        completion('{"judge": ' + "1" * 5000 + "}"),
        completion(reason="\udfff"),
        completion(reason={"why": ["\udfff"]}),
        completion(reason="x" * 3_000_000),
        completion(usage={"prompt_tokens": 10**20, "completion_tokens": 10**20}),
        completion(usage={"prompt_tokens": 2**63 - 1, "completion_tokens": 2**63 - 1}),
        completion(usage={"prompt_tokens": 7, "completion_tokens": 10**400}),
        completion(usage={"prompt_tokens": -7, "completion_tokens": 1.5}),
        completion(usage={"prompt_tokens": float("nan"), "completion_tokens": True}),
        completion(usage={"prompt_tokens": 7, "prompt_tokens_details": {"cached_tokens": -(10**20)}}),
        *(completion(logprobs=position(p)) for p in (None, -9999, 10**400, -(10**400), float("-inf"), [[]], 1e308)),
        completion(logprobs=position(-1, "\ud800")),
        completion(logprobs={"content": [position(-1)["content"] * 2] * 3}),
        completion(logprobs={"content": position(-1)["content"] * 2_000}),
        b'{"choices": [{"message": {"content": "' + "好".encode()[:2] + b'"}}]}',
    ],
    ids=lambda content: content[:60].decode(errors="replace").replace("\x00", ""),
)
async def test_a_wild_reply_is_stored_and_found_again(content: bytes, tmp_path: Path) -> None:
    replies = await there_and_back(content, tmp_path)
    assert len(replies) == 3
    assert all(reply.usage.prompt_tokens <= 10**9 for reply in replies)


ODD = st.sampled_from('\ud800\udfff\x00\ufeff\u2028{}[]":,\\')
TEXT = st.text(st.characters() | ODD)
NUMBER = st.integers() | st.floats() | st.sampled_from([10**20, -(10**20), 2**63, 10**400, -9999, True, None, "7"])
ANYTHING = st.recursive(
    NUMBER | TEXT, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=8
)
OBJECTS = st.lists(st.tuples(TEXT | st.sampled_from(["judge", "reason", "\ud800"]), ANYTHING), max_size=4).map(
    lambda pairs: "{" + ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in pairs) + "}"
)
ALTERNATIVE = st.fixed_dictionaries({}, optional={"token": TEXT | ANYTHING, "logprob": NUMBER})
POSITION = st.tuples(ALTERNATIVE, st.lists(ALTERNATIVE, max_size=3) | ANYTHING).map(
    lambda both: both[0] | {"top_logprobs": both[1]}
)
LOGPROBS = ANYTHING | st.fixed_dictionaries({"content": st.lists(POSITION | ANYTHING, max_size=3)})
COUNTS = st.fixed_dictionaries(
    {}, optional={"prompt_tokens": NUMBER, "completion_tokens": NUMBER, "prompt_tokens_details": ANYTHING}
)


@settings(max_examples=60)
@given(st.builds(completion, TEXT | OBJECTS, TEXT | ANYTHING, COUNTS | ANYTHING, LOGPROBS))
def test_any_reply_is_stored_and_found_again(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(there_and_back(content, Path(folder)))


async def test_a_refusal_in_odd_characters_is_data(tmp_path: Path) -> None:
    refused = (400, {"error": {"message": "no \ud83d", "type": "\ud83d", "code": {"\ud83d": 10**20}}})
    async with Stub(reply=lambda body: refused) as stub:
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            async with Client("m", base_url=stub.url, ledger=ledger) as llm:
                with pytest.raises(ModelCallError, match="no �"):
                    await llm.chat(ASK)


async def test_a_whole_command_goes_on_after_a_wild_reply(tmp_path: Path) -> None:
    """As a user types it, and typed again: the verdict is unscored, counted, and kept."""

    def reply(body: Body) -> str:
        wild = "the wild one" in str(body["messages"])  # also when it is asked again
        return CONTRADICTION if wild else '{"reason": "\\ud800", "judge": 1}'

    rows = [{"query": "a wish", "response": f"May it be {name}."} for name in ("the wild one", "good", "better")]
    write_jsonl(tmp_path / "texts.jsonl", rows)
    out = tmp_path / "runs" / "judge"
    async with Stub(reply=reply) as stub:
        command = [sys.executable, "-m", "inkfire", "judge", "--task", "greetings-en", "--model", "x"]
        command += ["--mode", "verdict", "--qualify", "0", "--base-url", stub.url]
        command += ["--data", str(tmp_path / "texts.jsonl")]
        command += ["--out", str(out), "--json"]
        for asked in (5, 5):  # the wild one three times
            process = await asyncio.create_subprocess_exec(
                *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "OPENAI_API_KEY": "k"}
            )
            try:
                told, complaints = await asyncio.wait_for(process.communicate(), 60)
            finally:
                if process.returncode is None:
                    process.kill()
            assert process.returncode == 0, complaints.decode()
            result = json.loads(told)
            assert (result["n"], result["scored"], result["unscored"]) == (3, 2, 1)
            assert len(stub.log) == asked
    wild, *others = read_jsonl(out / "verdicts.jsonl")
    assert (wild["label"], wild["unscored"]) == (None, "the reply contradicts itself on �")
    assert [row["label"] for row in others] == [1, 1]
    with Ledger(out.parent / ".inkfire" / "ledger.sqlite") as ledger:
        assert ledger.stats()["calls"] == 0
    assert summarise(ledger.path)[0]["unparsed"] == 3
