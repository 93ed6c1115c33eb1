"""What ``inkfire run`` and ``inkfire evaluate`` found: policies side by side, and the stages that made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inkfire.evaluation import claims
from inkfire.report import figures
from inkfire.report.curation import debate, examples
from inkfire.report.folder import Folder
from inkfire.report.training import curves
from inkfire.report.words import listed


def contents(folder: Folder) -> dict[str, Any]:
    """What run.html.jinja shows: the comparison, the judges, the trainings, the debates, of what has been done."""
    stages = folder.stages()
    evaluation = stages.get("evaluate")
    said = claims.claims(evaluation) if evaluation else []
    drawn = {name: curves(folder.rows(f"{name}/metrics.jsonl")) for name in stages}
    return {
        "stages": stages,
        "evaluation": evaluation,
        "headline": _headline(evaluation, said) if evaluation else "This run has not been evaluated yet.",
        "claims": said,
        "rates_figure": figures.excellent_rates(evaluation["policies"], evaluation["signals"]) if evaluation else "",
        "curves": {name: made for name, made in drawn.items() if made},
        "shown": list(evaluation["signals"]) if evaluation else [],
        "debates": [debate(row) for row in examples(folder, "curate/transcripts.jsonl")],
    }


def _headline(evaluation: Mapping[str, Any], said: Sequence[Mapping[str, str]]) -> str:
    """The finding; where no policy was trained against a signal of the comparison, who is shown to be better."""
    if any(policy["own_reward"] for policy in evaluation["policies"].values()):
        return claims.headline(evaluation)
    on = f"On {evaluation['n']} held-out queries"
    ahead = [f"{claim['policy']} is shown to write better than {claim['against']}" for claim in said
             if claim["kind"] == "better"]  # fmt: skip
    behind = [f"{claim['policy']} worse than {claim['against']}" for claim in said if claim["kind"] == "worse"]
    if not ahead and not behind:
        return f"{on} no difference between the policies is shown."
    return f"{on} {listed([*ahead, *behind])}."
