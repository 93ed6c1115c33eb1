"""A reasoning model's thinking, told from its answer, however a server wraps it.

Models think between marks (``<think>``, ``[THINK]``, ``◁think▷``, ``<seed:think>`` …) or in a channel of their own
(OpenAI's Harmony), and a server may have taken the opening mark, or all special tokens, away. What stands behind the
last of it is the answer. Nothing is one, where the thinking never ends.

>>> strip("<think>short?</think>Dear aunt")
'Dear aunt'
>>> strip("analysisThe user wants a note.assistantfinalDear aunt")
'Dear aunt'
>>> strip("<thinking>never ends"), carries("Dear <think> aunt")
('', True)
"""

from __future__ import annotations

import json
import re

ONLY = "<reasoning_content>"
"""What the ledger puts before a reply that has come as reasoning alone, in a field of its own."""

_NAME = r"(?:\w{1,20}[:_.-])?(?:think(?:ing)?|thoughts?|thought_process|reasoning|reflection|analysis|scratchpad)"
_OPEN = (
    rf"<(?:ant)?{_NAME}(?:\s[^<>]{{0,80}})?>|\[{_NAME}\]|◁{_NAME}▷|<\|(?:begin_of_|start_)?{_NAME}\|>"
    r"|<\|?channel\|?>\s*thought|<unused94>\s*thought"
)
_CLOSE = rf"</(?:ant)?{_NAME}\s*>|\[/{_NAME}\]|◁/{_NAME}▷|<\|(?:end_of_|end_|/){_NAME}\|>|<channel\|>|<unused95>"
_CLOSED_BY = (
    *(("<|channel>thought", "<channel|>"), ("<unused94>thought", "<unused95>")),
    *(("<|begin_of_", "<|end_of_"), ("<|start_", "<|end_"), ("<|", "<|/")),
)
_opened = re.compile(_OPEN, re.IGNORECASE)
_closed = re.compile(_CLOSE, re.IGNORECASE)
_block = re.compile(rf"(?:{_OPEN})(?:(?!{_OPEN}).)*?(?:{_CLOSE})", re.IGNORECASE | re.DOTALL)

_FINAL = re.compile(r"<\|channel\|>\s*final\b[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>")
_TOKEN = re.compile(r"<\|(?:channel|message|start|end|return|call|constrain)\|>")
# The same with the special tokens taken away, or blanks in their place.
_BARE_FINAL = re.compile(r"assistantfinal(?:\s*json(?=\s*[{\[]))?|\bassistant\s+final\b[ \t]*\n")
_BARE_START = re.compile(r"\s*(?:analysis|commentary)(?=[^\sa-z.,;:!?'’-]|\s*\n)")
_BARE_ONLY = re.compile(r"\s*(?:assistant)?final(?=[A-Z\u3400-\u9fff{\[\"“])")

_WRAPPED = re.compile(
    r"<(answer|response|output|final)>(.*)</\1>|<\|(?:START|begin)_(?:RESPONSE|of_solution)\|>(.*?)"
    r"(?:<\|(?:END|end)_(?:RESPONSE|of_solution)\|>)?",
    re.DOTALL,
)
_TAILS = (
    "<|im_end|>",
    "<|return|>",
    "<|end|>",
    "<|eot_id|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
    "<end_of_turn>",
)
_MUSING = re.compile(
    r"\W*(?:we (?:need|should|have|must|are)\b|okay\b|ok,|alright|hmm|let me (?:think|see|start|write|try)|let's|"
    r"the (?:user|task|prompt|request)\b|i (?:need|should|have|must) to\b|first,|so,? the user|"
    r"嗯|首先|用户|我(?:们)?(?:需要|应该|要)|让我|好的?，[^。]{0,8}用户)",
    re.IGNORECASE,
)


def strip(text: str) -> str:
    """What a model answered, without its thinking; empty where it never stopped. A text without any is left alone."""
    text = text.removeprefix(ONLY)
    if not _suspect(text) or _is_object(text):
        return text
    answer = _harmony(text)
    answer, behind = _block.sub("", answer), 0
    for close in _closed.finditer(answer):
        behind = close.end()
    answer = answer[behind:].strip()
    if _opened.match(answer):
        return ""
    while answer.endswith(_TAILS):
        answer = answer[: answer.rindex("<")].rstrip()
    wrapped = _WRAPPED.fullmatch(answer)
    return answer if wrapped is None else (wrapped[2] or wrapped[3] or "").strip()


def carries(text: str) -> bool:
    """Whether a mark of thinking is still in it: then nobody knows what of it is the answer."""
    return any(mark.search(text) for mark in (_opened, _closed, _TOKEN, _BARE_FINAL))


def left_open(prompt: str) -> str:
    """The mark that would close the thinking which a prompt leaves open; empty where it leaves none open.

    >>> left_open("<|assistant|><think>"), left_open("<think></think>")
    ('</think>', '')
    """
    marks = [mark for mark in _opened.finditer(prompt) if not _closed.fullmatch(mark[0])]
    if not marks or _closed.search(prompt, marks[-1].end()):
        return ""
    mark = re.sub(r"\s.*(?=>)", "", marks[-1][0])
    for opening, closing in _CLOSED_BY:
        if mark.startswith(opening):
            return closing + mark.removeprefix(opening)
    return f"{mark[0]}/{mark[1:]}"


def is_musing(text: str) -> bool:
    """Whether what came as reasoning alone speaks about the task. (A server that looks for the end of a model's
    thinking takes a whole answer for thinking, where the model did not think.)"""
    return _MUSING.match(text) is not None


def _suspect(text: str) -> bool:
    return (
        carries(text) or any(mark.match(text) for mark in (_BARE_START, _BARE_ONLY)) or text.rstrip().endswith(_TAILS)
    )


def _is_object(text: str) -> bool:
    """Marks within a JSON object are quoted: the thinking stands before it, not in it."""
    try:
        return isinstance(json.loads(text, strict=False), dict)
    except (ValueError, RecursionError):
        return False


def _harmony(text: str) -> str:
    """The final channel, where there are channels."""
    if finals := list(_FINAL.finditer(text)):
        return _TOKEN.split(text[finals[-1].end() :])[0]
    if "<|channel|>" in text:
        return ""
    if finals := list(_BARE_FINAL.finditer(text)):
        return text[finals[-1].end() :]
    if _BARE_START.match(text):
        return ""
    return _BARE_ONLY.sub("", text, count=1) if _BARE_ONLY.match(text) else text
