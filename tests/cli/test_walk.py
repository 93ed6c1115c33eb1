"""A person with three tables and an endpoint of their own, from the spreadsheet's export to the report; and what cannot
work, each in one line that says what to change."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bookseller import answer, taste
from cli.conftest import Cli
from stub_endpoint import Stub, served

from inkfire.files.jsonl import read_jsonl
from inkfire.files.run import locked

CARDS = Path(__file__).parents[1] / "data" / "shelf-cards"
TABLES = "--queries queries.csv --labelled rated.csv --pairs pairs.tsv"
RATED = "--column query=Ask response=Text label=Verdict --label print=1 bin=0"
PAIRS = "--column chosen=Better rejected=Worse"
FILL = f"tasks fill cards {TABLES} {RATED} {PAIRS} --column tags=Section"
Typed = Callable[[str], str]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    """A folder with the three tables, and a bookseller at the endpoint."""
    shutil.copytree(CARDS, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    with served(answer, mark=taste) as stub:
        monkeypatch.setenv("OPENAI_BASE_URL", stub.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-shop")
        yield stub


@pytest.fixture
def typed(cli: Cli) -> Typed:
    """What a command says that ends well."""

    def call(line: str) -> str:
        code, result, err = cli(*shlex.split(line.removeprefix("inkfire ")))
        assert code == 0, err
        return str(result["text"])

    return call


def following(said: str) -> str:
    """The command that a command says comes next."""
    return said.split("Next: ")[1].strip()


def described() -> None:
    """What a person writes into task.toml."""
    path = Path("cards/task.toml")
    text = path.read_text()
    for key, value in (
        ("title", '"Shelf cards for a small bookshop"'),
        ("description", '"One line of 6 to 25 words for a card on a shelf: dry, warm, about a thing that is there."'),
        ("max_tokens", "60"),
    ):
        text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, count=1, flags=re.MULTILINE)
    path.write_text(text)


def stage(run: str, name: str) -> dict[str, Any]:
    return dict(json.loads(Path("runs", run, "stages", f"{name}.json").read_text()))


@pytest.mark.slow
def test_from_three_tables_to_a_report(shop: Stub, typed: Typed, base: str) -> None:
    said = typed("tasks new cards --blank --language en")
    assert "change title and description in task.toml" in said
    assert following(said).startswith("inkfire tasks fill cards --queries")
    said = typed(FILL)
    assert (
        "queries.jsonl (160 rows), held-out.jsonl (40 rows), labelled.jsonl (150 rows), pairs.jsonl (80 rows)" in said
    )
    described()
    said = typed(following(said))
    assert re.search(r"^cards is ready for (\d+) of \1 commands; \d+ notes\.$", said, re.MULTILINE)
    assert "is still that of" not in said

    # The tables as they are: one command, and the next one it names reads them the same way.
    said = typed(f"audit --labelled rated.csv --pairs pairs.tsv {RATED} {PAIRS}")
    assert "Length is not shown to be a shortcut" in said
    assert "rows in two of the audited files   0" in said
    assert "--column query=Ask chosen=Better rejected=Worse --out" in following(said)
    assert "the linear reward model is right on" in typed(following(said))

    assert typed("models check bookseller").startswith("bookseller lacks nothing")
    said = typed("curate --task cards --model bookseller --limit 12 --out runs/pairs")
    made = list(read_jsonl("runs/pairs/pairs.jsonl"))
    assert said.startswith(f"{len(made)} preference pairs came of 12 queries")
    assert sum(taste(row["chosen"][0]["content"]) > taste(row["rejected"][0]["content"]) for row in made) == len(made)

    said = typed("judge --task cards --model bookseller --out runs/judge")
    judged = stage("judge", "judge")
    assert "It may serve as a reward." in said
    assert (judged["n"], judged["n_fit"], judged["unscored"], judged["injections"]) == (105, 45, 0, 0)
    assert judged["auc_within_query_ci"][0] > 0.5
    assert 0.75 < judged["auc"] < 0.95  # it sees most of what the ratings go by
    typed("judge --task cards --model bookseller --mode pairwise --out runs/compare")
    assert stage("compare", "pairwise")["accuracy"] > 0.75

    small = f"--base {shlex.quote(base)} --epochs 0.3"
    assert "on 74 texts the loss went from" in typed(f"train sft --task cards {small} --out runs/sft")
    said = typed("train rm --task cards --pairs cards/pairs.jsonl --pairs runs/pairs/pairs.jsonl --out runs/both")
    assert f"of {80 + len(made)} pairs" in said
    steps = "--max-steps 2 --max-completion-length 16"
    said = typed(f"train grpo --task cards --policy runs/sft --reward runs/judge {steps} --force --out runs/rl")
    assert "In 2 steps the mean reward went from" in said
    assert "--prompts cards/held-out.jsonl" in re.sub(r"\S*/cards/", "cards/", following(said))

    policies = f"--policy base={shlex.quote(base)} --policy sft=runs/sft --policy rl=runs/rl --policy gpt=bookseller"
    signals = "--signal rm=runs/both --signal judge=runs/judge --signal length"
    evaluate = f"evaluate --task cards --prompts cards/held-out.jsonl {policies} {signals} --out runs/eval"
    said = typed(evaluate)
    assert said.startswith("On 40 held-out queries no trained policy is shown to write better than the base model. ")
    assert "What tells gpt apart is only by signals that are not qualified." in said  # they do not see all damage
    assert "gpt: the endpoint" in said  # by another engine, which may be the difference
    assert "- gpt gains over base only by signals that are not qualified" in said
    evaluation = json.loads(Path("runs/eval/evaluation.json").read_text())
    assert (evaluation["n"], evaluation["seen"]) == (40, [])  # nothing was trained on these queries
    asked = len(shop.log)
    assert typed(evaluate).splitlines()[0] == said.splitlines()[0]
    assert len(shop.log) == asked
    assert "\nThe report: runs/eval/report.html\n" in said
    assert "votes by 1 rater" in typed(following(said))  # base and rl, blind: what no signal shows people may
    page = Path("runs/eval/report.html").read_text()
    assert all(name in page for name in ("gpt", "base", "rl", "cards"))


# ---- what cannot work ----------------------------------------------------------------------------------------------


@pytest.fixture
def cards(shop: Stub, typed: Typed) -> Path:
    """The task, filled."""
    typed("tasks new cards --blank --language en")
    typed(FILL)
    described()
    return Path("cards")


EVALUATE = "evaluate --task cards --prompts queries.csv --column query=Ask"
JUDGE = "judge --task cards --model bookseller --out runs/x"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"{JUDGE} --data rated.csv", "rated.csv:2: no 'query', 'response'; the row has 'Ask', 'Text', 'Verdict'"),
        (f"{JUDGE} --data rated.csv --column query=Ask response=Card label=Verdict", "no row has a column 'Card'"),
        (f"{JUDGE} --data rated.csv {RATED.replace('print=1', 'yes=1')}", 'label must be 0 or 1, found "print"'),
        ("train rm --pairs queries.csv --out runs/x", "queries.csv:2: no 'query', 'chosen', 'rejected'"),
        ("train rm --out runs/x", "name the pairs: --pairs F, or --task FOLDER"),
        ("tasks fill untitled --queries queries.csv --column query=Ask", "task.toml: the key 'title' is missing"),
        ("tasks fill nowhere --queries queries.csv", "inkfire tasks new nowhere --blank begins your own"),
        ("tasks fill cards --queries asks.xlsx", "asks.xlsx: a zip or Excel file: unpack it, or save the sheet as CSV"),
        ("curate --task cards --model m --prompts empty.csv --out runs/x", "empty.csv: the data set is empty"),
        ("curate --task empty --model m --out runs/x", "inkfire tasks fill empty --queries F makes it"),
        ("train sft --task cards --base nothere --out runs/x", "nothere: no such folder, and no hub id (ORG/NAME)"),
        ("train sft --task cards --base cards --out runs/x", "cards: no model (the folder has no config.json)"),
        (
            "write --policy bookseller --task cards --max-tokes 5",
            "unknown option '--max-tokes'; see inkfire write --help",
        ),
        (JUDGE.replace("runs/x", "runs/taken"), "runs/taken is in use by process"),
        (JUDGE.replace("runs/x", "cards"), "cards is not empty and holds no run of inkfire; use another --out"),
        (JUDGE.replace("runs/x", "queries.csv"), "queries.csv is a file; --out names a folder"),
        (f"{JUDGE} --base-url https://api.openai.com/v1", "needs a key: set OPENAI_API_KEY"),
        (f"{EVALUATE} --policy a=bookseller --signal judge=runs --out runs/x", "runs: no reward"),
        (f"{EVALUATE} --policy a=bookseller --signal judge=a-reward --out runs/x", "write --signal rm=a-reward"),
        (f"{EVALUATE} --policy bookseller --signal length --out runs/x", "--policy 'bookseller': write NAME=FOLDER"),
    ],
)
def test_what_cannot_work_ends_in_one_line(
    cards: Path, cli: Cli, line: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("empty.csv").touch()
    Path("a-reward").mkdir()
    Path("a-reward/reward.json").write_text("{}")
    Path("asks.xlsx").write_bytes(b"PK\x03\x04 and so on")
    shutil.copytree(cards, "untitled")
    shutil.copytree(cards, "empty", ignore=shutil.ignore_patterns("*.jsonl"))
    path = Path("untitled/task.toml")
    path.write_text(re.sub("^title.*\n", "", path.read_text(), flags=re.MULTILINE))
    monkeypatch.delenv("OPENAI_API_KEY")
    with locked(Path("runs/taken")):
        before = {path for path in Path().rglob("*") if ".inkfire" not in path.parts}
        code, _, err = cli(*shlex.split(line))
        assert code == 2
        last = err.strip().splitlines()[-1]
        assert said in last
        assert last.startswith("Error: ")
        assert {path for path in Path().rglob("*") if ".inkfire" not in path.parts} == before


def test_an_endpoint_that_is_down_is_said_and_the_run_goes_on_when_it_is_up(
    cards: Path, shop: Stub, cli: Cli, typed: Typed
) -> None:
    code, _, err = cli(*shlex.split(JUDGE), "--base-url", "http://127.0.0.1:9/v1")
    assert code == 4
    assert "at http://127.0.0.1:9/v1 cannot be reached: is it running? Check --base-url" in err.splitlines()[-1]
    assert "It may serve as a reward." in typed(f"{JUDGE} --base-url {shop.url}")


def test_texts_of_one_kind_measure_nothing(cards: Path, cli: Cli) -> None:
    table = Path("rated.csv").read_text().splitlines()
    Path("good.csv").write_text("\n".join(row for row in table if not row.endswith(",bin")) + "\n")
    code, result, err = cli(*shlex.split(f"{JUDGE} --data good.csv {RATED}"))
    assert code == 0
    assert "74 texts, all with one label: nothing says whether it tells good from bad" in result["text"]
    code, _, err = cli("score", "--reward", "runs/x", "--data", "cards/labelled.jsonl")
    assert code == 2
    assert "never measured on labelled texts of both classes" in err
