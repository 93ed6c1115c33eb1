"""What a look at a task finds: in prompts, in words, in data; and which commands are ready."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from inkfire.errors import TaskError
from inkfire.files.jsonl import write_jsonl
from inkfire.judge.calibration import MIN_LABELS
from inkfire.stress.injections import MIN_CARRIERS
from inkfire.tasks.check import ADVISED, check_task
from inkfire.tasks.task import load_task, new_task
from inkfire.tasks.uses import COMMANDS, PROMPTS


def found(folder: Path, level: str) -> list[str]:
    return [f"{one['where']}: {one['message']}" for one in check_task(folder)["findings"] if one["level"] == level]


def prompt(folder: Path, name: str, text: str) -> Path:
    (folder / "prompts" / f"{name}.jinja").write_text(text, encoding="utf-8")
    return folder


def test_a_blank_task_says_what_it_lacks(tmp_path: Path) -> None:
    new_task(tmp_path / "t", blank=True)
    result = check_task(tmp_path / "t")
    assert result["ok"]
    assert result["audit"] is None
    assert [one["message"] for one in result["findings"]] == [
        "title is still that of the blank task: say what this task writes",
        "description is still that of the blank task: say what this task writes",
    ]
    ready = {name for name, state in result["commands"].items() if state["ready"]}
    assert ready == {"write", *(name for name in COMMANDS if name.startswith("judge --mode"))}
    assert result["commands"]["judge attack"]["missing"] == ["queries with a bad text: 0 of 3", "good texts: 0 of 1"]


@pytest.mark.parametrize(
    ("name", "text", "level", "message"),
    [
        (
            "verdict",
            "[user]\n{{ respons | quote }}\n",
            "error",
            "prompts/verdict.jinja:2: unknown variable 'respons'",
        ),
        ("verdict", "[user]\n{{ query | quote }}\n", "error", "verdict.jinja: never shows 'response': inkfire judge"),
        ("verdict", "[user]\n{{ query }\n", "error", "prompts/verdict.jinja:2: "),
        ("verdict", "Hello\n", "error", "prompts/verdict.jinja:1: text before the first"),
        ("verdict", "[user]\n{{ query | quote }} {{ response }}\n", "warning", "write {{ response | quote }}"),
        ("verdikt", "[user]\nx\n", "warning", "prompts/verdikt.jinja: no command uses it; did you mean 'verdict'?"),
    ],
)
def test_a_wrong_prompt_is_found(tiny_task: Path, name: str, text: str, level: str, message: str) -> None:
    lines = found(prompt(tiny_task, name, text), level)
    assert any(message in line for line in lines), lines
    assert check_task(tiny_task)["ok"] == (level != "error")
    if level == "error":
        state = check_task(tiny_task)["commands"]["judge --mode verdict"]
        assert state == {"ready": False, "missing": ["prompts/verdict.jinja (see above)"]}


def test_a_prompt_that_still_speaks_of_another_task_is_found(tiny_task: Path) -> None:
    shipped = load_task("greetings-zh").folder / "prompts" / "judge.jinja"
    text = shipped.read_text(encoding="utf-8")
    prompt(tiny_task, "judge", "{# mine #}\n" + text + "\n")
    [line] = [line for line in found(tiny_task, "warning") if "greetings-zh" in line]
    assert line.startswith("prompts/judge.jinja: is word for word the prompt of greetings-zh")
    prompt(tiny_task, "judge", text.replace("[user]", "[user]\nA poem.", 1))
    assert not any("word for word" in line for line in found(tiny_task, "warning"))


@pytest.mark.parametrize(
    ("like", "language", "word"), [("greetings-en", "en", "greetings"), ("greetings-zh", "zh", "祝福")]
)
def test_what_is_left_of_another_task_is_found_also_where_it_was_edited(
    tmp_path: Path, like: str, language: str, word: str
) -> None:
    new_task(tmp_path / "t", blank=True, language=language)
    toml = (tmp_path / "t" / "task.toml").read_text(encoding="utf-8")
    toml = re.sub(r"(?m)^(title|description) = .*$", r'\1 = "Taglines for shops"', toml)
    (tmp_path / "t" / "task.toml").write_text(toml, encoding="utf-8")
    assert found(tmp_path / "t", "warning") == []
    text = (load_task(like).folder / "prompts" / "writer.jinja").read_text(encoding="utf-8")
    prompt(tmp_path / "t", "writer", text.replace("[user]", "Be brief.\n[user]"))
    [line] = found(tmp_path / "t", "warning")
    assert line.startswith(f"prompts/writer.jinja: still speaks of {like} ({word})")
    toml = toml.replace("principles = [", f'principles = [\n  "Kind: the {word} is kind.",')
    (tmp_path / "t" / "task.toml").write_text(toml, encoding="utf-8")
    assert any(line.startswith(f"task.toml: principles: still of {like}") for line in found(tmp_path / "t", "warning"))
    toml = toml.replace("Taglines for shops", f"Taglines with {word}")
    (tmp_path / "t" / "task.toml").write_text(toml, encoding="utf-8")
    assert found(tmp_path / "t", "warning") == []


def test_queries_without_a_tag_are_other(tiny_task: Path) -> None:
    tags = {"a": [], "b": ["odd"], "c": ["festival"]}
    write_jsonl(tiny_task / "queries.jsonl", ({"query": query, "tags": of} for query, of in tags.items()))
    assert check_task(tiny_task)["slices"] == {"other": 2, "festival": 1}
    assert found(tiny_task, "warning") == [
        "queries.jsonl: 2 queries have no slice (their tags: odd): they count as other",
        "task.toml: no query is in the slice 'general'",
    ]


def test_a_file_that_nothing_reads_is_found(tiny_task: Path) -> None:
    for name in ("slop.txt", "worn.txt", "more.txt"):
        (tiny_task / name).write_text("a phrase\n", encoding="utf-8")
    toml = (tiny_task / "task.toml").read_text(encoding="utf-8")
    toml = toml.replace("principles = [", 'checks = ["forbid:worn.txt"]\nprinciples = [', 1)
    (tiny_task / "task.toml").write_text(toml, encoding="utf-8")
    assert [line.partition(" ")[0] for line in found(tiny_task, "warning")] == ["more.txt:"]


def test_data_is_counted_audited_and_read(tiny_task: Path) -> None:
    result = check_task(tiny_task)
    assert result["data"] == {
        "queries": 8, "labelled": 16, "good": 8, "bad": 8, "to_learn": 8, "bad_queries": 8, "pairs": 8,
        "pair_queries": 8,
    }  # fmt: skip
    assert result["audit"]["n"] == 24
    notes = found(tiny_task, "note")
    assert f"queries.jsonl: 8 rows; intervals are wide with fewer than {ADVISED['queries']}" in notes
    assert any(line.startswith("audit: ") for line in notes)
    write_jsonl(tiny_task / "labelled.jsonl", [{"query": "q", "response": "r", "label": 1}])
    assert "labelled.jsonl: no text has label 0: a judge is measured on both" in found(tiny_task, "warning")
    (tiny_task / "labelled.jsonl").write_text('{"query": "q", "response": "r", "label": 2}\n')
    [line] = found(tiny_task, "error")
    assert "labelled.jsonl:1: label must be 0 or 1" in line


def test_a_missing_prompt_leaves_the_commands_that_do_not_need_it(tiny_task: Path) -> None:
    (tiny_task / "prompts" / "reflect.jinja").unlink()
    result = check_task(tiny_task)
    assert result["ok"]
    lacking = {name for name, state in result["commands"].items() if "prompts/reflect.jinja" in state["missing"]}
    assert lacking == {"curate", "judge --mode debate", "run"}


def test_a_wrong_task_file_is_no_task(tiny_task: Path) -> None:
    (tiny_task / "task.toml").write_text("name = ")
    with pytest.raises(TaskError, match=r"task\.toml:1: not valid TOML"):
        check_task(tiny_task)


def test_what_commands_need_is_what_they_ask_for() -> None:
    assert COMMANDS["judge attack"].data["bad_queries"] == MIN_CARRIERS
    assert COMMANDS["refine"].data["labelled"] == 4 * MIN_LABELS  # half is tested on, half of the rest validates
    assert all(set(needs.prompts) <= set(PROMPTS) for needs in COMMANDS.values())
    assert {name for needs in COMMANDS.values() for name in needs.prompts} == set(PROMPTS)


def test_good_texts_are_enough_to_learn_from(tiny_task: Path) -> None:
    for name in ("labelled", "pairs"):
        (tiny_task / f"{name}.jsonl").unlink()
    assert check_task(tiny_task)["commands"]["train sft"]["missing"] == ["good texts: 0 of 1"]
    write_jsonl(tiny_task / "good.jsonl", [{"query": "q", "response": "r"}])
    assert check_task(tiny_task)["commands"]["train sft"]["ready"]


def test_good_texts_of_a_shipped_task_beside_labels_of_ones_own_are_named(tmp_path: Path) -> None:
    new_task(tmp_path / "cards", like="greetings-en")
    assert not any(line.startswith("good.jsonl") for line in found(tmp_path / "cards", "warning"))
    write_jsonl(tmp_path / "cards" / "labelled.jsonl", [{"query": "q", "response": "r", "label": n} for n in (0, 1)])
    [line] = [line for line in found(tmp_path / "cards", "warning") if line.startswith("good.jsonl")]
    assert "is still that of greetings-en, and a writer learns from it" in line


def test_good_texts_for_debates_are_read_too(tiny_task: Path) -> None:
    (tiny_task / "good.jsonl").write_text('{"query": "q", "response": "r", "clicks": -1}\n')
    [line] = found(tiny_task, "error")
    assert "good.jsonl:1: clicks must be a whole number from 0" in line
    state = check_task(tiny_task)["commands"]["judge --mode debate --depth full"]
    assert state["missing"] == [f"prompts/{agent}_full.jinja" for agent in ("positive", "negative", "judge", "reflect")]
