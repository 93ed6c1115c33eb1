"""A task that is begun: prompts that speak of nothing but the task's own title and description, in every state."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from inkfire.debate.settings import AGENTS
from inkfire.errors import DataError, TaskError
from inkfire.files.jsonl import write_jsonl
from inkfire.models.card import Template
from inkfire.tasks.prompts import parts
from inkfire.tasks.task import Task, load_task, new_task
from inkfire.tasks.uses import PROMPTS

GREETING = re.compile(r"greet|wish|birthday|festival|occasion for|祝", re.I)
ITEM: dict[str, Any] = {
    "query": "QUERY",
    "response": "RESPONSE",
    "examples": [{"query": "NEAR", "response": "GOOD", "label": 1}, {"query": "FAR", "response": "POOR", "label": 0}],
    "principles": ["RULE"],
    "flaws": ["FLAW"],
    "a": "ONE",
    "b": "OTHER",
    "criteria": {"1": "CRITERION"},
    "texts": {"A": "ONE", "B": "OTHER"},
    "positive": {"POINT": "REASON"},
    "negative": {"POINT": "REASON"},
    "verdict": {"judge": 0, "reason": "WHY"},
    "label": 1,
    "current": ["ENTRY"],
    "proposals": ["PROPOSAL"],
    "kind": "principles",
    "limit": 10,
    "aspects": ["ASPECT"],
    "points": 6,
    "sentence": 20,
}


@pytest.fixture
def blank(tmp_path: Path) -> Task:
    """A task of Persian quatrains, begun blank."""
    folder = tmp_path / "rubai"
    assert new_task(folder, blank=True, language="fa") == []
    file = folder / "task.toml"
    text = (
        file.read_text(encoding="utf-8").replace("Short texts", "Quatrains").replace("A short text that", "A poem that")
    )
    file.write_text(text.replace("scale = [1, 3]", "scale = [0, 5]"), encoding="utf-8")
    return load_task(folder)


def test_a_blank_task_is_named_and_has_no_data(blank: Task) -> None:
    assert (blank.name, blank.language, blank.title) == ("rubai", "fa", "Quatrains")
    assert not any(blank.has(name) for name in ("queries", "labelled", "pairs"))
    assert blank.slices == {}


@pytest.mark.parametrize("begun", [{"blank": True}, {}, {"like": "greetings-zh"}, {"language": "de"}])
def test_no_prompt_has_a_word_of_greetings(tmp_path: Path, begun: dict[str, Any]) -> None:
    new_task(tmp_path / "t", **begun)
    for name, use in PROMPTS.items():
        text = (tmp_path / "t" / "prompts" / f"{name}.jinja").read_text(encoding="utf-8")
        assert not GREETING.search(text), name
        first, second = text.split("\n")[:2]
        assert first == use.comment
        assert re.fullmatch(r"\{# inkfire \w+.* #\}", first)
        assert second == "[system]"


@pytest.mark.parametrize("prompt", PROMPTS)
def test_every_prompt_speaks_of_the_task_in_every_state(blank: Task, prompt: str) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"examples": []},
        {"label": 0},
        {"kind": "flaws"},
        {"positive": None, "negative": None},
    ]
    if prompt in ("reflect", "reflect_full"):
        changes.append({"verdict": None})
    if prompt == "reflector":
        changes.append({"verdict": {"judge": 1, "reason": ""}})
    for change in changes:
        values = {name: value for name, value in (ITEM | change).items() if name in PROMPTS[prompt].given}
        messages = blank.render(prompt, **values)
        assert messages[0]["role"] == "system"
        assert messages[-1]["role"] == "user"
        text = "\n".join(message["content"] for message in messages)
        assert "Quatrains" in messages[0]["content"]
        assert blank.description in messages[0]["content"]
        assert "Persian" in text or prompt == "optimizer"
        assert "{#" not in text
        assert "\n\n\n" not in text
        for name in PROMPTS[prompt].must.split():
            value = values[name]
            assert (value if isinstance(value, str) else next(iter(value))) in text


def test_agents_share_the_beginning_so_that_a_prefix_cache_serves_it(blank: Task) -> None:
    rendered = []
    for agent in AGENTS:
        values = {name: value for name, value in ITEM.items() if name in PROMPTS[agent].given}
        rendered.append([message["content"] for message in blank.render(agent, **values)])
    assert len({system for system, _ in rendered}) == 1
    item = rendered[0][1].partition('"RESPONSE"')[0]
    assert all(user.startswith(item + '"RESPONSE"\n') for _, user in rendered)


def test_the_rubric_asks_for_the_tasks_own_dimensions(blank: Task) -> None:
    system = blank.render("rubric", query="q", response="r", examples=[])[0]["content"]
    assert 'Answer as JSON: {"language": n, "originality": n, "fit": n, "substance": n}' in system
    assert "4 dimensions a whole number from 0 to 5" in system


def test_writers_get_the_query_as_it_is_and_a_policy_carries_the_template(blank: Task) -> None:
    query = 'Say {{ 1 }} "now"'
    assert blank.messages(query)[-1] == {"role": "user", "content": query}
    assert Template.of(blank).messages(query) == blank.messages(query)
    assert Template.of(blank, "writer_alt").messages(query) == blank.messages(query, "writer_alt")


@pytest.mark.parametrize(("language", "words"), [("zh", "16 characters"), ("de", "8 words")])
def test_reasons_are_short_in_the_tasks_language(tmp_path: Path, language: str, words: str) -> None:
    """A debate holds reasons to 24 characters in Chinese, Japanese and Korean, to 100 in other languages."""
    new_task(tmp_path / "t", blank=True, language=language)
    values = {name: value for name, value in ITEM.items() if name in PROMPTS["judge"].given}
    assert words in load_task(tmp_path / "t").render("judge", **values)[-1]["content"]


def test_data_in_another_language_is_left_out(tmp_path: Path) -> None:
    assert new_task(tmp_path / "en", like="greetings-en", language="en") == []
    assert len(load_task(tmp_path / "en").labelled()) == len(load_task("greetings-en").labelled())
    left_out = new_task(tmp_path / "fr", like="greetings-en", language="fr")
    assert left_out == ["queries.jsonl", "labelled.jsonl", "pairs.jsonl", "good.jsonl"]
    assert load_task(tmp_path / "fr").language == "fr"
    assert not load_task(tmp_path / "fr").has("queries")


def test_a_tasks_own_prompts_are_copied_with_it(tiny_task: Path, tmp_path: Path) -> None:
    new_task(tmp_path / "copy", like=str(tiny_task))
    for path in (tiny_task / "prompts").iterdir():
        assert (tmp_path / "copy" / "prompts" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"blank": True, "like": "greetings-en"}, "leave --from out, or --blank"),
        ({"blank": True, "language": "Persian"}, "--language 'Persian': write a code"),
        ({"like": "greetings-xx"}, "no task 'greetings-xx'; did you mean"),
    ],
)
def test_what_cannot_be_begun_is_refused(tmp_path: Path, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        new_task(tmp_path / "t", **asked)
    assert not (tmp_path / "t").exists()


def test_a_comment_stands_on_top_and_is_not_said(tmp_path: Path) -> None:
    lead, rest = parts("{# one #}\n{# [user]\ntwo #}\n[user]\nhi {# three #}\n")
    assert (lead, rest) == ("{# one #}\n{# [user]\ntwo #}\n", "[user]\nhi {# three #}\n")
    assert parts("[user]\nhi")[0] == ""


def test_what_a_task_is_not_used_with_may_be_missing(tiny_task: Path) -> None:
    for name in ("reflect", "generator"):
        (tiny_task / "prompts" / f"{name}.jinja").unlink()
    (tiny_task / "pairs.jsonl").unlink()
    task = load_task(tiny_task)
    task.require("writer", "judge")
    with pytest.raises(TaskError, match=r"generator\.jinja: no such prompt; it is for inkfire refine"):
        task.require("writer", "generator")
    with pytest.raises(DataError, match=r"pairs\.jsonl: no such file; inkfire tasks fill \S+ --pairs F"):
        task.pairs()
    write_jsonl(tiny_task / "pairs.jsonl", [])
    assert task.has("pairs")
