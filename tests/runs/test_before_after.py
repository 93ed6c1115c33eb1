"""What a training's folder tells of its texts: two queries, before and after."""

from __future__ import annotations

from pathlib import Path

from inkfire.files.jsonl import write_jsonl
from inkfire.runs.before_after import before_after


def test_of_sft_the_bases_text_and_its_own(tmp_path: Path) -> None:
    rows = [
        {"by": by, "query": f"wish {i}", "response": f"{by}\n{i}", "log_prob": -1.0}
        for by in ("trained", "base")
        for i in range(3)
    ]
    write_jsonl(tmp_path / "samples.jsonl", rows)
    assert before_after(tmp_path) == [
        "  wish 0",
        "    base   base 0",
        "    after  trained 0",
        "  wish 1",
        "    base   base 1",
        "    after  trained 1",
    ]


def test_of_grpo_the_first_and_the_last_look(tmp_path: Path) -> None:
    rows = [{"step": step, "query": "a wish", "response": f"of {step}" + "x" * 200} for step in (0, 2, 4)]
    write_jsonl(tmp_path / "validation.jsonl", rows)
    said = before_after(tmp_path)
    assert said[0] == "  a wish"
    assert said[1].startswith("    step 0  of 0xx")
    assert said[2].startswith("    step 4  of 4xx")
    assert all(len(line) < 220 for line in said)


def test_of_one_look_and_of_none_nothing(tmp_path: Path) -> None:
    assert before_after(tmp_path) == []
    write_jsonl(tmp_path / "validation.jsonl", [{"step": 0, "query": "a wish", "response": "x"}])
    assert before_after(tmp_path) == []
