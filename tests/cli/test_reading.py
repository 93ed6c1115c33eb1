"""How data is read, from the command line: files add up, options reach the reader and are part of what a run is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.conftest import Cli

from inkfire.files.jsonl import write_jsonl

ROWS = [{"Ask": f"a wish for {name}", "Good": f"Fair winds, {name}.", "Bad": "All the best."} for name in "ABCDEFGH"]
COLUMNS = ("--column", "query=Ask", "chosen=Good", "--column", "rejected=Bad")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "pairs.jsonl", ROWS)
    return tmp_path / "pairs.jsonl"


def test_files_and_options_add_up(cli: Cli, pairs: Path, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "more.jsonl", [{"query": "q", "chosen": "x", "rejected": "y"}])
    code, found, _ = cli("audit", "--pairs", pairs, "--pairs", tmp_path / "more.jsonl", *COLUMNS, "--json")
    assert (code, found["n_pairs"]) == (0, 9)
    code, _, err = cli("audit", "--pairs", pairs)
    assert code == 2
    assert "pairs.jsonl:1: no 'query', 'chosen', 'rejected'; the row has 'Ask', 'Good', 'Bad'" in err
    code, _, err = cli("audit", "--pairs", pairs, "--column", "quary=Ask")
    assert code == 2
    assert "did you mean 'query'?" in err


def test_a_column_that_no_file_has_is_refused_with_those_that_are_there(cli: Cli, pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text("query,response,Verdict\nq,r,1\n")
    for typo, said in (("tags=Kind", "known: Ask, Good, Bad"), ("label=verdict", "did you mean 'Verdict'")):
        args = ("--pairs", pairs, *COLUMNS) if "tags" in typo else ("--labelled", tmp_path / "texts.csv")
        code, _, err = cli("audit", *args, "--column", typo)
        assert code == 2
        assert f"--column {typo}: no row has a column {typo.partition('=')[2]!r}; {said}" in err
    judged = ("judge", "--task", "greetings-en", "--model", "m", "--base-url", "http://127.0.0.1:9/v1")
    code, _, err = cli(*judged, "--data", tmp_path / "texts.csv", "--column", "label=Verdct", "--out", tmp_path / "run")
    assert (code, (tmp_path / "run").exists()) == (2, False)
    assert "no row has a column 'Verdct'; did you mean 'Verdict'?" in err


def test_a_column_needs_to_be_in_one_of_the_files(cli: Cli, pairs: Path, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "texts.jsonl", [{"query": "q", "response": "r", "label": 1}])
    files = ("--pairs", pairs, "--labelled", tmp_path / "texts.jsonl")
    code, found, _ = cli("audit", *files, *COLUMNS, "--json")
    assert (code, found["n_pairs"], found["n_labelled"]) == (0, len(ROWS), 1)


def test_repeats_across_the_audited_files(cli: Cli, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "pairs", [{"query": "q", "chosen": "x", "rejected": ""}])
    write_jsonl(tmp_path / "labelled", [{"query": "q", "response": "x", "label": 1}])
    code, found, _ = cli("audit", "--pairs", tmp_path / "pairs", "--labelled", tmp_path / "labelled", "--json")
    assert (code, found["repeats_across"], found["blank"]) == (0, 1, 1)


def test_labels_in_words(cli: Cli, tmp_path: Path) -> None:
    rows = [{"query": "q", "response": "x", "label": "fine"}, {"query": "q", "response": "y", "label": -1}]
    write_jsonl(tmp_path / "labelled.jsonl", rows)
    code, found, _ = cli(
        "audit", "--labelled", tmp_path / "labelled.jsonl", "--label", "fine=1", "--label=-1=0", "--json"
    )
    assert (code, found["good_share"]) == (0, 0.5)
    code, _, err = cli("audit", "--labelled", tmp_path / "labelled.jsonl")
    assert code == 2
    assert 'label must be 0 or 1, found "fine"' in err


def test_reading_is_part_of_what_a_run_is(cli: Cli, pairs: Path, tmp_path: Path) -> None:
    train = ("train", "rm", "--pairs", pairs, "--out", tmp_path / "rm", "--json", *COLUMNS)
    assert cli(*train)[0] == 0
    manifest = json.loads((tmp_path / "rm" / "manifest.json").read_text())
    assert manifest["settings"]["reading"] == {"column": ["query=Ask", "chosen=Good", "rejected=Bad"]}
    assert cli(*train)[0] == 0
    code, _, err = cli(*train, "--strip-prefix", "a wish ")
    assert code == 2
    assert "settings.reading.strip_prefix was null" in err
    code, again, _ = cli("run", "--like", tmp_path / "rm", "--out", tmp_path / "again", "--json")
    assert (code, again["n"]) == (0, cli(*train)[1]["n"])


def test_a_run_on_several_files_is_repeated_with_all_of_them(cli: Cli, tmp_path: Path) -> None:
    files = []
    for i in range(11):
        write_jsonl(tmp_path / f"{i}.jsonl", [{"query": f"q{i}", "chosen": f"fine {i}", "rejected": "bad"}])
        files += ["--pairs", tmp_path / f"{i}.jsonl"]
    assert cli("train", "rm", *files, "--out", tmp_path / "rm")[0] == 0
    manifest = json.loads((tmp_path / "rm" / "manifest.json").read_text())
    assert "reading" not in manifest["settings"]
    assert list(manifest["inputs"]) == ["pairs", *(f"pairs {i}" for i in range(2, 12))]
    assert cli("run", "--like", tmp_path / "rm", "--out", tmp_path / "again")[0] == 0
    again = json.loads((tmp_path / "again" / "manifest.json").read_text())
    assert (again["settings"], again["inputs"]) == (manifest["settings"], manifest["inputs"])


def test_a_recipe_has_it_as_a_table(tmp_path: Path) -> None:
    from inkfire.runs.recipe import load_recipe, new_recipe

    new_recipe(tmp_path / "mine.toml", like="demo-zh")
    with (tmp_path / "mine.toml").open("a") as file:
        file.write('\n[reading]\ncolumn = ["query=Ask"]\nsystem = "drop"\n')
    reading = load_recipe(str(tmp_path / "mine.toml")).reading
    assert (reading.column, reading.system) == (("query=Ask",), "drop")
