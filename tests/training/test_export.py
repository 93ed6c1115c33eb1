"""A policy for other engines: whole weights that write the same, the adapter, and the prompt as Ollama has it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_gguf import edit

pytest.importorskip("peft")

from inkfire.errors import ModelNameError
from inkfire.models.policy import Policy
from inkfire.training.export import write_gguf_lora, write_merged, write_ollama

Made = Callable[..., Path]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_merged_weights_are_a_plain_model_with_what_was_learnt(tiny_policy: Made, architecture: str, out: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny_policy(architecture)
    write_merged(folder, out)
    policy = Policy.load(folder)
    [ids] = policy.encode(["for my sister"])
    model, tokenizer = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    layers = {name: module for name, module in policy.model.float().named_modules() if hasattr(module, "lora_A")}
    assert len(layers) == 2 * 7
    for name, layer in layers.items():
        delta = layer.get_delta_weight("default")
        found = model.get_submodule(name.removeprefix("base_model.model.")).weight
        torch.testing.assert_close(found.float(), layer.base_layer.weight + delta, rtol=0.01, atol=0.01)  # bf16
        assert delta.abs().max() > 0.5
    messages = policy.messages("for my sister")
    assert list(tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]) == ids
    config = json.loads((out / "config.json").read_text())
    assert not [key for key in config if "quant" in key or "name" in key]
    assert {path.suffix for path in out.iterdir()} <= {".json", ".jinja", ".safetensors"}


def test_a_whole_policy_is_merged_already(tiny_policy: Made, tmp_path: Path, out: Path) -> None:
    folder, whole = tiny_policy("qwen2"), tmp_path / "whole"
    whole.mkdir()
    write_merged(folder, whole)
    (whole / "policy.json").write_bytes((folder / "policy.json").read_bytes())
    write_merged(whole, out)
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    with pytest.raises(ModelNameError, match="it is whole weights"):
        write_gguf_lora(whole, out)


def test_a_quantised_base_is_refused(tiny_policy: Made, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    folder, load = tiny_policy("qwen2"), transformers.AutoModelForCausalLM.from_pretrained

    def quantised(*where: object, **how: object) -> object:
        model = load(*where, **how)
        model.config.quantization_config = {"quant_method": "awq"}
        return model

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", quantised)
    with pytest.raises(ModelNameError, match=r"its base is quantised.*--lora-modules policy="):
        write_merged(folder, out)
    assert not list(out.iterdir())


def ollama(out: Path) -> tuple[str, dict[str, str]]:
    """The TEMPLATE of a Modelfile, and the other instructions."""
    text = (out / "Modelfile").read_text(encoding="utf-8")
    found = re.search(r'^TEMPLATE """(.*?)"""\n', text, re.M | re.S)
    assert found is not None
    lines = (line.rpartition(" ") for line in text.replace(found[0], "").splitlines())
    return found[1], {key: value for key, _, value in lines}


def test_ollama_asks_as_it_was_trained(tiny_policy: Made, out: Path) -> None:
    folder = tiny_policy("qwen2")
    write_ollama(folder, out)
    template, said = ollama(out)
    policy = Policy.load(folder)
    [ids] = policy.encode(["for my sister"])
    asked, response = template.replace("{{ .Prompt }}", "for my sister").split("{{ .Response }}")
    assert asked == policy.tokenizer.decode(ids)
    assert response == "<|im_end|>"
    assert said["FROM"] == "./tiny-qwen2.gguf"
    assert said["ADAPTER"] == "./adapter.gguf"
    assert said["PARAMETER stop"] == '"<|im_end|>"'
    assert {path.name for path in out.iterdir()} == {"Modelfile", "tiny-qwen2.gguf", "adapter.gguf"}
    assert (out / "adapter.gguf").read_bytes() == (folder / "adapter.gguf").read_bytes()


def test_what_go_and_modelfiles_would_read_is_escaped(tiny_policy: Made, out: Path) -> None:
    folder = tiny_policy("qwen2")
    card = json.loads((folder / "policy.json").read_text())
    source = '[user]\nSay {% raw %}{{name}}{% endraw %} and """ for {{ query }}.\n'
    edit(folder / "policy.json", template=card["template"] | {"source": source})
    write_ollama(folder, out)
    text = (out / "Modelfile").read_text(encoding="utf-8")
    assert r'Say {{"{{"}}name}} and {{"\"\"\""}} for {{ .Prompt }}.' in text
    assert text.count('"""') == 2


def test_a_template_that_changes_the_query_cannot_be_ollamas(tiny_policy: Made, out: Path) -> None:
    folder = tiny_policy("qwen2")
    card = json.loads((folder / "policy.json").read_text())
    edit(folder / "policy.json", template=card["template"] | {"source": "[user]\n{{ query | lower }}\n"})
    with pytest.raises(ModelNameError, match="its template changes the query"):
        write_ollama(folder, out)
    assert not list(out.iterdir())
