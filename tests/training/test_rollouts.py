"""Who writes the completions. vLLM is not installed where tests run: what TRL is told is looked at, and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from inkfire.errors import InputError
from inkfire.files.run import before_named
from inkfire.models.chat import switches
from inkfire.models.policy import load_tokenizer
from inkfire.rewards.share import Share
from inkfire.tasks.task import load_task
from inkfire.training import grpo
from inkfire.training.settings import GrpoSettings


class Built(Exception):
    """Ends a training where TRL's trainer would be made."""


@pytest.fixture
def told(tiny_task: Path, tiny_base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What TRL's trainer is given for settings."""

    def given(**settings: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def trainer(**arguments: Any) -> None:
            found.update(arguments)
            raise Built

        monkeypatch.setattr(grpo, "GRPOTrainer", trainer)
        task = load_task(str(tiny_task))
        how = GrpoSettings(max_steps=1, max_completion_length=4, **settings)
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        with pytest.raises(Built):
            grpo.train_grpo(task, task.queries(), tiny_base, Share("e"), out, how)
        return found

    return given


def test_here_our_own_generation_is_passed(told: Any) -> None:
    found = told()
    assert callable(found["rollout_func"])
    assert found["args"].use_vllm is False


@pytest.mark.parametrize("mode", ["colocate", "server"])
def test_vllm_writes_by_trls_own_generation_with_its_correction(told: Any, mode: str) -> None:
    found = told(rollouts=f"vllm-{mode}", vllm_server="http://gpu-2:8000", temperature=0.9)
    args = found["args"]
    assert found["rollout_func"] is None
    assert (args.use_vllm, args.vllm_mode) == (True, mode)
    assert args.vllm_importance_sampling_correction is True
    assert (args.top_p, args.top_k, args.min_p, args.temperature) == (1.0, 0, None, 0.9)
    assert args.vllm_server_base_url == ("http://gpu-2:8000" if mode == "server" else None)
    assert callable(found["reward_funcs"])


def test_thinking_is_switched_off_for_vllm_too(tiny_base: str) -> None:
    tokenizer = load_tokenizer(tiny_base)
    tokenizer.chat_template += "{% if enable_thinking is defined and not enable_thinking %}{% endif %}"
    found = grpo.rollouts.by_vllm(GrpoSettings(rollouts="vllm-colocate"), tokenizer)
    assert found["chat_template_kwargs"] == {"enable_thinking": False} == dict(switches(tokenizer.chat_template))


def test_what_vllm_cannot_do_or_is_not_there_for_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    GrpoSettings().check_rollouts()
    with pytest.raises(InputError, match="redraw is for rollouts here"):
        GrpoSettings(rollouts="vllm-server", redraw=1).check_rollouts()
    monkeypatch.setattr("inkfire.training.settings.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install vllm"):
        GrpoSettings(rollouts="vllm-colocate").check_rollouts()


def test_an_earlier_folder_wrote_here() -> None:
    assert before_named({}, "rollouts") == GrpoSettings().rollouts
    assert before_named({}, "vllm_server") == GrpoSettings().vllm_server
