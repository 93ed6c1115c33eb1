"""Who a reward is: the same wherever its folder lies, another one when what decides its scores has changed."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from inkfire.debate.settings import DebateSettings
from inkfire.errors import DataError, InputError
from inkfire.judge.calibration import Calibration
from inkfire.judge.examples import Examples
from inkfire.judge.principles import Principles
from inkfire.judge.spec import JudgeSpec
from inkfire.records import Example, Identity, Labelled, Preference, to_json
from inkfire.rewards.identity import judge_identity
from inkfire.rewards.load import identities_of, load_reward, read_card, write_card
from inkfire.stats.twins import NgramPairModel

KITES = [Preference(f"q{i}", f"kite {i} in the rain", f"grey {i} in the rain") for i in range(8)]
LAMPS = [Preference(f"q{i}", f"grey {i} in the rain", f"lamp {i} in the rain") for i in range(8)]


def reward_model(folder: Path, pairs: Sequence[Preference] = KITES, **card: Any) -> Path:
    NgramPairModel().fit(pairs).save(folder)
    write_card(folder, {"kind": "linear", "threshold": 0.0} | card)
    return folder


def one(folder: Path) -> Identity:
    (identity,) = identities_of(str(folder))
    return identity


def test_a_reward_model_that_was_moved_renamed_or_copied_is_the_same(tmp_path: Path) -> None:
    first = one(reward_model(tmp_path / "rm"))
    shutil.copytree(tmp_path / "rm", tmp_path / "copy")
    (tmp_path / "rm").rename(tmp_path / "elsewhere")
    for name in ("copy", "elsewhere"):
        moved = one(tmp_path / name)
        assert moved.same(first)
        assert moved == first
        assert moved.name == name
    assert (first.kind, first.model, first.mode) == ("reward model", None, None)


def test_a_reward_model_that_was_trained_anew_is_another(tmp_path: Path) -> None:
    first = one(reward_model(tmp_path / "rm"))
    assert not one(reward_model(tmp_path / "rm", LAMPS)).same(first)


def test_the_template_decides_a_score_and_measurements_do_not(tmp_path: Path) -> None:
    folder = reward_model(tmp_path / "rm")
    first = one(folder)
    write_card(folder, read_card(folder) | {"threshold": 1.5, "auc": 0.7, "warnings": ["short"]})
    (folder / "held_out_pairs.jsonl").write_text("{}\n")
    assert one(folder).same(first)
    write_card(folder, read_card(folder) | {"template": {"source": "[user]\n{{ query }}\n", "task": {}}})
    assert not one(folder).same(first)


def test_a_reward_model_without_weights_is_damaged(tmp_path: Path) -> None:
    write_card(tmp_path, {"kind": "transformer"})
    with pytest.raises(DataError, match="no weights"):
        identities_of(str(tmp_path))


@pytest.fixture
def judge(tiny_task: Path) -> JudgeSpec:
    texts = tuple(Labelled(f"q{i}", f"text {i}", label) for i in range(2) for label in (0, 1))
    return JudgeSpec(str(tiny_task), "m", "logprob", examples=Examples(texts, 2))


def changed(judge: JudgeSpec, **fields: Any) -> Identity:
    return judge_identity(dataclasses.replace(judge, **fields), "judge")


def test_a_judge_that_is_fitted_or_measured_anew_is_the_same(judge: JudgeSpec, tmp_path: Path) -> None:
    first = judge_identity(judge, "judge")
    assert (first.model, first.mode) == ("m", "logprob")
    fitted = dataclasses.replace(judge, calibration=Calibration(1, 0, 0.4, 80, 40), measured={"auc": 0.7})
    fitted.save(tmp_path / "fitted")
    assert one(tmp_path / "fitted").same(first)
    assert changed(judge, votes=3).same(first)


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "n"},
        {"mode": "verdict"},
        {"task": "greetings-en"},
        {"principles": Principles.of(["It rhymes."])},
        {"examples": Examples()},
    ],
)
def test_another_judge_is_another(judge: JudgeSpec, fields: dict[str, Any]) -> None:
    assert not changed(judge, **fields).same(judge_identity(judge, "judge"))


def test_the_tasks_own_principles_are_the_same_whether_named_or_not(judge: JudgeSpec) -> None:
    own = Principles.of(["It fits the occasion.", "It says one thing that only this recipient could be told."])
    assert changed(judge, principles=own).same(judge_identity(judge, "judge"))


@pytest.mark.parametrize("mode", ["rubric", "debate"])
def test_principles_that_a_mode_does_not_read_make_no_other_judge(judge: JudgeSpec, mode: str) -> None:
    plain = changed(judge, mode=mode)
    assert changed(judge, mode=mode, principles=Principles.of(["It rhymes."])).same(plain)


def test_no_path_is_part_of_it(judge: JudgeSpec, tiny_task: Path, tmp_path: Path) -> None:
    first = changed(judge, model=str(tmp_path / "weights.gguf"))
    assert str(tmp_path) not in json.dumps(to_json(first))
    moved = shutil.copytree(tiny_task, tmp_path / "other" / "folder")
    assert changed(judge, model="local//mnt/weights.gguf", task=str(moved)).same(first)


def test_a_mixture_is_all_of_its_parts(judge: JudgeSpec, tmp_path: Path) -> None:
    rm = reward_model(tmp_path / "rm")
    judge.save(tmp_path / "judge")
    mixed = identities_of(f"0.7*{rm} + 0.3*{tmp_path / 'judge'} + 0.1*{rm} + 0*share:!")
    assert mixed == (one(rm), one(tmp_path / "judge"))


def test_a_loaded_reward_says_what_its_name_says(judge: JudgeSpec, tmp_path: Path) -> None:
    rm = reward_model(tmp_path / "rm")
    judge.save(tmp_path / "judge")
    for spec in (str(rm), "share:!", str(tmp_path / "judge"), f"0.5*{rm} + 0.5*{tmp_path / 'judge'} + 0*share:!"):
        reward = load_reward(spec, base_url="http://127.0.0.1:9/v1", force=True)
        reward.close()
        assert reward.identities == identities_of(spec)
        assert len(reward.identities) == (2 if " + " in spec else 1)
    with pytest.raises(InputError, match="no reward"):
        identities_of(str(tmp_path))


def test_one_that_is_not_known_may_be_any_of_its_kind() -> None:
    old, known = Identity("judge", "judge:verdict:m"), Identity("judge", "a", "ab12")
    assert old.same(known)
    assert known.same(old)
    assert not old.same(Identity("reward model", "rm", "ab12"))
    assert not known.same(Identity("judge", "a", "cd34"))


def test_reading_it_loads_no_torch(judge: JudgeSpec, tmp_path: Path) -> None:
    rm = reward_model(tmp_path / "rm")
    judge.save(tmp_path / "judge")
    code = "import sys; from inkfire.rewards.load import identities_of; "
    code += "print(len(identities_of(sys.argv[1])), 'torch' in sys.modules)"
    spec = f"0.5*{rm} + 0.5*{tmp_path / 'judge'}"
    done = subprocess.run([sys.executable, "-c", code, spec], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]


def test_a_debate_is_known_by_how_it_goes(judge: JudgeSpec) -> None:
    plain = changed(judge, mode="debate")
    full = DebateSettings(depth="full")
    of_before = "2ea54a5c8ae368667c4cf1d2a13026ea8e467ff24f4c6d0237600d45d84f2340"  # when debates had no depth
    assert changed(judge, mode="debate", task="greetings-en").sha256 == of_before
    for fields in (
        {"debate": full},
        {"debate": full, "corpus": (Example("q", "r"),)},
        {"corpus": (Example("q", "r"),)},
    ):
        assert not changed(judge, mode="debate", **fields).same(plain)
    assert changed(judge, debate=full).same(judge_identity(judge, "judge"))  # another mode does not read it
