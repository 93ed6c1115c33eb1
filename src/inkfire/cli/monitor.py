"""``inkfire monitor``: replay the alarms over a training's rollouts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from inkfire.cli.common import Json, Shown, Table, emit, flat
from inkfire.report.words import number, several, shown
from inkfire.runs.monitor import MonitorInputs
from inkfire.runs.monitor import monitor as replay
from inkfire.training.alarms import in_words
from inkfire.training.view import sparkline

ALARMED = 5
_TEXT = 100


def monitor(
    rollouts: Annotated[Path, Parameter(help="A run's folder (ours, TRL's OUTPUT_DIR, verl's dumps), or a file.")],
    /,
    *,
    inputs: Annotated[MonitorInputs, flat] = MonitorInputs(),
    json: Json = False,
) -> int:
    """Say what the texts of a training turned into, and when, whatever its reward says.

    Watched are length, ends, loops, scripts, emoji, what texts of different
    queries share, phrases that spread, whether texts answer their query.

    ours    FOLDER/completions.jsonl
    TRL     OUTPUT_DIR/completions/*.parquet (log_completions=True)
    verl    trainer.rollout_data_dir, STEP.jsonl
    others  rows of step, query, response, reward

    Example: inkfire monitor runs/rm-rl
    """
    found = replay(rollouts, inputs)
    emit(found, as_json=json, show=_shown)
    return ALARMED if inputs.fail_on_alarm and found["alarms"] else 0


def _shown(found: Mapping[str, Any]) -> Shown:
    alarms = found["alarms"]
    said = [in_words(alarm) for alarm in alarms]
    seen = f"{several(found['n'], 'text')} of {several(found['steps'], 'step')}, held against {found['baseline']}"
    if not found["watched"]:
        said.append(f"Nothing was watched: {seen}, and none came after these; --baseline F names texts from before.")
    elif not alarms:
        said.append(f"Nothing alarms: {seen}.")
    else:
        said.append(f"Looked at: {seen}.")
    rewards = [row["reward"] for row in found["numbers"]]
    if any(reward is not None for reward in rewards):
        ends = f"{number(found['reward_first'])} → {number(found['reward_last'])}"
        said.append(f"Reward {sparkline(rewards)} {ends}; steps {found['first_step']} to {found['last_step']}.")
    details = []
    for alarm in alarms:
        details.append(f"{alarm['what']}, step {alarm['step']}:")
        details += [
            f"  {shown(' '.join(query.split()), 40)} | {shown(' '.join(text.split()), _TEXT) or '(empty)'}"
            for query, text in zip(alarm["queries"], alarm["texts"], strict=True)
        ]
    rows = [
        (row["what"], str(row["step"]), str(row["since"]), number(row["baseline"]), number(row["value"]))
        for row in alarms
    ]
    if found["blind"]:
        details.append(f"Not watched, for want of what they need: {', '.join(found['blind'])}.")
    return Shown(said, (), [Table(rows, ("alarm", "step", "began about", "at the start", "now"))], details)
