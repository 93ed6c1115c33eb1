"""GGUF → trainable folder: what passes through, what is made anew, and (marked ``model``) a real conversion."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from strange_models import write_gguf
from tiny_gguf import make_policy, make_tiny_gguf

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from safetensors.torch import load_file  # noqa: E402

from inkfire.errors import ModelNameError  # noqa: E402
from inkfire.models import convert, engine, store  # noqa: E402

TEXTS = [
    "给外婆的八十大寿祝福：岁岁年年…——《诗》「词」、；：？！",
    "愿您福如东海。\n\n  2025年12月31日 🎉🎂",
    "I'LL we've  multiple   spaces\t\ttabs\r\nCRLF\n",
    "ÀÉÎ café ﬁ Ａ１２ 1234567 3.14159 007",
    "  leading and trailing  ",
    "<b>{{x}}</b> 'quoted' \"json\": [1,2]",
    "<|im_end|> <|endoftext|>",
    "👨‍👩‍👧 👍🏽 مرحبا हिन्दी \u200b\u3000x",
    "",
]
CHATS = [
    [{"role": "user", "content": "写一句生日祝福 123"}],
    [{"role": "system", "content": "你是诗人。"}, {"role": "user", "content": " 写一句 \n"}],
    [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b "}, {"role": "user", "content": "c"}],
]


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-0.5B-Instruct", "runs/sft"])
def test_hub_ids_and_folders_pass_through(name: str) -> None:
    assert convert.trainable(name) == name
    assert convert.trainable(f"hf/{name}") == name


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A .gguf whose conversion is only pretended, and an empty cache."""
    monkeypatch.setenv("INKFIRE_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "own.gguf"
    file.write_bytes(b"GGUF one")
    return file


def test_a_conversion_is_kept_until_weights_or_versions_change(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def pretend(file: Path, folder: Path, source: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / convert._NOTE).write_text(json.dumps(source))
        made.append(folder)

    monkeypatch.setattr(convert, "_convert", pretend)
    first = convert.trainable(str(own))
    assert convert.trainable(f"local/{own}") == first
    assert len(made) == 1
    own.write_bytes(b"GGUF two")
    second = convert.trainable(str(own))
    assert second != first
    monkeypatch.setattr(convert.transformers, "__version__", "99")
    assert convert.trainable(str(own)) == second
    assert len(made) == 3


def test_a_gguf_that_cannot_be_read_leaves_nothing(own: Path) -> None:
    with pytest.raises(ModelNameError, match=r"own\.gguf: cannot be made trainable"):
        convert.trainable(str(own))
    assert not [p for p in (store.cache_dir() / "trainable").iterdir() if p.is_dir()]


@pytest.mark.parametrize(
    ("kind", "prompt", "end"),
    [
        ("think", "<|im_start|>user\na wish<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n", "<|im_end|>"),
        ("nochat", "User:\na wish\n\nAssistant:\n", "<|endoftext|>"),
    ],
)
def test_a_converted_model_thinks_not_and_ends_as_its_file_says(
    kind: str,
    prompt: str,
    end: str,
    strange_model: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from inkfire.models.chat import encode
    from inkfire.models.policy import load_tokenizer

    monkeypatch.setenv("INKFIRE_CACHE", str(tmp_path / "cache"))
    write_gguf(tmp_path / "own.gguf", strange_model(kind))
    tokenizer = load_tokenizer(convert.trainable(str(tmp_path / "own.gguf")))
    (ids,) = encode(tokenizer, [[{"role": "user", "content": "a wish"}]])
    assert tokenizer.decode(ids) == prompt
    assert ids.count(tokenizer.convert_tokens_to_ids("<think>")) == prompt.count("<think>")
    assert tokenizer.eos_token == end
    assert tokenizer.pad_token != end


@pytest.mark.parametrize(("output", "matrices"), [("tied", 1), ("rounded", 1), ("own", 2)])
def test_an_output_that_is_the_embedding_is_tied_to_it_again(
    output: str, matrices: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INKFIRE_CACHE", str(tmp_path / "cache"))
    folder = convert.trainable(str(make_tiny_gguf(tmp_path / "own.gguf", output=output)))
    stored = load_file(Path(folder) / "model.safetensors")
    assert len({"lm_head.weight", "model.embed_tokens.weight"} & stored.keys()) == matrices
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert model.config.tie_word_embeddings is (head is embedding) is (matrices == 1)
    if output == "rounded":  # the output is what is kept
        assert (head * 8 == (head * 8).round()).all()


def test_an_adapter_of_a_base_that_was_not_tied_loads_and_merges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inkfire.models.policy import Policy
    from inkfire.training.export import write_merged

    monkeypatch.setenv("INKFIRE_CACHE", str(tmp_path / "cache"))
    base = str(make_tiny_gguf(tmp_path / "own.gguf", output="rounded"))
    with monkeypatch.context() as before:
        before.setattr(convert, "_FORMAT", 2)
        before.setattr(convert, "_tie", lambda model: None)
        folder = make_policy(tmp_path / "policy", base)
        assert Policy.load(folder).model.config.tie_word_embeddings is False
        whole = tmp_path / "whole"
        write_merged(folder, whole)
    adapter = load_file(folder / "adapter_model.safetensors")
    model = Policy.load(folder).model
    assert model.config.tie_word_embeddings is True
    for name, weights in adapter.items():
        loaded = model.get_parameter(f"{name.removesuffix('.weight')}.default.weight")
        torch.testing.assert_close(loaded.float(), weights.float(), rtol=0.01, atol=0.01)
    write_merged(folder, tmp_path / "merged")
    sizes = {
        out: transformers.AutoModelForCausalLM.from_pretrained(tmp_path / out).num_parameters()
        for out in ("whole", "merged")
    }
    assert sizes["whole"] - sizes["merged"] == model.get_input_embeddings().weight.numel()


@pytest.fixture(params=["smollm2", "qwen_coder"])
def engine_post(request: pytest.FixtureRequest) -> Iterator[tuple[Path, Callable[[str, Any], Any]]]:
    """(weights, a function that asks the engine itself) of a real model."""
    file: Path = request.getfixturevalue(request.param)
    held = engine.acquire(file)

    def post(path: str, body: Any) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {held.api_key}"}
        url = held.base_url.removesuffix("/v1") + path
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as response:
            return json.load(response)

    yield file, post
    held.release()


@pytest.mark.model
def test_the_tokens_are_the_engines(engine_post: tuple[Path, Callable[[str, Any], Any]]) -> None:
    file, post = engine_post
    tokenizer = transformers.AutoTokenizer.from_pretrained(convert.trainable(str(file)))
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.pad_token == "<|endoftext|>"

    def engine_ids(text: str) -> list[int]:
        return list(post("/tokenize", {"content": text, "add_special": True, "parse_special": True})["tokens"])

    assert [list(tokenizer(text)["input_ids"]) for text in TEXTS] == [engine_ids(text) for text in TEXTS]
    for chat in CHATS:
        prompt = post("/apply-template", {"messages": chat})["prompt"]
        assert tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) == prompt
        assert list(tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]) == engine_ids(prompt)


@pytest.mark.model
def test_a_converted_model_thinks_like_the_engine_and_learns(
    smollm2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INKFIRE_CACHE", str(tmp_path))
    folder = convert.trainable(str(smollm2))
    assert [line[:6] for line in capfd.readouterr().err.splitlines()] == ["making"]  # one line and no warnings
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    chat = [{"role": "user", "content": "Write a short birthday wish for my grandmother."}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    written = model.generate(**prompt, max_new_tokens=12, do_sample=False)
    assert tokenizer.decode(written[0, prompt["input_ids"].shape[1] :]).startswith("Dear")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(2):
        loss = model(**prompt, labels=prompt["input_ids"]).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert 0 < losses[1] < losses[0] < 10
