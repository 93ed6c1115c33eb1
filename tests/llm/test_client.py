"""The client against the stub endpoint: what is sent, what is kept, what is asked again and what is given up."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from stub_endpoint import Body, Faults, Stub

from inkfire.errors import BudgetExceeded, EndpointDown, InputError, ModelCallError
from inkfire.llm.base import Message, Reply, Sampling
from inkfire.llm.client import Client
from inkfire.llm.ledger import Ledger
from inkfire.llm.prices import Budget, Price
from inkfire.llm.retry import Retry
from inkfire.llm.totals import summarise

SCHEMA = {
    "type": "object",
    "properties": {"judge": {"enum": [0, 1]}, "reason": {"type": "string"}},
    "required": ["judge", "reason"],
    "additionalProperties": False,
}
FAST = Retry(first=0.001, longest=0.01)


def ask(text: str = "好吗") -> list[Message]:
    return [{"role": "system", "content": "You judge."}, {"role": "user", "content": text}]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


def client(stub: Stub, ledger: Ledger | None = None, **more: Any) -> Client:
    return Client("stub", base_url=stub.url, ledger=ledger, **{"retry": FAST, **more})


def script(*answers: Any) -> Callable[[Body], Any]:
    """Replies in order, the last one for ever."""
    left = list(answers)
    return lambda body: left.pop(0) if len(left) > 1 else left[0]


def refused(message: str, status: int = 400, code: str | None = None) -> tuple[int, Body]:
    return status, {"error": {"message": message, "type": "invalid_request_error", "code": code}}


# ---- one call --------------------------------------------------------------------------------------------------------


async def test_a_reply_is_parsed_and_kept(ledger: Ledger) -> None:
    async with Stub() as stub:
        async with client(stub, ledger) as llm:
            first = await llm.chat(ask(), schema=SCHEMA)
            again = await llm.chat(ask(), schema=SCHEMA)
        assert first.parsed["judge"] in (0, 1)
        assert not first.cached
        assert again.cached
        assert again.parsed == first.parsed
        assert again.usage == first.usage
        assert len(stub.log) == 1
        stats = ledger.stats()
        assert (stats["calls"], stats["cached"], stats["failures"]) == (2, 1, 0)
        assert stats["tokens"] == first.usage.prompt_tokens + first.usage.completion_tokens


async def test_another_process_is_answered_by_the_ledger_without_an_endpoint(tmp_path: Path) -> None:
    async with Stub() as stub:
        with Ledger(tmp_path / "l.sqlite") as ledger:
            async with client(stub, ledger, model_key="m") as llm:
                first = await llm.chat(ask(), sampling=Sampling(top_logprobs=2))
    with Ledger(tmp_path / "l.sqlite") as ledger:
        async with Client("stub", base_url="http://127.0.0.1:9/v1", model_key="m", ledger=ledger) as llm:
            again = await llm.chat(ask(), sampling=Sampling(top_logprobs=2))
    assert again.logprobs == first.logprobs != ()
    assert again.text == first.text


async def test_another_port_or_path_is_the_same_model(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite") as ledger:
        async with Stub() as stub, Client("stub", base_url=stub.url, ledger=ledger) as llm:
            first = await llm.chat(ask())
        async with Client("stub", base_url="http://127.0.0.1:9/other/v1", ledger=ledger) as llm:
            assert (await llm.chat(ask())).text == first.text


async def test_what_an_earlier_version_paid_for_is_found(tmp_path: Path) -> None:
    """It told models apart by the whole URL."""
    with Ledger(tmp_path / "l.sqlite") as ledger:
        async with (
            Stub() as stub,
            Client("stub", base_url=stub.url, model_key=f"{stub.url} stub", ledger=ledger) as llm,
        ):
            first = await llm.chat(ask(), schema=SCHEMA)
            url = stub.url
        async with Client("stub", base_url=url, ledger=ledger) as llm:
            again = await llm.chat(ask(), schema=SCHEMA)
        assert (again.text, again.cached) == (first.text, True)
        assert ledger.stats()["cached"] == 1


@pytest.mark.parametrize(
    "other",
    [
        {"messages": ask("好吗？")},
        {"schema": {**SCHEMA, "title": "x"}},
        {"sampling": Sampling(temperature=0.7)},
        {"sampling": Sampling(seed=1)},
        {"sampling": Sampling(sample=1)},
        {"sampling": Sampling(max_tokens=7)},
        {"sampling": Sampling(top_logprobs=3)},
    ],
)
async def test_everything_that_is_asked_is_part_of_the_key(ledger: Ledger, other: dict[str, Any]) -> None:
    async with Stub() as stub, client(stub, ledger) as llm:
        await llm.chat(ask(), schema=SCHEMA)
        reply = await llm.chat(**{"messages": ask(), "schema": SCHEMA, **other})
        assert not reply.cached
        assert len(stub.log) == 2


async def test_integers_and_floats_are_the_same_question(ledger: Ledger) -> None:
    async with Stub() as stub, client(stub, ledger) as llm:
        await llm.chat(ask(), sampling=Sampling(temperature=1, top_p=1))
        assert (await llm.chat(ask(), sampling=Sampling(temperature=1.0, top_p=1.0))).cached


async def test_identical_calls_in_flight_are_one_request(ledger: Ledger) -> None:
    async with Stub(latency=0.05) as stub, client(stub, ledger) as llm:
        replies = await asyncio.gather(*(llm.chat(ask(), schema=SCHEMA) for _ in range(20)))
        assert len(stub.log) == 1
        assert sum(reply.cached for reply in replies) == 19
        assert len({reply.text for reply in replies}) == 1
        assert ledger.stats()["calls"] == 20


async def test_one_waiter_may_be_cancelled_and_the_others_get_their_reply(ledger: Ledger) -> None:
    async with Stub(latency=0.05) as stub, client(stub, ledger) as llm:
        tasks = [asyncio.ensure_future(llm.chat(ask())) for _ in range(3)]
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1].text == results[2].text  # type: ignore[union-attr]


async def test_a_cancelled_call_that_is_being_paid_for_is_kept(ledger: Ledger) -> None:
    async with Stub(latency=0.1) as stub:
        async with client(stub, ledger, concurrency=2) as llm:
            await llm.chat(ask("the first goes alone"))
            stub.log.clear()
            tasks = [asyncio.ensure_future(llm.chat(ask(str(i)))) for i in range(10)]
            await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert len(stub.log) == 2  # those in flight; the others were never sent
        assert ledger.stats()["calls"] == 3  # the first one, and they
        async with client(stub, ledger) as llm:
            assert (await llm.chat(ask("0"))).cached


async def test_a_failure_that_nobody_waits_for_any_more_is_not_complained_about(ledger: Ledger) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with Stub(latency=0.05, api_key="right") as stub, client(stub, ledger) as llm:
        call = asyncio.ensure_future(llm.chat(ask()))
        await asyncio.sleep(0.02)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        while llm._in_flight:  # noqa: ASYNC110  # the 401 comes before the client is closed; nothing may look at it
            await asyncio.sleep(0.01)
    assert len(stub.log) == 1
    del call
    gc.collect()
    assert complaints == []


async def test_without_a_ledger_nothing_is_kept() -> None:
    async with Stub() as stub, client(stub) as llm:
        assert not (await llm.chat(ask())).cached
        assert not (await llm.chat(ask())).cached
        assert len(stub.log) == 2


# ---- replies that do not satisfy the schema --------------------------------------------------------------------------


async def test_an_unparsable_reply_is_asked_again_with_what_was_wrong(ledger: Ledger) -> None:
    async with Stub(reply=script("I think it is good.", '{"judge": 1, "reason": "a"}')) as stub:
        async with client(stub, ledger) as llm:
            assert (await llm.chat(ask(), schema=SCHEMA)).parsed == {"judge": 1, "reason": "a"}
            assert (await llm.chat(ask(), schema=SCHEMA)).cached
        told = stub.log[1].body["messages"][2:]
        assert told[0] == {"role": "assistant", "content": "I think it is good."}
        assert "no JSON object" in told[1]["content"]
        assert len(stub.log) == 2
        assert ledger.stats()["unparsed"] == 1


async def test_asking_again_is_bounded_and_never_a_default(ledger: Ledger) -> None:
    async with Stub(reply=script("hm")) as stub, client(stub, ledger, reasks=2) as llm:
        for _ in range(2):
            reply = await llm.chat(ask(), schema=SCHEMA)
            assert reply.parsed is None
            assert reply.unparsed == "no JSON object in the reply"
        assert reply.cached
        assert len(stub.log) == 3


async def test_an_interrupted_series_goes_on_where_it_was(tmp_path: Path) -> None:
    async with Stub(reply=script("hm", "hm", '{"judge": 0, "reason": ""}')) as stub:
        with Ledger(tmp_path / "l.sqlite") as ledger:
            async with client(stub, ledger, reasks=0) as llm:
                assert (await llm.chat(ask(), schema=SCHEMA)).unparsed
        with Ledger(tmp_path / "l.sqlite") as ledger:
            async with client(stub, ledger, reasks=2) as llm:
                assert (await llm.chat(ask(), schema=SCHEMA)).parsed == {"judge": 0, "reason": ""}
        assert len(stub.log) == 3
        assert len(stub.log[1].body["messages"]) == 4


async def test_retry_unscored_asks_anew_once_a_process(tmp_path: Path) -> None:
    async with Stub(reply=script("hm", "hm", '{"judge": 0, "reason": ""}', "hm")) as stub:
        for retry_unscored in (False, False, True, True):
            with Ledger(tmp_path / "l.sqlite", retry_unscored=retry_unscored) as ledger:
                async with client(stub, ledger, reasks=1) as llm:
                    last = await llm.chat(ask(), schema=SCHEMA)
        assert last.parsed == {"judge": 0, "reason": ""}
        assert last.cached
        assert len(stub.log) == 3
        with Ledger(tmp_path / "l.sqlite", retry_unscored=True) as ledger:
            async with client(stub, ledger, reasks=1) as llm:
                for _ in range(3):
                    assert (await llm.chat(ask("other"), schema=SCHEMA)).unparsed
        assert len(stub.log) == 5


@pytest.mark.parametrize(
    ("lacks", "has", "sampling", "why"),
    [
        ("", "祝您平安", Sampling(), "the reply is empty"),
        ("<think>0 or", "祝您平安", Sampling(), "the reply is empty"),
        ("好", "好", Sampling(top_logprobs=2), "the reply has no log-probabilities"),
    ],
)
async def test_what_a_reply_lacks_is_asked_for_again_once_a_process(
    tmp_path: Path, lacks: str, has: str, sampling: Sampling, why: str
) -> None:
    path = tmp_path / "l.sqlite"
    bare = {"choices": [{"message": {"content": lacks}}], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}
    async with Stub(reply=script((200, bare), (200, bare), has)) as stub:

        async def run(*, retry_unscored: bool) -> list[Reply]:
            with Ledger(path, retry_unscored=retry_unscored) as ledger:
                async with client(stub, ledger) as llm:
                    return [await llm.chat(ask(), sampling=sampling) for _ in range(3)]

        for retry_unscored, asked in ((False, 1), (False, 1), (True, 2)):
            replies = await run(retry_unscored=retry_unscored)
            assert [(reply.text, reply.lacking) for reply in replies] == [(replies[0].text, why)] * 3
            assert len(stub.log) == asked
        replies = await run(retry_unscored=True) + await run(retry_unscored=True) + await run(retry_unscored=False)
        assert [(reply.text, reply.lacking) for reply in replies] == [(has, None)] * 9
        assert len(stub.log) == 3
    (total,) = summarise(path)
    assert (total["calls"], total["unparsed"]) == (3, 2)
    assert total["prompt_tokens"] > 20


async def test_an_object_without_log_probabilities_is_not_asked_for_again(tmp_path: Path) -> None:
    body = {"choices": [{"message": {"content": '{"judge": 0, "reason": ""}'}}]}
    async with Stub(reply=script((200, body))) as stub:
        for _ in range(2):
            with Ledger(tmp_path / "l.sqlite", retry_unscored=True) as ledger:
                async with client(stub, ledger) as llm:
                    reply = await llm.chat(ask(), schema=SCHEMA, sampling=Sampling(top_logprobs=2))
                    assert (reply.parsed, reply.lacking) == ({"judge": 0, "reason": ""}, None)
        assert len(stub.log) == 1


async def test_a_refusal_is_never_a_text(ledger: Ledger) -> None:
    body = {"choices": [{"message": {"content": None, "refusal": "I will not."}, "finish_reason": "stop"}]}
    async with Stub(reply=script((200, body))) as stub, client(stub, ledger, reasks=1) as llm:
        assert (await llm.chat(ask(), schema=SCHEMA)).unparsed == "refused: I will not."
        for _ in range(2):
            with pytest.raises(ModelCallError, match="stub refused: I will not"):
                await llm.chat(ask())
        assert len(stub.log) == 3


async def test_thinking_is_stripped_and_kept_in_the_ledger(ledger: Ledger) -> None:
    async with Stub(reply=script("<think>0 or 1?</think>祝您平安")) as stub, client(stub, ledger) as llm:
        assert (await llm.chat(ask())).text == "祝您平安"
        assert (await llm.chat(ask())).text == "祝您平安"


async def test_lone_surrogates_can_be_sent_and_received(ledger: Ledger) -> None:
    async with Stub(reply=script("a\ud800b")) as stub, client(stub, ledger) as llm:
        assert (await llm.chat(ask("x\ud83dy"))).text == "a�b"
        assert stub.log[0].body["messages"][1]["content"] == "x�y"


# ---- endpoints differ ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unsupported", "lacking"),
    [
        (("chat_template_kwargs",), {"thinking_off"}),
        (("seed",), {"seed"}),
        (("logprobs",), {"logprobs"}),
        (("response_format",), {"json_schema", "json_object"}),
        (
            ("chat_template_kwargs", "seed", "logprobs", "max_tokens", "temperature"),
            {"thinking_off", "seed", "logprobs"},
        ),
    ],
)
async def test_what_an_endpoint_lacks_is_found_out_once(
    unsupported: tuple[str, ...], lacking: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    sampling = Sampling(seed=1, top_logprobs=3)
    caplog.set_level(logging.WARNING)
    async with Stub(unsupported=unsupported, reply=script('{"judge": 1, "reason": ""}')) as stub, client(stub) as llm:
        reply = await llm.chat(ask("a"), schema=SCHEMA, sampling=sampling)
        first = len(stub.log)
        await llm.chat(ask("b"), schema=SCHEMA, sampling=sampling)
        assert len(stub.log) == first + 1
        assert llm.lacking >= lacking
        assert llm.lacking - lacking <= {"max_tokens", "temperature"}
    assert reply.parsed == {"judge": 1, "reason": ""}
    assert (reply.logprobs == ()) == ("logprobs" in lacking)
    assert "does not take" in caplog.text


async def test_the_schema_goes_into_the_prompt_where_the_server_has_none() -> None:
    async with Stub(unsupported=("response_format",), reply=script('{"judge": 1, "reason": ""}')) as stub:
        async with client(stub) as llm:
            await llm.chat(ask("a"), schema=SCHEMA)
        assert json.dumps(SCHEMA) in stub.log[-1].body["messages"][-1]["content"]


async def test_json_object_mode_is_the_step_between() -> None:
    def reply(body: Body) -> Any:
        if body["response_format"]["type"] == "json_schema":
            return refused("This response_format type is unavailable now")
        return '{"judge": 1, "reason": ""}'

    async with Stub(reply=reply) as stub, client(stub) as llm:
        await llm.chat(ask("a"), schema=SCHEMA)
        assert stub.log[-1].body["response_format"] == {"type": "json_object"}
        assert llm.lacking == {"json_schema"}


async def test_an_unnamed_refusal_is_traced_feature_by_feature() -> None:
    def reply(body: Body) -> Any:
        return refused("bad request") if "seed" in body or "chat_template_kwargs" in body else "fine"

    async with Stub(reply=reply) as stub, client(stub) as llm:
        assert (await llm.chat(ask("a"), sampling=Sampling(seed=1))).text == "fine"
        assert llm.lacking == {"thinking_off", "seed"}


async def test_a_refused_request_is_data_and_blames_no_feature() -> None:
    def reply(body: Body) -> Any:
        return refused("context length exceeded") if len(body["messages"][1]["content"]) > 100 else "fine"

    async with Stub(reply=reply) as stub, client(stub) as llm:
        await llm.chat(ask("short"))
        with pytest.raises(ModelCallError, match="context length exceeded"):
            await llm.chat(ask("long" * 100))
        assert llm.lacking == frozenset()
        assert len(stub.log) == 2


async def test_a_content_filter_is_data_at_once(ledger: Ledger) -> None:
    answer = refused("The response was filtered", code="content_filter")
    async with Stub(reply=script(answer)) as stub, client(stub, ledger) as llm:
        with pytest.raises(ModelCallError, match="filtered"):
            await llm.chat(ask())
        assert len(stub.log) == 1
        assert ledger.stats()["failures"] == 1


async def test_usage_that_is_not_reported_is_estimated_and_marked(ledger: Ledger) -> None:
    async with Stub(usage=False) as stub, client(stub, ledger) as llm:
        assert (await llm.chat(ask())).usage.completion_tokens > 0
    assert ledger._reader.execute("SELECT estimated FROM replies").fetchone() == (1,)


# ---- failures --------------------------------------------------------------------------------------------------------


async def test_faults_are_retried_and_counted(ledger: Ledger) -> None:
    async with (
        Stub(reply=script((500, {}), (503, {}), (408, {}), (409, {}), (429, {}), "fine")) as stub,
        client(stub, ledger) as llm,
    ):
        assert (await llm.chat(ask())).text == "fine"
        assert ledger.stats()["faults"] == {"408": 1, "409": 1, "429": 1, "500": 1, "503": 1}
        assert ledger.stats()["failures"] == 0
        assert len(stub.log) == 6


async def test_a_call_that_keeps_failing_is_a_typed_error(ledger: Ledger) -> None:
    def reply(body: Body) -> Any:
        return (500, {}) if "poison" in body["messages"][1]["content"] else "fine"

    async with Stub(reply=reply) as stub, client(stub, ledger, retry=Retry(tries=3, first=0.001)) as llm:
        await llm.chat(ask("good"))
        with pytest.raises(ModelCallError, match="stub failed 3 times, last with 500"):
            await llm.chat(ask("poison"))
        assert len(stub.log) == 4
        assert ledger.stats()["failures"] == 1


async def test_an_endpoint_that_only_fails_is_down(ledger: Ledger) -> None:
    async with Stub(reply=script((500, {}))) as stub, client(stub, ledger, retry=Retry(tries=3, first=0.001)) as llm:
        results = await asyncio.gather(*(llm.chat(ask(str(i))) for i in range(8)), return_exceptions=True)
    down = [result for result in results if isinstance(result, EndpointDown)]
    assert down
    assert "keeps failing" in str(down[0])
    assert down[0].exit_code == 4


@pytest.mark.parametrize(
    ("answer", "fix"),
    [
        (refused("Incorrect API key", 401), "OPENAI_API_KEY"),
        (refused("forbidden", 403), "permissions"),
        (refused("no such model", 404), "--base-url"),
        (refused("You exceeded your quota", 429, "insufficient_quota"), "billing"),
        ((302, {}), "--base-url"),
    ],
)
async def test_what_the_user_must_fix_is_said_at_once(answer: Any, fix: str) -> None:
    async with Stub(reply=script(answer)) as stub, client(stub) as llm:
        with pytest.raises(EndpointDown, match=fix):
            await llm.chat(ask())
        assert len(stub.log) == 1


async def test_an_address_where_nobody_answers_is_said_soon() -> None:
    async with Client("m", base_url="http://127.0.0.1:9/v1", retry=FAST) as llm:
        with pytest.raises(EndpointDown, match="cannot be reached: is it running"):
            await llm.chat(ask())


def test_an_address_that_is_none() -> None:
    with pytest.raises(InputError, match="--base-url"):
        Client("m", base_url="api.example.com")


async def test_a_hanging_request_is_tried_again_after_its_deadline(ledger: Ledger) -> None:
    async with Stub(faults=Faults(hang=0.5)) as stub, client(stub, ledger, deadline=0.1) as llm:
        await asyncio.gather(*(llm.chat(ask(str(i))) for i in range(10)))
        assert ledger.stats()["faults"]["timeout"] > 0


async def test_the_deadline_starts_with_the_request_not_with_the_queue(ledger: Ledger) -> None:
    async with Stub(latency=0.05) as stub, client(stub, ledger, deadline=0.2, concurrency=1) as llm:
        await asyncio.gather(*(llm.chat(ask(str(i))) for i in range(10)))
    assert ledger.stats()["faults"] == {}


async def test_retry_after_is_honoured_by_all(ledger: Ledger) -> None:
    first = script((429, {}, {"Retry-After": "0.3"}), "fine")
    async with Stub(reply=first) as stub, client(stub, ledger, concurrency=4) as llm:
        await llm.chat(ask("0"))
        for i in range(1, 5):
            await llm.chat(ask(str(i)))
    assert stub.log[0].answered is not None
    assert all(request.arrived - stub.log[0].answered >= 0.29 for request in stub.log[1:])


async def test_a_retry_after_that_is_too_long_stops_the_run() -> None:
    async with Stub(reply=script((429, {}, {"Retry-After": "7200"}))) as stub, client(stub) as llm:
        with pytest.raises(EndpointDown, match="asks to wait 7200 s"):
            await llm.chat(ask())


async def test_everything_at_once_ends_complete(ledger: Ledger) -> None:
    """10 % 500s, 5 % 429, 2 % resets, 1 % hangs, 5 % malformed bodies: complete, and each failure is counted."""
    faults = Faults(http_500=0.10, http_429=0.05, reset=0.02, hang=0.01, malformed=0.05, retry_after=0.02)
    stub = Stub(latency=0.002, sigma=0.6, capacity=64, faults=faults)
    async with stub, client(stub, ledger, concurrency=64, deadline=1.0) as llm:
        replies = await asyncio.gather(*(llm.chat(ask(str(i)), schema=SCHEMA) for i in range(600)))
    assert all(reply.parsed is not None for reply in replies)
    names = {"500": "http_500", "429": "http_429", "connection": "reset", "timeout": "hang", "malformed": "malformed"}
    seen = ledger.stats()["faults"]
    injected = {kind: sum(request.fault == fault for request in stub.log) for kind, fault in names.items()}
    late = seen["timeout"] - injected["timeout"]  # on a busy machine an answer may miss the deadline
    assert late >= 0
    assert all(injected[kind] > 0 and injected[kind] - late <= seen[kind] <= injected[kind] + late for kind in names)
    assert ledger.stats()["failures"] == 0
    assert stub.most_in_service <= 64


# ---- concurrency and connections -------------------------------------------------------------------------------------


async def test_concurrency_is_bounded_and_connections_are_reused() -> None:
    async with Stub(latency=0.005) as stub, client(stub, concurrency=8) as llm:
        await asyncio.gather(*(llm.chat(ask(str(i))) for i in range(200)))
        assert stub.most_in_service == 8
        assert stub.connections_made == 8


async def test_256_in_flight() -> None:
    async with Stub(latency=1.5) as stub, client(stub, concurrency=256) as llm:
        await asyncio.gather(*(llm.chat(ask(str(i))) for i in range(300)))
        assert stub.most_in_service == 256


async def test_concurrency_adapts_to_an_overloaded_endpoint(ledger: Ledger) -> None:
    """An endpoint that takes 4 + 4 and answers 429 to everybody else: all calls still end."""
    stub = Stub(latency=0.01, capacity=4, queue=4, faults=Faults(retry_after=0.02))
    async with stub, client(stub, ledger, concurrency=64) as llm:
        await asyncio.gather(*(llm.chat(ask(str(i))) for i in range(200)))
    assert ledger.stats()["failures"] == 0
    assert 0 < ledger.stats()["faults"]["429"] < 200


# ---- money -----------------------------------------------------------------------------------------------------------


def spent(path: Path, budget: Budget | None, prices: dict[str, Price]) -> AbstractContextManager[Ledger]:
    return Ledger(path, run="r", budget=budget, prices=prices)


async def test_the_limit_is_kept_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    prices = {"stub": Price(prompt=1000.0, completion=1000.0)}
    sampling = Sampling(max_tokens=30)
    async with Stub(latency=0.01) as stub:
        with spent(tmp_path / "l.sqlite", Budget(money=0.5), prices) as ledger:
            async with client(stub, ledger, concurrency=8) as llm:
                calls = (llm.chat(ask(str(i)), sampling=sampling) for i in range(100))
                results = await asyncio.gather(*calls, return_exceptions=True)
            stopped = [result for result in results if isinstance(result, BudgetExceeded)]
            assert stopped
            assert len(stopped) + ledger.stats()["calls"] == 100
            assert 0.4 < ledger.stats()["cost"] <= 0.5
            asked = len(stub.log)
            assert asked == ledger.stats()["calls"]
        with spent(tmp_path / "l.sqlite", Budget(money=0.5), prices) as ledger:  # the same limit: nothing more is sent
            async with client(stub, ledger) as llm:
                calls = (llm.chat(ask(str(i)), sampling=sampling) for i in range(100))
                results = await asyncio.gather(*calls, return_exceptions=True)
            assert len(stub.log) - asked <= 1
        with spent(tmp_path / "l.sqlite", Budget(money=50.0), prices) as ledger:
            async with client(stub, ledger) as llm:
                await asyncio.gather(*(llm.chat(ask(str(i)), sampling=sampling) for i in range(100)))
        assert len(stub.log) == 100


async def test_a_free_model_needs_no_price(tmp_path: Path) -> None:
    async with Stub() as stub:
        with Ledger(tmp_path / "l.sqlite", budget=Budget(money=1.0)) as ledger:
            with pytest.raises(InputError, match="price"):
                client(stub, ledger)
            async with client(stub, ledger, price=Price(0, 0)) as llm:
                await llm.chat(ask())
            assert ledger.stats()["cost"] == 0.0


async def test_a_ledger_that_cannot_be_written_stops_before_money_is_spent(ledger: Ledger) -> None:
    async with Stub(reply=script("short", "x" * 50_000)) as stub, client(stub, ledger) as llm:
        await llm.chat(ask("before"))
        ledger._writer.execute("PRAGMA max_page_count = 1")
        with pytest.raises(InputError, match="disk is full"):
            await llm.chat(ask("long"))
        sent = len(stub.log)
        with pytest.raises(InputError):
            await llm.chat(ask("another"))
        assert len(stub.log) == sent
        assert (await llm.chat(ask("before"))).cached


async def test_closing_runs_the_callback_once() -> None:
    closed = []
    async with Stub() as stub:
        llm = client(stub, on_close=lambda: closed.append(True))
        await llm.chat(ask())
        await llm.close()
        await llm.close()
    assert closed == [True]


def test_credentials_in_the_address_are_kept_out_of_the_key() -> None:
    llm = Client("m", base_url="https://user:secret@api.example.com/v1")
    assert "secret" not in llm.model_key
    assert llm.model_key == "api.example.com m"
