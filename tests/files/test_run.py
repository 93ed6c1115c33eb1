"""Run folders: resume, refusal, atomicity."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkfire.errors import DataError, RunFolderError
from inkfire.files.jsonl import JsonlWriter, read_jsonl, sha256_file, write_json, write_jsonl
from inkfire.files.run import Redone, Run, locked


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def open_run(out: Path, **changes: Any) -> Run:
    prompts = out.parent / "prompts.txt"
    if not prompts.exists():
        prompts.write_text("一\n")
    known: dict[str, Any] = {
        "command": "curate",
        "settings": {"candidates": 4, "agents": {"judge": "a"}},
        "inputs": {"prompts": prompts},
        "seed": 7,
    }
    return Run.open(out, **(known | changes))


def test_a_run_resumes(tmp_path: Path) -> None:
    run = open_run(tmp_path / "run")
    assert run.done("pairs") is None
    run.complete("pairs", {"n": 3, "share": 0.5}, seconds=2.0)
    again = open_run(tmp_path / "run")
    assert again.done("pairs") == {"n": 3, "share": 0.5}
    again.complete("pairs", {"n": 3}, seconds=1.5)
    assert again.seconds() == {"pairs": 3.5}
    assert again.ledger_path == tmp_path / ".inkfire" / "ledger.sqlite"


def test_the_manifest_says_what_made_the_folder(tmp_path: Path) -> None:
    open_run(tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["command"] == "curate"
    assert manifest["seed"] == 7
    assert manifest["format"] == 2
    assert manifest["inputs"]["prompts"] == {"path": "prompts.txt", "sha256": sha256_file(tmp_path / "prompts.txt")}
    assert {"versions", "inkfire", "python", "platform"} <= manifest.keys()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"command": "refine"}, 'command was "curate" and is "refine" now'),
        ({"settings": {"candidates": 8, "agents": {"judge": "a"}}}, "settings.candidates was 4 and is 8 now"),
        ({"settings": {"candidates": 4, "agents": {"judge": "b"}}}, 'settings.agents.judge was "a" and is "b" now'),
        ({"settings": {"candidates": 4, "agents": {}}}, 'settings.agents.judge was "a" and is null now'),
        ({"settings": {"candidates": True, "agents": {"judge": "a"}}}, "settings.candidates was 4 and is true now"),
        ({"seed": 8}, "seed was 7 and is 8 now"),
        ({"inputs": {}}, "input prompts was prompts.txt and is None now"),
    ],
)
def test_another_run_is_refused_and_left_untouched(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    out = tmp_path / "run"
    open_run(out).complete("pairs", {"n": 3}, seconds=1)
    before = contents(out)
    with pytest.raises(RunFolderError) as error:
        open_run(out, **changes)
    assert named in str(error.value)
    assert "another --out" in str(error.value)
    assert contents(out) == before


def test_changed_input_is_refused(tmp_path: Path) -> None:
    open_run(tmp_path / "run").complete("pairs", {"n": 3}, seconds=1)
    (tmp_path / "prompts.txt").write_text("二\n")
    with pytest.raises(RunFolderError, match="contents of input prompts"):
        open_run(tmp_path / "run")


def test_a_try_that_left_no_result_binds_nobody(tmp_path: Path) -> None:
    out = tmp_path / "run"
    open_run(out)
    (out / "pairs.jsonl.partial").write_text("{}\n")
    run = open_run(out, settings={"candidates": 8})
    assert run.manifest["settings"] == {"candidates": 8}
    assert open_run(out, settings={"candidates": 8}).manifest["settings"] == {"candidates": 8}


def test_with_consent_what_depends_on_a_change_is_redone_and_the_rest_kept(tmp_path: Path) -> None:
    out, asked = tmp_path / "run", []

    def consent(question: str) -> bool:
        asked.append(question)
        return True

    def redo(changed: Sequence[str]) -> Redone:
        assert changed == ["settings.candidates"]
        return Redone("stage pairs", ("stages/pairs.json",))

    run = open_run(out)
    run.complete("pairs", {"n": 3}, seconds=1)
    run.complete("texts", {"n": 9}, seconds=1)
    changed = {"candidates": 8, "agents": {"judge": "a"}}
    again = open_run(out, settings=changed, consent=consent, redo=redo)
    assert asked == [f"{out}: settings.candidates was 4 and is 8 now. This redoes stage pairs."]
    assert again.done("pairs") is None
    assert again.done("texts") == {"n": 9}
    assert open_run(out, settings=changed).manifest["settings"] == changed


def test_without_consent_it_is_said_what_would_be_redone(tmp_path: Path) -> None:
    open_run(tmp_path / "run").complete("pairs", {"n": 3}, seconds=1)
    with pytest.raises(RunFolderError, match=r"--yes redoes all of it"):
        open_run(tmp_path / "run", seed=8)


def test_a_folder_of_an_earlier_version_is_refused_in_words(tmp_path: Path) -> None:
    out = tmp_path / "run"
    open_run(out).complete("pairs", {"n": 3}, seconds=1)
    manifest = json.loads((out / "manifest.json").read_text())
    del manifest["format"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    before = contents(out)
    with pytest.raises(RunFolderError, match="made by an earlier inkfire"):
        open_run(out, seed=8, consent=lambda question: True)
    assert contents(out) == before


def test_inputs_are_found_again_where_they_lay(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("一\n")
    run = Run.open(tmp_path / "a" / "run", command="x", settings={}, inputs={"prompts": tmp_path / "prompts.txt"})
    assert run.places() == {"prompts": tmp_path / "prompts.txt"}
    assert str(tmp_path) not in (run.out / "places.json").read_text()


def test_a_moved_folder_is_the_same_run(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("一\n")
    first = Run.open(tmp_path / "a" / "run", command="x", settings={}, inputs={"p": tmp_path / "prompts.txt"})
    first.complete("x", {"n": 1}, seconds=1)
    before = sha256_file(first.out)
    first.out.rename(tmp_path / "b")
    again = Run.open(tmp_path / "b", command="x", settings={}, inputs={"p": tmp_path / "prompts.txt"})
    assert again.done("x") == {"n": 1}
    assert sha256_file(again.out) == before


def test_one_process_at_a_time_and_a_kill_leaves_nothing_to_remove(tmp_path: Path) -> None:
    out = tmp_path / "run"
    code = (
        f"import sys, time; from pathlib import Path; from inkfire.files.run import locked\n"
        f"with locked(Path({str(out)!r})):\n print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunFolderError, match=f"in use by process {other.pid}:"), locked(out):
            pass
        other.kill()
    with locked(out):
        pass


def test_folders_that_are_no_run(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="holds no run"):
        open_run(foreign)
    assert contents(foreign) == {"thesis.txt": b"mine"}
    with pytest.raises(RunFolderError, match="is a file"):
        open_run(foreign / "thesis.txt")
    with pytest.raises(RunFolderError, match="cannot write"):
        Run.open(Path("/proc/inkfire"), command="curate", settings={})


def test_a_kill_during_the_first_write_does_not_block_the_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / ".manifest.json.17.tmp").write_text("{")
    assert open_run(out).done("pairs") is None


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "manifest.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"manifest\.json"):
        open_run(out)


def test_missing_input(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        open_run(tmp_path / "run", inputs={"pairs": tmp_path / "absent.jsonl"})
    assert not (tmp_path / "run").exists()


def test_a_folder_as_input_is_known_by_its_contents(tmp_path: Path) -> None:
    folder = tmp_path / "policy"
    write_json(folder / "policy.json", {"base": "x"})
    first = sha256_file(folder)
    for name in ("timings.json", "used.json", "report.html", "places.json", "sft/report.html"):
        write_json(folder / name, {"sft": 1.0})
        assert sha256_file(folder) == first, name
    write_json(folder / "policy.json", {"base": "y"})
    assert sha256_file(folder) != first


def test_a_disk_that_refuses_the_file_and_its_removal_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "fsync", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(RunFolderError, match=r"cannot write .*one\.json: Read-only file system"):
        write_json(tmp_path / "one.json", 1)


def test_what_a_kill_left_of_a_file_goes_when_the_run_is_opened_again(tmp_path: Path) -> None:
    out = tmp_path / "run"
    open_run(out).complete("pairs", {"n": 3}, seconds=1, used={"calls": 8})
    whole = sha256_file(out)
    for name in (".places.json.4711.tmp", "stages/.pairs.json.12.tmp"):
        (out / name).write_text("{")
    (out / ".mine.tmp").write_text("not ours")
    assert sha256_file(out) != whole
    assert open_run(out).used() == {"pairs": {"calls": 8}}
    assert [path.name for path in out.rglob("*.tmp")] == [".mine.tmp"]
    (out / ".mine.tmp").unlink()
    assert sha256_file(out) == whole


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert write_jsonl(path, [{"a": 1}]) == 1

    def rows() -> Any:
        yield {"a": 2}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_jsonl(path, rows())
    assert contents(tmp_path) == {"rows.jsonl": b'{"a": 1}\n'}


def test_jsonl_writer_becomes_whole_on_close(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "rows.jsonl"
    with JsonlWriter(path) as writer:
        writer.write({"text": "春"})
        assert not path.exists()
        assert (tmp_path / "deep" / "rows.jsonl.partial").read_text() == '{"text": "春"}\n'
    assert path.read_text() == '{"text": "春"}\n'
    assert writer.count == 1
    with pytest.raises(TypeError), JsonlWriter(path) as writer:
        writer.write({"text": object()})
    assert path.read_text() == '{"text": "春"}\n'


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
# st.text() leaves out lone surrogates; models send them all the same.
texts = st.text(st.characters(exclude_categories=[]) | st.sampled_from("\ud800\u2028\x85\x00\ufeff"))


@given(rows=st.lists(st.dictionaries(texts, json_values | texts, max_size=3), max_size=4))
def test_jsonl_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "rows.jsonl"
    assert write_jsonl(path, rows) == len(rows)
    assert list(read_jsonl(path)) == rows


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"auc": float("nan"), "list": [float("inf"), 1.0]})
    assert json.loads((tmp_path / "x.json").read_text()) == {"auc": None, "list": [None, 1.0]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1}\n{"a": \n', ":2: not valid JSON: Expecting value"),
        (b'{"a": 1}\n\n[1]\n', ":3: expected a JSON object, found a list"),
        (b'{"a": 1}\n{"a": "\xff"}\n', ":2: not UTF-8"),
        (b'{"a": NaN}\n', ":1: not valid JSON: NaN"),
        (b"[" * 100_000, ":1: not valid JSON: maximum recursion"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        list(read_jsonl(path))
    assert str(error.value).startswith(f"{path}{message}")


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        list(read_jsonl(tmp_path / "absent"))
    with pytest.raises(DataError, match="is a folder"):
        list(read_jsonl(tmp_path))


def test_a_byte_order_mark_is_no_part_of_the_data(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n')
    assert list(read_jsonl(path)) == [{"a": 1}]


@pytest.mark.parametrize(
    ("now", "was"),
    [
        ({"depth": "short", "k_search": 20, "k_final": 2, "agent": [], "retrieval": "bm25"}, None),
        ({"depth": None, "points": None}, None),
        ({"depth": "full"}, 'settings.depth was "short" and is "full" now'),
        ({"k_final": 3}, "settings.k_final was 2 and is 3 now"),
        ({"agents": {"judge": "a", "depth": "short"}}, None),
        ({"agents": {"judge": "a", "depth": "full"}}, 'agents.depth was "short" and is "full" now'),
    ],
)
def test_a_setting_without_a_name_in_the_manifest_is_what_it_was_then(
    tmp_path: Path, now: dict[str, Any], was: str | None
) -> None:
    run = open_run(tmp_path / "run")
    run.complete("pairs", {"n": 3}, seconds=2.0)
    settings = {"candidates": 4, "agents": {"judge": "a"}} | now
    if was is None:
        assert open_run(tmp_path / "run", settings=settings).done("pairs") == {"n": 3}
    else:
        with pytest.raises(RunFolderError, match=was):
            open_run(tmp_path / "run", settings=settings)


def test_a_try_that_was_wrong_from_the_start_leaves_no_trace(tmp_path: Path) -> None:
    run = Run.open(tmp_path / "wrong", command="judge", settings={})
    run.path("verdicts.jsonl.partial").write_text("{}\n")
    run.withdraw()
    assert not (tmp_path / "wrong").exists()

    kept = Run.open(tmp_path / "kept", command="judge", settings={})
    kept.path("responses-base.jsonl").write_text("{}\n")
    kept.withdraw()
    assert Run.read(tmp_path / "kept").manifest["command"] == "judge"
