"""A tokenizer as a policy needs it, whatever its maker left out: a chat template, an end, a pad; and texts, not tokens.

Prompts have thinking switched off, by the template's own variables where it has them and by an empty thought where it
opens one. A system turn that the template refuses or drops stands before the first user turn. What a policy thinks all
the same is no part of its text.

A base model without a template gets ``MINIMAL``, which is saved with the policy's tokenizer:

    You write wishes.

    User:
    a wish for Easter

    Assistant:
    May it open a window.<end token>
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import Environment, meta, nodes

from inkfire.errors import ModelNameError
from inkfire.llm import thinking

Messages = Sequence[Mapping[str, Any]]

MINIMAL = (
    "{% for message in messages %}{{ '' if loop.first else '\n\n' }}"
    "{{ {'user': 'User:\n', 'assistant': 'Assistant:\n'}.get(message['role'], '') + message['content'] }}"
    "{{ eos_token if message['role'] == 'assistant' else '' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\n\nAssistant:\n' }}{% endif %}"
)

# ---- what a tokenizer lacks ----------------------------------------------------------------------------------------

_ENDS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>")
_PADS = ("pad", "reserved", "unused", "unk", "")


def complete(tokenizer: Any, config: Any) -> Any:
    """Give a tokenizer the end, the chat template and the pad that it lacks, and return it.

    The pad is a token that no text has: one that ends texts would hide their ends from whoever looks for pads.

    Args:
        config: the model's, which may name an end that the tokenizer does not.

    Raises:
        ModelNameError: neither names an end, the tokenizer reads nothing (as one whose files are missing), or it has
            tokens that the model does not know, or the template leaves out what is asked.
    """
    if not _ids(tokenizer, "a wish"):
        raise ModelNameError(f"{tokenizer.name_or_path}: no tokenizer; put its tokenizer.json beside the weights")
    text = config.get_text_config()
    if tokenizer.eos_token is None:
        tokenizer.add_special_tokens({"eos_token": _end(tokenizer, text.eos_token_id)})
    if tokenizer.chat_template is None:
        begins = tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
        tokenizer.chat_template = ("{{ bos_token }}" if begins else "") + MINIMAL
    pad = tokenizer.pad_token_id
    if pad is None or pad == tokenizer.eos_token_id or pad >= text.vocab_size:
        tokenizer.pad_token = _pad(tokenizer, text.vocab_size)
    asked = [{"role": "user", "content": "a wish"}]
    if "a wish" not in frame(tokenizer, asked).prompt:
        raise ModelNameError(f"{tokenizer.name_or_path}: its chat template leaves the query out; it is no writer's")
    most = max(encode_whole(tokenizer, asked, "Hello!"))
    if most >= text.vocab_size:
        raise ModelNameError(
            f"{tokenizer.name_or_path}: the tokenizer has {tokenizer.convert_ids_to_tokens(most)!r}, for which the "
            "model has no embedding; resize the model's, or take the tokenizer that it was trained with"
        )
    return tokenizer


def _end(tokenizer: Any, declared: int | list[int] | None) -> str:
    ids = declared if isinstance(declared, list) else [] if declared is None else [declared]
    found = [tokenizer.convert_ids_to_tokens(token) for token in ids]
    for token in (*found, *(token for token in _ENDS if token in tokenizer.get_vocab())):
        if token is not None:
            return str(token)
    raise ModelNameError(
        f"{tokenizer.name_or_path}: no token ends its texts; name one as eos_token in its tokenizer_config.json"
    )


def _pad(tokenizer: Any, size: int) -> str:
    """A special token that stands in no prompt; without one the end token, from which masks tell padding apart."""
    around = frame(tokenizer, [{"role": "user", "content": "?"}])
    used = " ".join(map(str, (tokenizer.get_chat_template(), around, tokenizer.bos_token, tokenizer.eos_token)))
    special = [str(token) for i, token in tokenizer.added_tokens_decoder.items() if token.special and i < size]
    free = [token for token in special if token not in used and not thinking.carries(token)]
    return next((token for kind in _PADS for token in free if kind in token.lower()), str(tokenizer.eos_token))


# ---- prompts -------------------------------------------------------------------------------------------------------

_MARK = "the text stands here"


@dataclass(frozen=True)
class Frame:
    """What stands around an answer: the ``prompt``, and the ``lead`` (blanks or nothing) and ``end`` of the answer."""

    prompt: str
    lead: str
    end: str


def frame(tokenizer: Any, messages: Messages) -> Frame:
    """The prompt of a conversation, up to where the assistant begins to speak, and how the template ends a turn.

    Raises:
        ModelNameError: the template takes the conversation in no form.
    """
    turns, prompt = _rendered(tokenizer, messages)
    whole = _render(tokenizer, [*turns, {"role": "assistant", "content": _MARK}], add_generation_prompt=False)
    before, _, end = whole.rpartition(_MARK) if isinstance(whole, str) else ("", "", "")
    lead = before[len(prompt) :] if before.startswith(prompt) else ""
    opening = lead.rstrip(" ")  # a header that the template gives to turns, but not to prompts
    prompt, lead = prompt + opening, lead[len(opening) :]
    if thinking.left_open(prompt):  # by the template, or by words of the query
        asked = _render(tokenizer, [*turns[:-1], {**turns[-1], "content": _MARK}], add_generation_prompt=True)
        if mark := thinking.left_open(str(asked).rpartition(_MARK)[2]):
            prompt = f"{prompt.rstrip()}\n\n{mark}\n\n"
    return Frame(prompt, lead, end if _added(tokenizer, end) else tokenizer.eos_token)


def encode(tokenizer: Any, conversations: Sequence[Messages]) -> list[list[int]]:
    """Token ids of conversations, up to where the assistant begins to speak."""
    return [_ids(tokenizer, frame(tokenizer, messages).prompt) for messages in conversations]


def encode_answer(tokenizer: Any, messages: Messages, response: str) -> tuple[list[int], list[int]]:
    """Token ids of a conversation's prompt, and those of the assistant's answer with its end."""
    around = frame(tokenizer, messages)
    answer = around.lead + response + around.end
    prompt, whole = _ids(tokenizer, around.prompt), _ids(tokenizer, around.prompt + answer)
    apart = whole[: len(prompt)] != prompt  # a token would reach over the border
    return prompt, _ids(tokenizer, answer) if apart else whole[len(prompt) :]


def encode_whole(tokenizer: Any, messages: Messages, response: str) -> list[int]:
    """Token ids of a conversation with the assistant's answer."""
    prompt, answer = encode_answer(tokenizer, messages, response)
    return prompt + answer


def turn_end(tokenizer: Any) -> int | None:
    """The token with which the template ends a turn; it need not be the tokenizer's own end."""
    token = _added(tokenizer, frame(tokenizer, [{"role": "user", "content": "?"}]).end)
    return None if token is None else int(tokenizer.convert_tokens_to_ids(token))


def length(tokenizer: Any, text: str) -> int:
    """Tokens of a text."""
    return len(_ids(tokenizer, text))


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _added(tokenizer: Any, text: str) -> str | None:
    """The token of its own that a text begins with."""
    own = (str(token) for token in tokenizer.added_tokens_decoder.values())
    return next((token for token in own if text.lstrip().startswith(token)), None)


def _rendered(tokenizer: Any, messages: Messages) -> tuple[list[Mapping[str, Any]], str]:
    """The first form of the conversation that the template takes with all of its words, and the prompt it becomes."""
    taken, why = [], None
    for turns in _forms(messages):
        prompt = _render(tokenizer, turns, add_generation_prompt=True)
        if isinstance(prompt, Exception):
            why = why or prompt
        elif all(turn["content"].strip() in prompt for turn in turns):
            return turns, prompt
        else:
            taken.append((turns, prompt))
    if taken:
        return taken[0]
    raise ModelNameError(
        f"{tokenizer.name_or_path}: its chat template refuses a system and a user turn, also in one ({why}); "
        "mend chat_template in its tokenizer_config.json or chat_template.jinja"
    )


def _forms(messages: Messages) -> Iterator[list[Mapping[str, Any]]]:
    """As it is; without two turns of one role in a row; without system turns."""
    yield list(messages)
    yield _merged(messages)
    system = [turn["content"] for turn in messages if turn["role"] == "system"]
    others = [turn for turn in messages if turn["role"] != "system"]
    yield _merged([{"role": "user", "content": "\n\n".join(system)}, *others] if system else others)


def _merged(messages: Messages) -> list[Mapping[str, Any]]:
    out: list[Mapping[str, Any]] = []
    for turn in messages:
        if out and out[-1]["role"] == turn["role"]:
            turn = {"role": turn["role"], "content": f"{out.pop()['content']}\n\n{turn['content']}"}
        out.append(turn)
    return out


def _render(tokenizer: Any, turns: Messages, *, add_generation_prompt: bool) -> str | Exception:
    how = {"tokenize": False, "add_generation_prompt": add_generation_prompt}
    try:
        return str(tokenizer.apply_chat_template(list(turns), **how, **switches(tokenizer.get_chat_template())))
    except Exception as error:  # a stranger's template: anything may come out of it
        return error


# ---- thinking ------------------------------------------------------------------------------------------------------

_ABOUT_THINKING = re.compile(r"(?!.*(?:content|text)).*(?:think|thought|reason)", re.IGNORECASE)
_NEGATED = re.compile(r"no|not|non|no_?think\w*|disable\w*|skip|without|hide|suppress|omit", re.IGNORECASE)
_OFF = ("off", "none", "no", "false", "disabled", "disable", "no_think", "nothink", "non-thinking", "minimal", "low")
_GENERATION = re.compile(r"{%-?\s*(?:end)?generation\s*-?%}")  # transformers' own tag, which plain Jinja does not know


@lru_cache(maxsize=64)
def switches(template: str) -> Mapping[str, Any]:
    """The values of a chat template's variables that turn thinking off, whatever it calls them.

    >>> switches("{% if enable_thinking | default(true) %}<think>{% endif %}")
    {'enable_thinking': False}
    """
    jinja, source = Environment(extensions=["jinja2.ext.loopcontrols"]), _GENERATION.sub("", template)
    names = sorted(filter(_ABOUT_THINKING.match, meta.find_undeclared_variables(jinja.parse(source))))
    tree = jinja.parse(source)  # anew: to find the names has folded constants
    return {name: _off(name, tree) for name in names}


def _off(name: str, tree: nodes.Template) -> Any:
    """One of the values that the template compares the variable with, if one of them means off."""
    said = {
        str(constant.value).lower(): constant.value
        for compared in tree.find_all(nodes.Compare)
        if any(one.name == name for one in compared.find_all(nodes.Name))
        for constant in compared.find_all(nodes.Const)
        if isinstance(constant.value, str)
    }
    if off := next((word for word in _OFF if word in said), None):
        return said[off]
    if re.search("effort|strength|level", name):
        return "low"
    if "budget" in name:
        return 0
    return any(_NEGATED.fullmatch(part) for part in name.split("_"))


def answer(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of a completion, without its thinking; empty where the completion ends within it.

    The marks of thinking may be special tokens. Where those are skipped, the thinking would stay and look like text.
    """
    raw = tokenizer.decode(ids, skip_special_tokens=False)
    if not thinking.carries(raw):
        return thinking.strip(tokenizer.decode(ids, skip_special_tokens=True)).strip()
    text = thinking.strip(raw)
    if thinking.carries(text):
        return ""  # nobody knows what of it is the answer
    for token in tokenizer.added_tokens_decoder.values():
        if token.special:
            text = text.replace(str(token), "")
    return text.strip()
