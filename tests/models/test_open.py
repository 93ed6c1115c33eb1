"""A name becomes a client: the embedded engine's or an endpoint's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inkfire.errors import InputError, ModelNameError
from inkfire.llm.base import Message, Sampling
from inkfire.llm.ledger import Ledger
from inkfire.llm.pace import Pace
from inkfire.llm.prices import FREE, Budget
from inkfire.models import engine, store
from inkfire.models.open import check_name, is_local, open_embedder, open_model

VERDICT = {
    "type": "object",
    "properties": {"reason": {"type": "string", "maxLength": 80}, "judge": {"type": "integer", "enum": [0, 1]}},
    "required": ["reason", "judge"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("local/smollm2-135m", True),
        ("local//data/own.gguf", True),
        ("own.gguf", True),
        ("org/repo/file.gguf", True),
        ("gpt-5-mini", False),
        ("Qwen/Qwen3-8B", False),
    ],
)
def test_local_names(name: str, local: bool) -> None:
    assert is_local(name) is local


def test_an_endpoint_elsewhere_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(InputError, match=r"api\.openai\.com.*set OPENAI_API_KEY$"):
        open_model("gpt-5-mini", ledger=None)
    with pytest.raises(InputError, match="write local/smollm2-135m"):
        open_model("smollm2-135m", ledger=None)
    with pytest.raises(InputError, match=r"set OPENAI_API_KEY; there is no folder of that name$"):
        open_model("runs/sfd", ledger=None)


@pytest.mark.parametrize("name", ["hf/Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B"])
def test_weights_of_the_hub_are_none_of_an_endpoints_models(name: str) -> None:
    check_name(name, weights=True)
    if name.startswith("hf/"):
        with pytest.raises(ModelNameError, match=r"can be trained and write as policies; .* local/NAME"):
            open_model(name, ledger=None, base_url="http://localhost:8000/v1")
    with pytest.raises(ModelNameError, match="no hub id"):
        check_name(name.replace("/Qwen2.5-0.5B", ""), weights=True)


def test_an_endpoint_on_this_machine_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    client = open_model("own", ledger=None, base_url="http://localhost:8000/v1")
    assert client.base_url == "http://localhost:8000/v1"


def test_the_environment_names_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://models.example.com/v1")
    client = open_model("gpt-5-mini", ledger=None)
    assert client.base_url == "https://models.example.com/v1"
    assert "secret" not in client.model_key


def test_an_unknown_local_name_is_the_users_error() -> None:
    with pytest.raises(ModelNameError, match=r"unknown model 'gpt-5'.*smollm2-135m"):
        open_model("local/gpt-5", ledger=None)


@pytest.mark.model
async def test_the_engine_answers_through_the_client(qwen_coder: Path, tmp_path: Path) -> None:
    wish: list[Message] = [{"role": "user", "content": "写一句给外婆的生日祝福"}]
    question: list[Message] = [{"role": "user", "content": "“生日快乐”适合生日吗？只回答一个字：是或否"}]
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        async with open_model("local/qwen2.5-coder-0.5b", ledger=ledger) as llm:
            assert llm.model_key.startswith(store.digest(qwen_coder))
            text, verdict, word = await asyncio.gather(
                llm.chat(wish, sampling=Sampling(temperature=0.8, top_p=0.95, max_tokens=40, seed=1)),
                llm.chat(wish, schema=VERDICT, sampling=Sampling(max_tokens=120)),
                llm.chat(question, sampling=Sampling(max_tokens=1, top_logprobs=20)),
            )
            assert any("一" <= character <= "鿿" for character in text.text)
            assert verdict.parsed["judge"] in (0, 1)
            assert {"是", "否"} <= {alternative.token for alternative in word.logprobs[0]}
            assert len(word.logprobs[0]) == 20
            again = await llm.chat(question, sampling=Sampling(max_tokens=1, top_logprobs=20))
            assert again.cached
            assert again.logprobs == word.logprobs
            assert llm.lacking == frozenset()
    assert not engine._running


class _Engine:
    """Stands for every embedded engine, and counts who uses it."""

    base_url, api_key, model_key = "http://127.0.0.1:9/v1", "key", "sha:1:ctx=4096"
    users = 0

    def acquire(self, weights: Path, adapter: Path | None = None, *, embedding: bool = False) -> _Engine:
        self.users += 1
        self.served = weights, adapter
        return self

    def release(self) -> None:
        self.users -= 1


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> _Engine:
    counting = _Engine()
    monkeypatch.setattr(store, "pull", lambda name: Path(name))
    monkeypatch.setattr(engine, "acquire", counting.acquire)
    return counting


async def test_a_model_on_this_machine_is_free_and_unhurried(counted: _Engine, tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite", budget=Budget(money=5.0), pace=Pace(rpm=1)) as ledger:
        async with open_model("local/own.gguf", ledger=ledger) as llm:
            assert llm.price == FREE
            assert llm.pace == Pace()
        with pytest.raises(InputError, match="--budget needs the price of 'gpt-5-mini'"):
            open_model("gpt-5-mini", ledger=ledger, base_url="http://localhost:9/v1")


async def test_a_policy_is_its_base_and_its_adapter(
    tiny_policy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = _Engine()
    monkeypatch.setattr(engine, "acquire", counting.acquire)
    folder = tiny_policy("qwen2")
    assert is_local(str(folder))
    check_name(str(folder))
    async with open_model(str(folder), ledger=None) as llm:
        assert [path and path.name for path in counting.served] == ["tiny-qwen2.gguf", "adapter.gguf"]
        assert (llm.name, llm.price) == ("local/policy", FREE)
    async with open_model(str(counting.served[0]), ledger=None):
        assert counting.served[1] is None


def test_a_policy_that_the_engine_cannot_serve_says_what_works(tiny_policy: Callable[..., Path]) -> None:
    folder = tiny_policy("qwen2")
    (folder / "adapter_config.json").unlink()
    for use in (check_name, lambda name: open_model(name, ledger=None)):
        with pytest.raises(ModelNameError, match=r"it is whole weights; run `inkfire export .* --to merged"):
            use(str(folder))


def test_a_folder_of_weights_is_asked_for_at_the_server_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    (tmp_path / "config.json").write_text("{}")
    for use in (check_name, lambda name: open_model(name, ledger=None)):
        with pytest.raises(ModelNameError, match=r"is a folder and no policy .*`vllm serve .*--base-url"):
            use(str(tmp_path))
    assert open_model(str(tmp_path), ledger=None, base_url="http://127.0.0.1:9/v1").name == str(tmp_path)


@pytest.mark.parametrize("open_it", [open_model, open_embedder])
async def test_an_engine_is_let_go_with_its_client(open_it: Any, counted: _Engine, tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        first = open_it("local/own.gguf", ledger=ledger)
        second = open_it("local/own.gguf", ledger=ledger)
        assert counted.users == 2
        await first.close()
        await first.close()
        assert counted.users == 1
        with pytest.raises(KeyError):
            async with second:
                raise KeyError("the user's")
        assert counted.users == 0


@pytest.mark.parametrize("open_it", [open_model, open_embedder])
def test_an_engine_is_let_go_when_no_client_can_be_made(open_it: Any, counted: _Engine, tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger, pytest.raises(InputError, match="concurrency"):
        open_it("local/own.gguf", ledger=ledger, concurrency=-1)
    assert counted.users == 0


@pytest.mark.parametrize("open_it", [open_model, open_embedder])
async def test_an_engine_is_let_go_when_closing_fails(open_it: Any, counted: _Engine, tmp_path: Path) -> None:
    class Broken:
        async def close(self) -> None:
            raise OSError("the connection is in a bad way")

    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        client = open_it("local/own.gguf", ledger=ledger)
        client._http = Broken()
        with pytest.raises(OSError, match="bad way"):
            await client.close()
        assert counted.users == 0
        await client.close()
        assert counted.users == 0
