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

FIELDS = ("reasoning_content", "reasoning", "thinking")
"""The fields of a message in which servers put thinking."""

_NAME = r"(?:\w{1,20}[:_.-])?(?:think(?:ing)?|thoughts?|thought_process|reasoning|reflection|analysis|scratchpad)"
_OPEN = (
    rf"(?:<|&lt;)(?:ant)?{_NAME}(?:\s[^<>]{{0,80}})?(?:>|&gt;)|\[{_NAME}\]|◁{_NAME}▷|<\|(?:begin_of_|start_)?{_NAME}\|>"
    r"|<\|?channel\|?>\s*thought|<unused94>\s*thought"
)
_CLOSE = (
    rf"(?:<|&lt;)/(?:ant)?{_NAME}\s*(?:>|&gt;)|\[/{_NAME}\]|◁/{_NAME}▷|<\|(?:end_of_|end_|/){_NAME}\|>"
    r"|<channel\|>|<unused95>"
)
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

# In words: Granite's and Apriel's; and as Open WebUI folds it.
_IN_WORDS = re.compile(
    r"\s*here(?:'s| is) my thought process:.*?(?:here(?:'s| is) my response:|\Z)", re.IGNORECASE | re.DOTALL
)
_BEGINS = "[BEGIN FINAL RESPONSE]"
_FOLDED = '<details type="reasoning"'

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
    "[END FINAL RESPONSE]",
)
_OF_THE_TASK = re.compile(
    r"\W*(?:we (?:need|should)\b|okay,|ok,|alright,|hmm|let me (?:think|see|start|write|try)|"
    r"(?:so,? )?the (?:task|prompt|request)\b|i (?:need to|should)\b|嗯，|我(?:需要|应该)|让我(?!们))"
    r"|[^\n]{0,200}(?:\bthe user\b|用户(?:想|要|需|希望|让))",
    re.IGNORECASE,
)


def strip(text: str) -> str:
    """What a model answered, without its thinking; empty where it never stopped. A text without any is left alone."""
    text = text.removeprefix(ONLY)
    if not _suspect(text) or _is_object(text):
        return text
    answer = _IN_WORDS.sub("", _unfolded(_harmony(text)).rpartition(_BEGINS)[2], count=1)
    answer, behind = _block.sub("", answer), 0
    for close in _closed.finditer(answer):
        behind = close.end()
    answer = answer[behind:].strip()
    if _opened.match(answer):
        return ""
    end = len(answer)
    while tail := next((tail for tail in _TAILS if answer.endswith(tail, 0, end)), ""):
        end -= len(tail)
        while answer[end - 1 : end].isspace():
            end -= 1
    answer = answer[:end]
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


def speaks_of_task(text: str) -> bool:
    """Whether a text is about what it is asked for, as thinking is and a text for readers is not."""
    return _OF_THE_TASK.match(text) is not None


def _suspect(text: str) -> bool:
    starts = (_BARE_START, _BARE_ONLY, _IN_WORDS)
    return (
        carries(text)
        or any(mark.match(text) for mark in starts)
        or any(mark in text for mark in (_BEGINS, _FOLDED))
        or text.rstrip().endswith(_TAILS)
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


def _unfolded(text: str) -> str:
    while (start := text.find(_FOLDED)) >= 0:
        end = text.find("</details>", start)
        text = text[:start] + (text[end + len("</details>") :] if end >= 0 else "")
    return text
