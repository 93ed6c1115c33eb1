"""Thinking, in every wrapping that servers were seen to give it."""

from __future__ import annotations

import time

import pytest

from inkfire.llm.thinking import carries, left_open, speaks_of_task, strip

CHANNEL = "<|channel|>analysis<|message|>Short?<|end|><|start|>assistant<|channel|>final<|message|>"


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("no thoughts", "no thoughts"),
        ("<think>\nShort?\n</think>\n\nDear aunt", "Dear aunt"),
        ("Short?</think>Dear aunt", "Dear aunt"),
        ("<thinking>Short?</thinking>Dear aunt", "Dear aunt"),
        ("<THINK>Short?</THINK>Dear aunt", "Dear aunt"),
        ("<thought>Short?</thought>Dear aunt", "Dear aunt"),
        ("[THINK]Short?[/THINK]Dear aunt", "Dear aunt"),
        ("◁think▷Short?◁/think▷Dear aunt", "Dear aunt"),
        ("<seed:think>Short?</seed:think>Dear aunt", "Dear aunt"),
        ("<longcat_think>Short?</longcat_think>Dear aunt", "Dear aunt"),
        ("<think>a<think>b</think>c</think>Dear aunt", "Dear aunt"),
        ("<think></think><answer>Dear aunt</answer>", "Dear aunt"),
        ("Dear aunt<think>good?</think>", "Dear aunt"),
        ("<|START_THINKING|>Short?<|END_THINKING|><|START_RESPONSE|>Dear aunt<|END_RESPONSE|>", "Dear aunt"),
        ("<|begin_of_thought|>x<|end_of_thought|><|begin_of_solution|>Dear aunt<|end_of_solution|>", "Dear aunt"),
        ("<|channel>thought\nShort?<channel|>Dear aunt", "Dear aunt"),
        (CHANNEL + "Dear aunt", "Dear aunt"),
        (CHANNEL + "Dear aunt<|return|>", "Dear aunt"),
        (CHANNEL.replace("final", "final <|constrain|>json") + '{"a": 1}', '{"a": 1}'),
        ("analysisShort?assistantfinalDear aunt", "Dear aunt"),
        ("analysis要短吗？assistantfinal亲爱的", "亲爱的"),
        ("analysis\nShort?\nassistant\nfinal\nDear aunt", "Dear aunt"),
        ("finalDear aunt", "Dear aunt"),
        ("Dear aunt<|im_end|>\n", "Dear aunt"),
        # it never stopped
        ("<think>Short?", ""),
        ("  [THINK]Short?", ""),
        ("<|channel|>analysis<|message|>Short?", ""),
        ("analysisWe need a note", ""),
        ("<think>a</think><think>b", ""),
        # words that are none of it
        ("analysis of a friendship", "analysis of a friendship"),
        ("Final words, dear aunt", "Final words, dear aunt"),
        ('{"reason": "it says </think>{\\"judge\\": 1}", "judge": 0}',) * 2,
    ],
)
def test_what_stands_behind_the_thinking_is_the_answer(said: str, answer: str) -> None:
    assert strip(said) == answer


def test_a_mark_that_is_left_is_seen() -> None:
    assert carries(strip("Dear <think>aunt, short?"))
    assert not carries(strip(CHANNEL + "Dear aunt"))


@pytest.mark.parametrize(
    ("prompt", "mark"),
    [
        ("<|assistant|>\n<think>\n", "</think>"),
        ("<seed:think>", "</seed:think>"),
        ("[THINK]", "[/THINK]"),
        ("◁think▷", "◁/think▷"),
        ("<|begin_of_thought|>", "<|end_of_thought|>"),
        ("<|start_thinking|>", "<|end_thinking|>"),
        ("<|channel>thought\n", "<channel|>"),
        ('<think mode="long">', "</think>"),
        ("<think>\n\n</think>\n\n", ""),
        ("<think></think><think>", "</think>"),
        ("</think>", ""),
        ("Dear aunt", ""),
    ],
)
def test_the_mark_that_closes_what_a_prompt_leaves_open(prompt: str, mark: str) -> None:
    assert left_open(prompt) == mark
    assert left_open(prompt + mark) == ""


def test_musing_is_told_from_an_answer() -> None:
    assert speaks_of_task("Okay, the user wants a birthday note.")
    assert speaks_of_task("好的，用户想要一句祝福")
    assert not speaks_of_task("Dear aunt, happy birthday!")
    assert not speaks_of_task('{"reason": "x", "judge": 1}')


@pytest.mark.parametrize(
    "part", ["<think>", "</think>", "<", "\n", "analysis", "[THINK", "<|channel|>", "<a_", "</s>", "<|"]
)
def test_a_wild_reply_takes_no_time(part: str) -> None:
    start = time.monotonic()
    strip(part * (300_000 // len(part)))
    assert time.monotonic() - start < 2
