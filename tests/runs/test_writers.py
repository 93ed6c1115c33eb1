"""Who writes: what the name of a policy means, and that texts which do not come are counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from inkfire.errors import EndpointDown, InputError, ModelCallError, ModelNameError
from inkfire.files.jsonl import read_jsonl, write_jsonl
from inkfire.files.run import Run
from inkfire.llm.base import Message, Reply, Usage
from inkfire.llm.scripted import ScriptedLLM
from inkfire.models.card import Card
from inkfire.runs.context import Context, Place
from inkfire.runs.writers import (
    ChatWriter,
    Drawing,
    FileWriter,
    Source,
    WeightsWriter,
    Writer,
    as_weights,
    sources_of,
    written,
)
from inkfire.tasks.task import Task, load_task

QUERIES = [f"a wish {i}" for i in range(20)]
ONE = Drawing(temperature=0.7, max_tokens=40, seed=5)


@pytest.fixture
def task(tiny_task: Path) -> Task:
    return load_task(tiny_task)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    return tmp_path


def policy(folder: Path, base: str, task: Task) -> str:
    folder.mkdir()
    Card.of(base, task).write(folder)
    return str(folder)


def texts(writer: Writer, how: Drawing, done: int = 0) -> list[list[str | None]]:
    return [[*of_query] for of_query in writer.write(QUERIES, how, done=done, advance=lambda count, failed: None)]


# ---- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("local/smollm2-135m", "engine"),
        ("own.gguf", "engine"),
        ("org/repo/file.gguf", "engine"),
        ("hf/Qwen/Qwen2.5-0.5B", "weights"),
        ("folder", "weights"),
        ("written.jsonl", "texts"),
        ("gone.jsonl", "texts"),
        ("table", "texts"),
        ("gpt-4.1-mini", "endpoint"),
        ("Qwen/Qwen2.5-0.5B", "endpoint"),
        ("accounts/us/models/llama-v3", "endpoint"),
    ],
)
def test_what_a_name_means(here: Path, name: str, kind: str) -> None:
    (here / "folder").mkdir()
    for file in ("written.jsonl", "table"):
        (here / file).write_text("{}")
    assert Source.of(name).kind == kind


@pytest.mark.parametrize(
    ("base", "name"),
    [
        ("local/smollm2-135m", "local/smollm2-135m"),
        ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B"),
        ("hf/Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B"),
        ("models/own.gguf", "local/models/own.gguf"),
    ],
)
def test_the_base_of_a_policy_is_written_by_the_same_weights(here: Path, task: Task, base: str, name: str) -> None:
    alone = sources_of({"base": name, "gpt": "gpt-4o-mini"})
    assert {source.kind for source in alone.values()} <= {"engine", "endpoint"}
    beside = sources_of({"base": name, "other": "local/qwen2.5-coder-0.5b", "rl": policy(here / "rl", base, task)})
    assert [source.kind for source in beside.values()] == ["weights", "engine", "weights"]
    assert beside["base"].name == name


def test_a_model_that_is_trained_is_no_endpoints(here: Path) -> None:
    (here / "mine").mkdir()
    names = ["Qwen/Qwen2.5-0.5B", "hf/Qwen/Qwen2.5-0.5B", "local/smollm2-135m", "a/b/c.gguf", "mine"]
    assert [as_weights(name) for name in names] == ["hf/Qwen/Qwen2.5-0.5B", *names[1:]]
    assert {Source.of(as_weights(name)).kind for name in names} == {"weights", "engine"}


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("Qwen/Qwen2.5-0.5B", InputError, "set OPENAI_API_KEY; .*for weights from the hub write hf/Qwen/Qwen2.5-0.5B"),
        ("gpt-4o-mini", InputError, "set OPENAI_API_KEY$"),
        ("runs/sfft", ModelNameError, "^runs/sfft: no such file or folder$"),
        ("./sft", ModelNameError, "no such file or folder"),
        ("runs", ModelNameError, "no model"),
        ("hf/Qwen", ModelNameError, "no hub id"),
        ("local/smollm", ModelNameError, "did you mean 'smollm2-135m'"),
    ],
)
def test_who_cannot_write_is_told_before_anything_is_begun(
    here: Path, task: Task, name: str, error: type[Exception], message: str
) -> None:
    (here / "runs").mkdir()
    with pytest.raises(error, match=message):
        Source.of(name).check(task)
    with pytest.raises(InputError, match="name a task too: --task"):
        Source.of(name).check(None)


# ---- whoever writes ------------------------------------------------------------------------------------------------


def asked(task: Task, reply: Callable[[str], Any]) -> ChatWriter:
    def answer(messages: list[Message]) -> Any:
        assert messages == task.messages(messages[-1]["content"])  # the task's own template
        return reply(messages[-1]["content"])

    return ChatWriter(task, ScriptedLLM(answer), 8, "the endpoint")


def test_a_model_is_asked_with_the_tasks_template_and_its_own_draws(task: Task) -> None:
    writer = asked(task, lambda query: f" {query}! \n")
    assert texts(writer, Drawing(n=2, temperature=0.7, max_tokens=40, seed=5)) == [[f"{q}!"] * 2 for q in QUERIES]
    draws = {(call.sampling.seed, call.sampling.sample) for call in writer.llm.calls}
    assert draws == {(5, 0), (6, 1)}
    assert {(call.sampling.temperature, call.sampling.max_tokens) for call in writer.llm.calls} == {(0.7, 40)}


def test_a_text_that_does_not_come_is_none_and_its_reason_is_said(task: Task, capsys: Any) -> None:
    failures = {
        QUERIES[3]: ModelCallError("m refused the request"),
        QUERIES[4]: Reply("", lacking="the reply is empty"),
        QUERIES[5]: Reply(" \n"),
        QUERIES[6]: Reply("long " * 90, finish_reason="length", usage=Usage(9, 95)),  # in the room for thinking
        QUERIES[7]: Reply("cut off at its own", finish_reason="length", usage=Usage(9, 40)),
    }
    drawn = texts(asked(task, lambda query: failures.get(query, query)), ONE)
    assert [i for i, (text,) in enumerate(drawn) if text is None] == [3, 4, 5, 6]
    assert drawn[7] == ["cut off at its own"]
    assert "4 of 20 texts of scripted did not come: the reply is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        (ModelCallError("no"), EndpointDown, "20 of 20 texts of scripted failed: no"),
        (Reply("x", finish_reason="length", usage=Usage(9, 95)), InputError, "longer than 40 tokens; raise --max-tok"),
    ],
)
def test_nothing_written_is_an_error_with_the_reason(
    task: Task, reply: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        texts(asked(task, lambda query: reply), ONE)


def test_nothing_written_for_many_reasons_is_one_too(task: Task) -> None:
    failing = asked(task, lambda query: ModelCallError(f"{chr(97 + QUERIES.index(query) % 5) * 3} broke"))
    with pytest.raises(EndpointDown, match="all 20 texts of scripted failed, 4 of them: aaa broke"):
        texts(failing, ONE)


class Weights:
    """A policy whose texts show what it was asked with."""

    model = SimpleNamespace(dtype="torch.bfloat16")

    def __init__(self) -> None:
        self.asked = 0

    def generate(self, queries: Sequence[str], *, n: int, seed: int, advance: Any, **how: Any) -> list[list[str]]:
        assert how == {"temperature": 0.7, "max_new_tokens": 40}
        self.asked += n * len(queries)
        advance(n * len(queries))
        return [[f"{query}: {seed} {place} {i}" for i in range(n)] for place, query in enumerate(queries)]


@pytest.mark.parametrize("n", [1, 4, 50])
@pytest.mark.parametrize("done", [1, 8, 13, 19])
def test_weights_go_on_with_the_texts_that_they_would_have_written(n: int, done: int) -> None:
    how = Drawing(n=n, temperature=0.7, max_tokens=40, seed=5)
    whole = texts(WeightsWriter(Weights()), how)  # type: ignore[arg-type]
    assert [len(of_query) for of_query in whole] == [n] * 20
    assert texts(WeightsWriter(Weights()), how, done) == whole[done:]  # type: ignore[arg-type]
    assert WeightsWriter(Weights()).by == "weights in this process, bfloat16"  # type: ignore[arg-type]


def test_texts_written_elsewhere(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "gpt.jsonl"
    rows = [{"query": query, "response": f"{query}!"} for query in QUERIES[5:]]
    write_jsonl(path, [*rows, {"query": QUERIES[5], "response": "another"}, {"query": "else", "response": "no"}])
    writer = FileWriter.read(path, QUERIES)
    assert f"{path} has no text for 5 of the 20 queries" in capsys.readouterr().err
    assert texts(writer, ONE) == [[None]] * 5 + [[f"{query}!"] for query in QUERIES[5:]]
    two = texts(writer, Drawing(n=2, temperature=0, max_tokens=1), done=4)
    assert two[:3] == [[None, None], [f"{QUERIES[5]}!", "another"], [f"{QUERIES[6]}!", None]]
    with pytest.raises(InputError, match="no text for 2 of the 2 queries; its queries must be those that are asked"):
        FileWriter.read(path, ["a", "b"])


# ---- in a run folder -----------------------------------------------------------------------------------------------


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Run.open(tmp_path / "run", command="evaluate", settings={}), Place(tmp_path / "run"), ExitStack())


def test_what_is_written_is_read_back_and_what_was_cut_off_goes_on(context: Context) -> None:
    def write(weights: Weights) -> list[Any]:
        found = written(context, "sft", lambda: WeightsWriter(weights), QUERIES, ONE)  # type: ignore[arg-type]
        assert found.by == "weights in this process, bfloat16"
        return found.texts

    path = context.run.path("responses-sft.jsonl")
    whole, again = write(Weights()), Weights()
    assert (write(again), again.asked) == (whole, 0)
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    path.with_name("responses-sft.jsonl.partial").write_bytes(b"".join(lines[:7]) + lines[7][:30])
    path.unlink()
    assert write(Weights()) == whole
    assert path.read_bytes() == content
    # What evaluate has written can be a policy of the next one, with what is missing in it.
    rows = list(read_jsonl(path))
    write_jsonl(path, [{**rows[0], "responses": [None]}, *rows[1:]])
    assert texts(FileWriter.read(path, QUERIES), ONE) == [[None], *whole[1:]]


def test_a_folder_of_an_earlier_version_does_not_say_who_wrote(context: Context) -> None:
    context.run.path("responses-sft.jsonl").write_text(json.dumps({"query": "q", "responses": ["r"]}) + "\n")
    found = written(context, "sft", lambda: FileWriter({}), ["q"], ONE)
    assert (found.texts, found.by) == ([["r"]], None)
