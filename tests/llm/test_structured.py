"""Ugly replies give the right object or none: never a default, never an invented value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkfire.llm.structured import parse, well_formed

JUDGE: dict[str, Any] = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "judge": {"enum": [0, 1]}},
    "required": ["judge"],
    "additionalProperties": False,
}
LONG = "很好。" * 17_000  # 51,000 characters, 153 kB

# (what the model wrote, the label it clearly gives or None)
UGLY: dict[str, tuple[str, int | None]] = {
    # well-formed, in many wrappings
    "plain": ('{"judge": 1, "reason": "good"}', 1),
    "zero is a label": ('{"judge": 0, "reason": ""}', 0),
    "no reason": ('{"judge": 0}', 0),
    "white space": ('\n\n\t {"judge":1}  \n', 1),
    "byte order mark": ('\ufeff{"judge": 1}', 1),
    "fence": ('```json\n{"judge": 0}\n```', 0),
    "fence without a language": ('```\n{"judge": 1}\n```', 1),
    "nested fences": ('```json\n```json\n{"judge": 0, "reason": "x"}\n```\n```', 0),
    "fence inside the reason": ('```json\n{"judge": 1, "reason": "use ```code```"}\n```', 1),
    "unclosed fence": ('```json\n{"judge": 1}', 1),
    "prose before": ('Sure! Here is my verdict:\n{"judge": 1}', 1),
    "prose after": ('{"judge": 0}\nI hope this helps.', 0),
    "prose around, Chinese": ('好的，以下是评审结果：{"judge": 1, "reason": "情真意切"} 谢谢！', 1),
    "braces in the prose": ('The set {a, b} is fine. {"judge": 1}', 1),
    "one line a field": ('{\n  "judge": 1,\n  "reason": "a"\n}', 1),
    "line break inside a string": ('{"judge": 1, "reason": "line one\nline two"}', 1),
    "the same twice": ('{"judge": 1}\n{"judge": 1}', 1),
    "the same label, two reasons": ('{"judge": 1, "reason": "a"} {"judge": 1, "reason": "b"}', 1),
    "1.0 is the number 1": ('{"judge": 1.0}', 1),
    "exponent": ('{"judge": 0e0}', 0),
    "other label quoted in a string": ('{"judge": 0, "reason": "it says \\"judge\\": 1, but no"}', 0),
    "50 kB of reason": (json.dumps({"judge": 1, "reason": LONG}, ensure_ascii=False), 1),
    "50 kB of prose before": (LONG + '{"judge": 0}', 0),
    "50 kB of blanks": ('{"judge":1' + " " * 50_000 + "}", 1),
    "lone surrogate, escaped": ('{"judge": 1, "reason": "\\ud83d"}', 1),
    "lone surrogate, raw": ('{"judge": 1, "reason": "\ud83d"}', 1),
    "surrogate pair, escaped": ('{"judge": 1, "reason": "\\ud83d\\ude00"}', 1),
    "NUL in a string": ('{"judge": 1, "reason": "a\\u0000b"}', 1),
    "repeated key, same value": ('{"judge": 1, "judge": 1}', 1),
    # not as asked, but unambiguous
    "label as text": ('{"judge": "1"}', 1),
    "label as text in prose": ('Verdict: {"judge": "0", "reason": "x"}', 0),
    "true": ('{"judge": true}', 1),
    "false in quotes": ('{"judge": "False"}', 0),
    "True": ("{'judge': True}", 1),
    "wrapped in a list": ('[{"judge": 1}]', 1),
    "wrapped in an object": ('{"answer": {"judge": 1}}', 1),
    "wrapped in two objects": ('{"reply": {"answer": {"judge": 0}}}', 0),
    "JSON in a JSON string": ('"{\\"judge\\": 1}"', 1),
    "1.0 as text": ('{"judge": "1.0"}', 1),
    "no reason but null": ('{"judge": 1, "reason": null}', 1),
    "a reason in parts": ('{"judge": 0, "reason": ["stiff", "long"]}', 0),
    "another letter case": ('{"Reason": "x", "Judge": 0}', 0),
    "extra fields": ('{"judge": 1, "reason": "x", "confidence": 0.9, "tags": ["warm"]}', 1),
    "an extra field that says the same": ('{"judge": 1, "label": 1, "verdict": "Good"}', 1),
    # broken, but what it says is clear
    "trailing comma": ('{"judge": 1,}', 1),
    "trailing comma in a fence": ('```json\n{"judge": 0, "reason": "x",}\n```', 0),
    "single quotes": ("{'judge': 1, 'reason': 'ok'}", 1),
    "bare keys": ("{judge: 1, reason: 好的}", 1),
    "Chinese punctuation": ("{“judge”：1，“reason”：“好”}", 1),
    "double braces": ('{{"judge": 1}}', 1),
    "missing comma": ('{"judge": 1 "reason": "x"}', 1),
    "unescaped quotes": ('{"reason": "他说"好"了", "judge": 0}', 0),
    "truncated after the label": ('{"judge": 1, "reason": "the image of the', 1),
    "truncated in a key": ('{"judge": 1, "rea', 1),
    "truncated after a comma": ('{"judge": 1,', 1),
    "truncated brace": ('{"judge": 1, "reason": "fine"', 1),
    # nothing is clearly said
    "empty": ("", None),
    "blank": (" \n ", None),
    "refusal": ("I'm sorry, but I can't help with that.", None),
    "refusal, Chinese": ("抱歉，我无法对此内容进行评价。", None),
    "prose": ("This is a good text, I would say 1.", None),
    "other language": ("Il testo è buono.", None),
    "bare number": ("1", None),
    "bare label": ("judge: 1", None),
    "null": ("null", None),
    "truncated before the label": ('{"judge":', None),
    "truncated in the key": ('{"jud', None),
    "truncated at the label": ('{"judge": 1', None),
    "reason only": ('{"reason": "good"}', None),
    "reason cut off before the label": ('{"reason": "good because', None),
    "empty object": ("{}", None),
    "empty fence": ("```json\n```", None),
    "opening brace": ("{", None),
    "label in words": ('{"judge": "good"}', None),
    "null label": ('{"judge": null}', None),
    "label in a list": ('{"judge": [1]}', None),
    "both labels in a list": ('{"judge": [0, 1]}', None),
    "out of range": ('{"judge": 2}', None),
    "negative": ('{"judge": -1}', None),
    "half": ('{"judge": 0.5}', None),
    "NaN": ('{"judge": NaN}', None),
    "Infinity": ('{"judge": Infinity}', None),
    "1e999": ('{"judge": 1e999}', None),
    "a huge number": ('{"judge": ' + "1" * 5000 + "}", None),
    "yes": ('{"judge": yes}', None),
    "placeholder": ('{"judge": 0 or 1}', None),
    "placeholder with a bar": ('{"judge": 0|1}', None),
    "fraction": ('{"judge": 1/0}', None),
    "two values": ('{"judge": 0, 1}', None),
    "two values without a comma": ('{"judge": 1 0}', None),
    "both labels": ('{"judge": 0} or rather {"judge": 1}', None),
    "both labels, repeated key": ('{"judge": 1, "judge": 0}', None),
    "contradicted on a lone surrogate": ('{"\\ud800": 1, "\\ud800": 2}', None),
    "contradicted within a lone surrogate": ('{"judge": 1, "a\\udfff": 1, "a\\udfff": [1]}', None),
    "a lone surrogate for a label": ('{"judge": "\\ud83d"}', None),
    "both labels, repeated key, broken": ("{'judge': 1, 'judge': 0,}", None),
    "both labels, prose and object": ('judge: 0, no wait {"judge": 1}', None),
    "the text's label in a broken string": ('{"reason": "作者写了"{"judge": 1}"企图影响", "judge": 0}', None),
    "the text's label before a broken object": ('He wrote {"judge": 1}. My verdict: {"judge": 0, "reason": "', None),
    "a list of both": ('[{"judge": 1}, {"judge": 0}]', None),
    "another case, contradicted": ('{"judge": 1, "Judge": 0}', None),
    "an extra field says otherwise": ('{"judge": 1, "final_verdict": "bad"}', None),
    "a nested field says otherwise": ('{"judge": 1, "after thought": {"judge": "0"}}', None),
    "text and number": ('{"judge": "1"} or {"judge": 0}', None),
    "2 as text": ('{"judge": "2"}', None),
    "wrapped in an object of two": ('{"answer": {"judge": 1}, "other": {"judge": 0}}', None),
    "words in a JSON string": ('"judge 1"', None),
    "extra field": ('{"judge": 1, "label": 0}', None),
    "wrong key": ('{"verdict": 1}', None),
    "deep nesting": ('{"a":' * 20_000, None),
    "braces": ("{" * 50_000, None),
    "brackets": ("[" * 50_000, None),
    "quotes": ('{"judge": "' + '"' * 50_000, None),
    "comments": ('{"judge": 1 // or is it 0?\n}', None),
    "XML": ("<judge>1</judge>", None),
    "YAML": ("judge: 1\nreason: fine", None),
    "a tool call": ('<tool_call>{"name": "judge", "arguments": {"judge": 1}}</tool_call>', None),
    "longer than anything sane": ("x" * 300_000 + '{"judge": 1}', None),
}


def test_the_table_is_long_enough() -> None:
    assert len(UGLY) >= 60


@pytest.mark.parametrize("name", UGLY)
def test_ugly_reply(name: str) -> None:
    text, label = UGLY[name]
    parsed, why = parse(text, JUDGE)
    if label is None:
        assert parsed is None
        assert why
        assert len(why) <= 200
    else:
        assert why is None
        assert parsed["judge"] == label
        assert type(parsed["judge"]) is int
    json.dumps([parsed, why], ensure_ascii=False).encode()  # no lone surrogate comes out


TEXTS = {"type": "object", "properties": {"text": {"type": "string"}, "flaw": {"type": "string"}}, "required": ["text"]}
RUBRIC = {
    "type": "object",
    "properties": {name: {"type": "integer", "minimum": 1, "maximum": 30} for name in ("language", "culture")},
    "required": ["language", "culture"],
}


def test_a_text_is_not_invented() -> None:
    assert parse('{"text":', TEXTS)[0] is None
    assert parse('{"text": "亲爱的妈妈，生日快', TEXTS)[0] == {"text": "亲爱的妈妈，生日快"}


def test_a_truncated_number_may_have_been_a_longer_one() -> None:
    assert parse('{"language": 3, "culture": 2', RUBRIC)[0] is None
    assert parse('{"language": 3, "culture": 2,', RUBRIC)[0] == {"language": 3, "culture": 2}
    assert parse('{"language": 3, "culture": 2.0}', RUBRIC)[0] == {"language": 3, "culture": 2}


def test_enumerated_texts_are_decisions() -> None:
    schema = {"type": "object", "properties": {"winner": {"enum": ["A", "B"]}}, "required": ["winner"]}
    assert parse("{winner: A}", schema)[0] == {"winner": "A"}
    assert parse('{"winner": "A"} {"winner": "B"}', schema)[0] is None
    assert parse('{"winner": "A or B"}', schema)[0] is None
    assert parse('{"Winner": "b"}', schema)[0] == {"winner": "B"}


def test_a_limit_shortens_and_does_not_refuse() -> None:
    reason = {"type": "string", "maxLength": 10}
    judge = {"type": "integer", "enum": [0, 1]}
    schema: dict[str, Any] = {"type": "object", "properties": {"reason": reason, "judge": judge}}
    schema |= {"required": ["reason", "judge"], "additionalProperties": False}
    assert parse('{"reason": "it names her bees", "judge": 1}', schema)[0] == {"reason": "it names …", "judge": 1}
    assert parse('{"judge": 0}', schema)[0] == {"reason": "", "judge": 0}
    assert parse('{"reason": "fine"}', schema)[0] is None
    points = {"type": "object", "properties": {"points": {"type": "array", "maxItems": 2, "items": reason}}}
    assert parse('{"points": ["a", "b", "c"]}', points)[0] == {"points": ["a", "b"]}
    assert parse('{"flaw": "x"}', {**TEXTS, "required": ["text", "flaw"]})[0] is None  # a text is not invented
    assert parse('{"language": "3", "culture": 2}', RUBRIC)[0] == {"language": 3, "culture": 2}
    assert parse('{"language": "99", "culture": 2}', RUBRIC)[0] is None


def test_lists_of_objects_survive_truncation_between_them() -> None:
    point = {"type": "object", "properties": {"point": {"type": "string"}, "reason": {"type": "string"}}}
    schema = {"type": "object", "properties": {"points": {"type": "array", "items": point}}, "required": ["points"]}
    parsed, why = parse('```json\n{"points": [{"point": "a", "reason": "b"}, {"point": "c", "reason": "d', schema)
    assert why is None
    assert parsed["points"][0] == {"point": "a", "reason": "b"}


@given(st.text() | st.text(alphabet='{}[]",: judge01\\\n`tfnu'))
def test_any_text_gives_a_valid_object_or_a_reason(text: str) -> None:
    parsed, why = parse(text, JUDGE)
    assert (parsed is None) == (why is not None)
    if parsed is not None:
        assert type(parsed["judge"]) is int
        assert str(parsed["judge"]) in text


@given(st.integers(0, 1), st.text(max_size=40), st.integers(0, 200), st.sampled_from(["", "```json\n", "Well: "]))
def test_no_cut_changes_the_label(label: int, reason: str, cut: int, before: str) -> None:
    for fields in ({"judge": label, "reason": reason}, {"reason": reason, "judge": label}):
        text = (before + json.dumps(fields, ensure_ascii=False))[:cut]
        parsed, _ = parse(text, JUDGE)
        assert parsed is None or parsed["judge"] == label


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists)))
def test_any_object_is_accepted_only_if_it_satisfies_the_schema(value: dict[str, Any]) -> None:
    parsed, _ = parse(json.dumps(value), JUDGE)
    assert parsed is None
    parsed, _ = parse(json.dumps({**value, "judge": 1}), {"type": "object", "required": ["judge"]})
    assert parsed is None or parsed["judge"] == 1


def test_surrogates_are_joined_or_replaced() -> None:
    assert well_formed("a\ud83d\ude00b\ud800") == "a😀b�"
