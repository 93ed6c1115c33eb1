"""Calls by batch: what is written, what is taken in, and what an error line means."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stub_endpoint import Body, Stub, default_reply

from inkfire.errors import BudgetExceeded, DataError, EndpointDown, ModelCallError
from inkfire.files.jsonl import read_jsonl, write_jsonl
from inkfire.llm import batch as module
from inkfire.llm.base import Message, Reply, Sampling
from inkfire.llm.batch import Batch, BatchClient, Waiting
from inkfire.llm.client import Client
from inkfire.llm.ledger import Ledger
from inkfire.llm.prices import Budget
from inkfire.llm.totals import summarise

SCHEMA = {
    "type": "object",
    "properties": {"judge": {"enum": [0, 1]}},
    "required": ["judge"],
    "additionalProperties": False,
}
URL = "https://api.example.com/v1"
Answer = Callable[[Body], Any]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


def ask(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


async def chat(ledger: Ledger, folder: Path, *texts: str, model: str = "m", **more: Any) -> list[Reply | str]:
    """One run: its replies, ``waiting``, or why a call failed."""
    out: list[Reply | str] = []
    with Batch(folder) as batch:
        async with BatchClient(model, base_url=URL, ledger=ledger, batch=batch) as llm:
            for text in texts:
                try:
                    out.append(await llm.chat(ask(text), **more))
                except Waiting:
                    out.append("waiting")
                except ModelCallError as error:
                    out.append(str(error))
    assert ("waiting" in out) == bool(batch.pending)
    return out


def completion(body: Body, text: str | None = None) -> dict[str, Any]:
    content = json.loads(Stub()._completion(body, default_reply(body) if text is None else text))
    return {"response": {"status_code": 200, "request_id": "r", "body": content}, "error": None}


def refusal(status: int, message: str) -> dict[str, Any]:
    return {"response": {"status_code": status, "body": {"error": {"message": message}}}, "error": None}


EXPIRED = {"response": None, "error": {"code": "batch_expired", "message": "not executed in time"}}


def serve(folder: Path, answer: Answer = completion) -> int:
    """What the service does: answer the last wave; how many requests it had."""
    wave = max(folder.glob("wave-*.jsonl"))
    rows = list(read_jsonl(wave))
    write_jsonl(
        folder / f"batch_{wave.stem}_output.jsonl",
        ({"id": f"batch_req_{i}", "custom_id": row["custom_id"], **answer(row["body"])} for i, row in enumerate(rows)),
    )
    return len(rows)


async def test_requests_are_written_and_answers_taken_in(ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    sampling = Sampling(temperature=0.7, max_tokens=50, seed=3, top_logprobs=2)
    assert await chat(ledger, folder, "a", "b", "a", schema=SCHEMA, sampling=sampling) == ["waiting"] * 3
    (wave,) = folder.glob("*")
    assert wave.name == "wave-001-m.jsonl"
    rows = list(read_jsonl(wave))
    assert [row["body"]["messages"] for row in rows] == [ask("a"), ask("b")]
    assert {(row["method"], row["url"]) for row in rows} == {("POST", "/v1/chat/completions")}
    assert len({row["custom_id"] for row in rows}) == 2
    assert rows[0]["body"].keys() == {
        "model", "messages", "response_format", "max_completion_tokens", "temperature", "seed", "logprobs",
        "top_logprobs",
    }  # fmt: skip
    assert ledger.stats()["calls"] == 0
    serve(folder)
    first, _, third = await chat(ledger, folder, "a", "b", "a", schema=SCHEMA, sampling=sampling)
    assert isinstance(first, Reply)
    assert first.parsed["judge"] in (0, 1)
    assert first.logprobs
    assert isinstance(third, Reply)
    assert third.cached
    assert (ledger.stats()["calls"], ledger.stats()["cached"]) == (3, 1)
    assert ledger.stats()["tokens"] > 0


async def test_a_live_run_finds_what_came_by_batch_and_the_other_way_round(ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    await chat(ledger, folder, "a", schema=SCHEMA)
    (row,) = read_jsonl(folder / "wave-001-m.jsonl")
    serve(folder)
    await chat(ledger, folder, "a", schema=SCHEMA)
    async with Client("m", base_url=URL, ledger=ledger) as llm:
        assert (await llm.chat(ask("a"), schema=SCHEMA)).cached
    assert ledger.find(bytes.fromhex(row["custom_id"])) is not None
    assert [reply.cached for reply in await chat(ledger, tmp_path / "new", "a", schema=SCHEMA)] == [True]  # type: ignore[union-attr]
    assert not (tmp_path / "new").exists()


async def test_what_is_sent_already_is_not_sent_again(ledger: Ledger, tmp_path: Path) -> None:
    await chat(ledger, tmp_path / "batch", "a", "b")
    assert await chat(ledger, tmp_path / "batch", "b", "c") == ["waiting"] * 2
    (row,) = read_jsonl(tmp_path / "batch" / "wave-002-m.jsonl")
    assert row["body"]["messages"] == ask("c")


async def test_an_unparsable_reply_is_asked_again_in_the_next_wave(ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    await chat(ledger, folder, "a", schema=SCHEMA)
    serve(folder, lambda body: completion(body, "hm"))
    assert await chat(ledger, folder, "a", schema=SCHEMA) == ["waiting"]
    (row,) = read_jsonl(folder / "wave-002-m.jsonl")
    assert len(row["body"]["messages"]) == 3
    serve(folder)
    (reply,) = await chat(ledger, folder, "a", schema=SCHEMA)
    assert isinstance(reply, Reply)
    assert reply.parsed


async def test_what_expired_goes_into_the_next_wave_within_a_bound(ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    for answer in (EXPIRED, refusal(503, "overloaded"), refusal(429, "slow down"), EXPIRED, EXPIRED):
        assert await chat(ledger, folder, "a") == ["waiting"]
        assert serve(folder, lambda body, answer=answer: answer) == 1  # type: ignore[misc]
    assert await chat(ledger, folder, "a") == ["m failed in a batch (not run: not executed in time)"]
    serve(folder)  # late, but there: a success counts whatever else there is
    assert isinstance((await chat(ledger, folder, "a"))[0], Reply)


async def test_a_refused_request_has_failed_and_is_data(ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    await chat(ledger, folder, "a", "b")
    serve(folder, lambda body: refusal(400, "too long") if body["messages"] == ask("a") else completion(body))
    failed, fine = await chat(ledger, folder, "a", "b")
    assert failed == "m failed in a batch (400: too long)"
    assert isinstance(fine, Reply)
    assert ledger.stats()["failures"] == 1
    with Ledger(tmp_path / "ledger.sqlite", retry_unscored=True) as anew:
        assert (await chat(anew, folder, "a"))[0] == "waiting"


async def test_a_refusal_in_odd_characters_is_data(ledger: Ledger, tmp_path: Path) -> None:
    await chat(ledger, tmp_path / "batch", "a")
    serve(tmp_path / "batch", lambda body: refusal(400, "no \ud83d"))
    assert await chat(ledger, tmp_path / "batch", "a") == ["m failed in a batch (400: no \ufffd)"]


async def test_an_answer_that_still_lies_there_is_not_paid_for_again(ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    await chat(ledger, folder, "a")
    serve(folder, lambda body: completion(body, ""))
    await chat(ledger, folder, "a")
    for _ in range(2):
        with Ledger(ledger.path, retry_unscored=True) as anew:
            (reply,) = await chat(anew, folder, "a")
            assert isinstance(reply, Reply)
            assert reply.lacking == "the reply is empty"
    assert summarise(ledger.path)[0]["calls"] == 1


async def test_a_feature_that_the_model_lacks_is_left_out_from_then_on(ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    sampling = Sampling(seed=1, top_logprobs=2)
    await chat(ledger, folder, "a", sampling=sampling)
    serve(folder, lambda body: refusal(400, "Unsupported parameter: 'logprobs' is not supported with this model."))
    assert await chat(ledger, folder, "a", "b", sampling=sampling) == ["waiting"] * 2
    bodies = [row["body"] for row in read_jsonl(folder / "wave-002-m.jsonl")]
    assert [("logprobs" in body, body["seed"]) for body in bodies] == [(False, 1)] * 2
    assert await chat(ledger, folder, "a", model="other", sampling=sampling) == ["waiting"]
    (other,) = read_jsonl(folder / "wave-003-other.jsonl")
    assert other["body"]["logprobs"] is True


async def test_a_wrong_account_stops_the_run_and_names_the_line(ledger: Ledger, tmp_path: Path) -> None:
    await chat(ledger, tmp_path, "a")
    serve(tmp_path, lambda body: refusal(404, "The model `m` does not exist"))
    with pytest.raises(EndpointDown, match=r"wave-001-m_output.jsonl:1: it has no such model.*does not exist"):
        await chat(ledger, tmp_path, "a")


async def test_an_answer_that_is_no_completion_has_failed(ledger: Ledger, tmp_path: Path) -> None:
    await chat(ledger, tmp_path, "a")
    serve(tmp_path, lambda body: {"response": {"status_code": 200, "body": {"object": "error"}}})
    assert await chat(ledger, tmp_path, "a") == ["m malformed"]


async def test_each_model_has_its_files_and_none_is_too_long(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_REQUESTS", 2)
    with Batch(tmp_path / "d") as batch:
        for model in ("m", "org/big:1", "org_big_1"):
            async with BatchClient(model, base_url=URL, ledger=ledger, batch=batch) as llm:
                for text in "abcde" if model != "org_big_1" else "a":
                    with pytest.raises(Waiting):
                        await llm.chat(ask(text))
    assert {path.name: n for path, n in batch.written.items()} == {
        "wave-001-m.jsonl": 2, "wave-001-m-2.jsonl": 2, "wave-001-m-3.jsonl": 1,
        "wave-001-org_big_1.jsonl": 2, "wave-001-org_big_1-2.jsonl": 2, "wave-001-org_big_1-3.jsonl": 1,
        "wave-001-org_big_1-4.jsonl": 1,
    }  # fmt: skip
    report = batch.report(3)
    assert (report["waiting"], report["queries_waiting"], sum(report["files"].values())) == (11, 3, 11)
    assert "wave-001-m-2.jsonl: 2 requests to send" in report["next"]


async def test_the_spend_limit_bounds_what_is_written(ledger: Ledger, tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite", budget=Budget(tokens=1000)) as limited:
        with pytest.raises(BudgetExceeded):
            await chat(limited, tmp_path / "d", "a", "b", "c", "d", "e", sampling=Sampling(max_tokens=300))
        assert len(list(read_jsonl(tmp_path / "d" / "wave-001-m.jsonl"))) == 3
    serve(tmp_path / "d")
    with Ledger(tmp_path / "l.sqlite", budget=Budget(tokens=1000)) as limited:  # usage was far below the worst case
        out = await chat(limited, tmp_path / "d", "a", "b", "c", "d", "e", sampling=Sampling(max_tokens=300))
        assert out[3:] == ["waiting"] * 2


async def test_a_run_that_breaks_leaves_no_requests(ledger: Ledger, tmp_path: Path) -> None:
    def interrupted() -> None:
        with Batch(tmp_path / "d") as batch:
            batch.ask(b"k", "m", b"{}")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list((tmp_path / "d").glob("*.jsonl"))


@pytest.mark.parametrize(
    "line",
    [
        '{"query": "a"}',
        '{"custom_id": "mine", "response": {}}',
        '{"custom_id": "ab"}',
        "[1]",
        '{"custom_id": "ab", "method": 1}',
    ],
)
def test_foreign_lines_are_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.jsonl").write_text(f'{{"custom_id": "ab", "error": {{"code": "batch_expired"}}}}\n\n{line}\n')
    with pytest.raises(DataError, match=r"x\.jsonl:3: neither a request"):
        Batch(tmp_path)
