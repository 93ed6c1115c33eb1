from __future__ import annotations

import pytest

from inkfire.errors import ModelCallError
from inkfire.llm.base import Message, Reply, Sampling, TokenLogprob
from inkfire.llm.scripted import ScriptedLLM

ASK: list[Message] = [{"role": "user", "content": "judge"}]
SCHEMA = {"type": "object", "properties": {"judge": {"enum": [0, 1]}}, "required": ["judge"]}


async def test_replies_in_order_and_calls_recorded() -> None:
    llm = ScriptedLLM(["one", Reply("two", logprobs=((TokenLogprob("a", -0.1),),)), ModelCallError("no")])
    assert (await llm.chat(ASK)).text == "one"
    assert (await llm.chat(ASK, sampling=Sampling(top_logprobs=5))).logprobs[0][0].token == "a"
    with pytest.raises(ModelCallError, match="no"):
        await llm.chat(ASK)
    assert [call.messages for call in llm.calls] == [ASK] * 3
    assert llm.calls[1].sampling.top_logprobs == 5
    with pytest.raises(AssertionError, match="call 4 has none"):
        await llm.chat(ASK)


async def test_texts_are_parsed_against_the_schema() -> None:
    llm = ScriptedLLM(lambda messages: '{"judge": 1}' if messages[0]["content"] == "judge" else "hm")
    assert (await llm.chat(ASK, schema=SCHEMA)).parsed == {"judge": 1}
    assert (await llm.chat([{"role": "user", "content": "?"}], schema=SCHEMA)).unparsed == "no JSON object in the reply"


async def test_it_tells_whether_it_was_closed() -> None:
    llm = ScriptedLLM([])
    assert not llm.closed
    await llm.close()
    assert llm.closed


async def test_a_full_reply_is_passed_on() -> None:
    llm = ScriptedLLM([Reply("x", unparsed="refused")])
    assert (await llm.chat(ASK, schema=SCHEMA)).unparsed == "refused"
