"""Tokenizers as people bring them: prompts without thinking, ends and pads that are there, texts without thoughts."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from inkfire.errors import ModelNameError
from inkfire.models import chat
from inkfire.models.policy import find_model, load_tokenizer

Models = Callable[[str], str]

ASKED = [{"role": "system", "content": "You write wishes."}, {"role": "user", "content": "a wish"}]
TURNS = "<|im_start|>system\nYou write wishes.<|im_end|>\n<|im_start|>user\na wish<|im_end|>\n<|im_start|>assistant\n"
ONE = "<|im_start|>user\nYou write wishes.\n\na wish<|im_end|>\n<|im_start|>assistant\n"
EMPTY = "<think>\n\n</think>\n\n"
PLAINLY = "You write wishes.\n\nUser:\na wish\n\nAssistant:\n"

FRAMES = {  # kind → (prompt, lead, end, token that ends a turn, pad)
    "plain": (TURNS, "", "<|im_end|>\n", "<|im_end|>", "<|pad|>"),
    "nochat": (PLAINLY, "", "<|endoftext|>", "<|endoftext|>", "<|pad|>"),
    "nopad": (PLAINLY, "", "<|endoftext|>", "<|endoftext|>", "<|pad|>"),
    "noeos": (PLAINLY, "", "<|im_end|>", "<|im_end|>", "<|im_start|>"),
    "gemma": (ONE, "", "<|im_end|>\n", "<|im_end|>", "<|pad|>"),
    "mistral": ("[INST] You write wishes.\n\na wish [/INST]", " ", "<|endoftext|>", "<|endoftext|>", "<|pad|>"),
    "drops": (ONE.replace("<|im_end|>", "<|turn_end|>"), "", "<|turn_end|>\n", "<|turn_end|>", "<|pad|>"),
    "endless": (
        *("system: You write wishes.\nuser: a wish\nassistant:", " ", "<|endoftext|>"),
        *("<|endoftext|>", "<|pad|>"),
    ),
    "think": (TURNS + EMPTY, "", "<|im_end|>\n", "<|im_end|>", "<|pad|>"),
    "think_special": (TURNS + EMPTY, "", "<|im_end|>\n", "<|im_end|>", "<|pad|>"),
    "thinking": (f"{TURNS}</think>", "", "<|im_end|>\n", "<|im_end|>", "<|pad|>"),
    "reasoning_mode": (TURNS + EMPTY, "", "<|im_end|>\n", "<|im_end|>", "<|pad|>"),
    "no_think": (TURNS + EMPTY, "", "<|im_end|>\n", "<|im_end|>", "<|pad|>"),
    "always": (TURNS + EMPTY, "", "<|im_end|>\n", "<|im_end|>", "<|pad|>"),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_every_template_takes_a_system_turn_and_thinks_not(kind: str, strange_model: Models) -> None:
    tokenizer = load_tokenizer(strange_model(kind))
    prompt, lead, end, turn_end, pad = FRAMES[kind]
    assert chat.frame(tokenizer, ASKED) == chat.Frame(prompt, lead, end)
    assert tokenizer.convert_ids_to_tokens(chat.turn_end(tokenizer)) == turn_end
    assert tokenizer.pad_token == pad
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    asked, answer = chat.encode_answer(tokenizer, ASKED, "Hello!")
    assert asked == chat.encode(tokenizer, [ASKED])[0]
    assert tokenizer.decode(answer) == f"{lead}Hello!{end}"
    assert chat.encode_whole(tokenizer, ASKED, "Hello!") == asked + answer


def test_the_plain_template_is_saved_and_read_back(strange_model: Models, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(strange_model("nopad"))
    tokenizer.save_pretrained(tmp_path)
    again = load_tokenizer(strange_model("nopad"), tmp_path)
    assert (again.chat_template, again.pad_token) == (chat.MINIMAL, "<|pad|>")


def test_a_base_that_begins_its_texts_begins_them_with_the_plain_template(strange_model: Models) -> None:
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoConfig, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(strange_model("nochat"))
    tokenizer.bos_token = "<|im_start|>"
    begin = [("<|im_start|>", tokenizer.bos_token_id)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing("<|im_start|> $A", special_tokens=begin)
    chat.complete(tokenizer, AutoConfig.from_pretrained(strange_model("nochat")))
    assert chat.frame(tokenizer, ASKED).prompt == f"<|im_start|>{PLAINLY}"


def test_two_turns_of_a_role_become_one_where_the_template_wants_it(strange_model: Models) -> None:
    asked = [ASKED[0], {"role": "system", "content": "Be kind."}, ASKED[1]]
    prompt = chat.frame(load_tokenizer(strange_model("mistral")), asked).prompt
    assert prompt == "[INST] You write wishes.\n\nBe kind.\n\na wish [/INST]"
    shown = [*ASKED, {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "another"}]
    prompt = chat.frame(load_tokenizer(strange_model("gemma")), shown).prompt
    assert prompt.startswith(
        "<|im_start|>user\nYou write wishes.\n\na wish<|im_end|>\n<|im_start|>assistant\nHi.<|im_end|>"
    )


@pytest.mark.parametrize("kind", ["plain", "nochat", "always"])
def test_a_query_that_speaks_of_thinking_opens_no_thought(kind: str, strange_model: Models) -> None:
    tokenizer = load_tokenizer(strange_model(kind))
    asked = [ASKED[0], {"role": "user", "content": "what does <think> mean?"}]
    assert chat.frame(tokenizer, asked).prompt == FRAMES[kind][0].replace("a wish", "what does <think> mean?")


@pytest.mark.parametrize(
    ("template", "off"),
    [
        ("{{ messages }}", {}),
        ("{% if enable_thinking is defined and enable_thinking is false %}x{% endif %}", {"enable_thinking": False}),
        ("{% if thinking | default(true) %}<think>{% endif %}", {"thinking": False}),
        ("{% if not thinking is defined %}{% set thinking = false %}{% endif %}{{ thinking }}", {"thinking": False}),
        ("{% set ns = namespace(t=enable_thinking) %}{% generation %}x{% endgeneration %}", {"enable_thinking": False}),
        (
            "{% for m in messages %}{% if disable_reasoning %}{% break %}{% endif %}{% endfor %}",
            {"disable_reasoning": True},
        ),
        (
            "{% if reasoning_effort is not defined %}{% set reasoning_effort = 'medium' %}{% endif %}",
            {"reasoning_effort": "low"},
        ),
        (
            "{% if reasoning_effort not in ['none', 'high'] %}{{ raise_exception('no') }}{% endif %}",
            {"reasoning_effort": "none"},
        ),
        ("{% if thinking_budget is defined and thinking_budget == 0 %}x{% endif %}", {"thinking_budget": 0}),
        ("{{ 'Reasoning: ' ~ (reasoning_strength or 'high') }}", {"reasoning_strength": "low"}),
        ("{% if m is string %}{% set thinking_text = m %}{% endif %}{{ thinking_text }}", {}),
        ("{% for m in messages %}{% set reasoning_content = m.reasoning %}{{ reasoning_content }}{% endfor %}", {}),
    ],
)
def test_the_variables_that_switch_thinking_off(template: str, off: dict[str, Any]) -> None:
    assert chat.switches(template) == off


@pytest.mark.parametrize("kind", ["think", "think_special"])
@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("<think>\nshort?\n</think>\n\nDear aunt<|im_end|>", "Dear aunt"),
        ("short?\n</think>\n\nDear aunt", "Dear aunt"),
        ("<think>\nshort? Or rather lo", ""),
        ("<think>\nshort?<|im_end|>", ""),
        ("Dear <think>which aunt?", ""),
        ("Dear <think>which aunt?</think>aunt", "Dear aunt"),
        ("<|im_start|> Dear aunt, \n<|im_end|>", "Dear aunt,"),
        ("<think></think><|im_start|>Dear aunt<|im_end|>\n", "Dear aunt"),
        ("", ""),
    ],
)
def test_a_text_is_what_is_not_thought(kind: str, raw: str, text: str, strange_model: Models) -> None:
    tokenizer = load_tokenizer(strange_model(kind))
    assert chat.answer(tokenizer, tokenizer(raw)["input_ids"]) == text


def test_a_pad_that_ends_texts_is_replaced(strange_model: Models) -> None:
    from transformers import AutoConfig, AutoTokenizer

    config = AutoConfig.from_pretrained(strange_model("nochat"))
    tokenizer = AutoTokenizer.from_pretrained(strange_model("nochat"))
    tokenizer.pad_token = tokenizer.eos_token
    assert chat.complete(tokenizer, config).pad_token == "<|pad|>"
    tokenizer.add_special_tokens({"pad_token": "<|outside|>"})  # which has no row in the model
    assert tokenizer.pad_token_id == config.vocab_size
    assert chat.complete(tokenizer, config).pad_token == "<|pad|>"


def test_an_end_that_only_the_model_declares(strange_model: Models) -> None:
    from transformers import AutoConfig, AutoTokenizer

    config = AutoConfig.from_pretrained(strange_model("noeos"))
    config.eos_token_id = [0, 3]
    assert chat.complete(AutoTokenizer.from_pretrained(strange_model("noeos")), config).eos_token == "<|endoftext|>"


def test_what_no_policy_can_be(strange_model: Models, tmp_path: Path) -> None:
    with pytest.raises(
        ModelNameError, match=r"hopeless: its chat template refuses .*tools are required.*chat_template"
    ):
        find_model(strange_model("hopeless"))
    shutil.copytree(strange_model("noeos"), tmp_path / "m")
    file = tmp_path / "m" / "tokenizer.json"
    text = file.read_text()
    for token in ("im_end", "endoftext"):
        text = text.replace(f"<|{token}|>", f"<|{token}_not|>")
    file.write_text(text)
    with pytest.raises(ModelNameError, match=r"no token ends its texts; name one as eos_token"):
        find_model(str(tmp_path / "m"))
    file.write_text("{")
    with pytest.raises(ModelNameError, match="its tokenizer cannot be read"):
        find_model(str(tmp_path / "m"))
    with pytest.raises(ModelNameError, match="nothere: no such folder"):
        find_model(str(tmp_path / "nothere"))


def test_a_model_without_a_tokenizer_is_not_trained_on_nothing(strange_model: Models, tmp_path: Path) -> None:
    """Of a Qwen whose tokenizer is not there the library makes one that reads nothing."""
    shutil.copy(f"{strange_model('plain')}/config.json", tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"llama"', '"qwen2"'))
    with pytest.raises(ModelNameError, match=r"no tokenizer; put its tokenizer\.json beside the weights"):
        find_model(str(tmp_path))


def test_tokens_that_were_added_to_the_tokenizer_alone_are_named(strange_model: Models, tmp_path: Path) -> None:
    shutil.copytree(strange_model("plain"), tmp_path / "m")
    tokenizer = load_tokenizer(strange_model("plain"))
    tokenizer.add_tokens(["<|begin|>"])
    tokenizer.chat_template = f"<|begin|>{tokenizer.chat_template}"
    tokenizer.save_pretrained(tmp_path / "m")
    with pytest.raises(ModelNameError, match=r"'<\|begin\|>', for which the model has no embedding; resize"):
        find_model(str(tmp_path / "m"))


def test_a_template_for_images_leaves_no_query_out_unnoticed(strange_model: Models, tmp_path: Path) -> None:
    shutil.copytree(strange_model("plain"), tmp_path / "m")
    parts = "{% for m in messages %}{% for part in m['content'] %}{{ part['text'] }}{% endfor %}{% endfor %}"
    (tmp_path / "m" / "chat_template.jinja").write_text(parts)
    with pytest.raises(ModelNameError, match="its chat template leaves the query out"):
        find_model(str(tmp_path / "m"))


SHIPPED = {  # a template that the library ships → how a prompt ends, and the end of a turn
    "qwen3": ("<|im_start|>assistant\n<think>\n\n</think>\n\n", "<|im_end|>\n"),
    "qwen3_5_think": ("<|im_start|>assistant\n<think>\n\n</think>\n\n", "<|im_end|>\n"),
    "deepseek_r1_distill": ("<｜Assistant｜><think>\n\n</think>\n\n", "<|im_end|>"),
    "glm4moe": ("/nothink<|assistant|>\n<think></think>\n", "<|im_end|>"),
    "nemotron_3_nano": ("<|im_start|>assistant\n<think></think>", "<|im_end|>\n"),
    "gptoss": ("a wish<|end|><|start|>assistant<|channel|>final<|message|>", "<|return|>"),
    "gemma": ("user\nYou write wishes.\n\na wish<end_of_turn>\n<start_of_turn>model\n", "<end_of_turn>\n"),
    "gemma3": ("user\nYou write wishes.\n\na wish<end_of_turn>\n<start_of_turn>model\n", "<end_of_turn>\n"),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_templates_of_well_known_models(name: str, strange_model: Models) -> None:
    import trl

    tokenizer = load_tokenizer(strange_model("plain"))
    template = Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja"
    if not template.is_file():
        pytest.skip(f"this trl ships no {name}")
    tokenizer.chat_template = template.read_text(encoding="utf-8")
    tokenizer.add_special_tokens({"extra_special_tokens": ["<end_of_turn>", "<|return|>", "<|end|>"]})
    around = chat.frame(tokenizer, ASKED)
    prompt, end = SHIPPED[name]
    assert around.prompt.endswith(prompt)
    assert "You write wishes." in around.prompt
    assert (around.lead, around.end) == ("", end)


def test_a_path_is_not_looked_for_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    with pytest.raises(ModelNameError, match=r"^models/bse: no such folder"):
        find_model("models/bse")
    with pytest.raises(ModelNameError, match=r"^bse: no such folder, and no hub id \(ORG/NAME\)"):
        find_model("bse")


def test_a_hub_that_is_out_of_reach_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        logging.getLogger("huggingface_hub").warning("Retrying in 1s [Retry 1/5].")
        raise OSError("We couldn't connect to 'https://huggingface.co' to load the files.\nCheck your connection.")

    monkeypatch.setattr("inkfire.models.policy.AutoConfig.from_pretrained", unreachable)
    with pytest.raises(ModelNameError) as error:
        find_model("org/model")
    assert str(error.value) == ("org/model: no such model: not on this machine, and the model hub cannot be reached")
    assert not caplog.records
