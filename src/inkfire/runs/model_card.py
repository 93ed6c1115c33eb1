"""README.md of an exported policy, and of a reward model: the card that the Hugging Face hub reads, with what a user of
it must know.

A policy's is made of policy.json and the run folders of the trainings, and of the evaluation that lies beside the
policy where there is one; a reward's of reward.json. Nothing in it is a path of this machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import inkfire
from inkfire.errors import InkfireError
from inkfire.evaluation.claims import claims
from inkfire.files.jsonl import atomic, dump, read_json, sha256_file
from inkfire.files.run import Run
from inkfire.models import store
from inkfire.models.card import Card, is_policy
from inkfire.rewards.load import read_card
from inkfire.training.settings import TEMPERATURE

README = "README.md"


def write_model_card(folder: Path, to: str, out: Path) -> None:
    """Write README.md into the folder of an export.

    Args:
        folder: the policy's.
        to: the form of the export.
    """
    card = Card.read(folder)
    write_readme(
        out,
        "model.md.jinja",
        name=folder.resolve().name,
        to=to,
        task=card.template.task,
        base=_base(card.base),
        messages=dump(card.template.messages("QUERY"), indent=2),
        temperature=TEMPERATURE,
        stages=[_stage(*one) for one in reversed(list(_lineage(folder)))],
        rewards=list(dict.fromkeys(" ".join(filter(None, (r.kind, r.name, r.model))) for r in card.own_rewards)),
        measured=_measured(folder),
    )


_SLICES = {"": "all", "_length_matched": "of like length", "_chosen_shorter": "the chosen text the shorter one"}
_ADDED = {
    "damaged_negatives": "whose loser is a chosen text damaged by code",
    "hard_negatives": "whose loser a gamed policy wrote",
}


def write_reward_card(folder: Path) -> None:
    """Write README.md into a reward model's folder, of what its reward.json says."""
    card = read_card(folder)
    head = {"": "it", "raw_": "before length is taken out", "ngram_": "plain n-grams"}
    there = {"": True, "raw_": bool(card["length"]), "ngram_": "gain_over_ngram" in card}
    shown = [prefix for prefix in head if there[prefix]]
    cells = [["pairs", *(head[prefix] for prefix in shown)], ["---", *("---:" for _ in shown)]]
    for suffix, words in _SLICES.items():
        cells.append([words, *(_of(card, f"{prefix}accuracy{suffix}") for prefix in shown)])
    cells.append(["correlation of score and log length", *(_of(card, f"{p}length_correlation") for p in shown)])
    table = [f"| {' | '.join(row)} |" for row in cells]
    name, card = folder.resolve().name, {"base": None} | dict.fromkeys(_ADDED) | card
    write_readme(folder, "reward.md.jinja", name=name, card=card, added=_ADDED, table=table)


def _of(card: Mapping[str, Any], name: str) -> str:
    if card.get(name) is None:
        return "-"
    low, high = card[f"{name}_ci"]
    return f"{card[name]:.3f} [{low:.3f}, {high:.3f}]"


def write_readme(out: Path, template: str, **values: Any) -> None:
    """Write README.md into ``out``, from one of the templates beside this file."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("inkfire.runs"), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    text = environment.get_template(template).render(**values, version=inkfire.__version__)
    with atomic(out / README) as file:
        file.write(text.encode("utf-8", "replace"))


def _base(name: str) -> dict[str, Any]:
    """The base as others find it: name, the hub's repo, the .gguf file, licence; None where that is not known."""
    bare = name.removeprefix("local/")
    gguf = name != bare or name.endswith(".gguf")
    found: dict[str, Any] = {"name": bare, "repo": None, "file": None, "licence": None, "gguf": gguf}
    if gguf and not store.is_file_name(name):
        if bare.count("/") < 2:
            known = store.known(bare)
            return found | {"repo": known.repo, "file": known.file, "licence": known.licence.lower() or None}
        owner, repo, file = bare.split("/", 2)
        return found | {"name": file, "repo": f"{owner}/{repo}", "file": file}
    path = Path(bare)
    if gguf or path.is_dir():  # the user's own
        return found | {"name": path.name, "file": path.name if gguf else None}
    return found | {"repo": name}


def _lineage(folder: Path) -> Iterator[tuple[Path, Card, Run | None]]:
    """The policy and those that it continued, the last one first, as far as they are there."""
    while is_policy(folder):
        try:
            run = Run.read(folder)
        except InkfireError:
            run = None
        yield folder, Card.read(folder), run
        if run is None or "policy" not in run.places():
            return
        folder = run.places()["policy"]


def _stage(folder: Path, card: Card, run: Run | None) -> dict[str, Any]:
    """A training as a row of the card's table."""
    result = {} if run is None else run.done("train") or {}
    inputs = {} if run is None else run.manifest["inputs"]
    files = [about["path"] for name, about in inputs.items() if name.startswith(("data", "prompts", "pairs"))]
    source = ", ".join(files) or "the task's own"
    if card.reward is not None:
        data = f"queries ({source}) and {result.get('completions', 'its')} own texts, scored by {card.reward}"
    else:
        data = f"{result.get('n', '')} {'pairs' if card.trained == 'dpo' else 'good texts'} ({source})".strip()
    return {
        "name": card.trained or "none",
        "tag": card.trained,
        "policy": folder.resolve().name,
        "steps": card.steps,
        "data": data,
        "went": "; ".join(filter(None, (_from_to(result, name) for name in ("loss", "reward", "mean_length")))) or "-",
    }


def _from_to(result: Mapping[str, Any], name: str) -> str:
    first, last = result.get(f"{name}_first"), result.get(f"{name}_last")
    return "" if first is None or last is None else f"{name.replace('_', ' ')} {first:.3g} → {last:.3g}"


def _measured(folder: Path) -> dict[str, Any] | None:
    """The evaluation beside the policy that has it, by its contents; the one on the most queries."""
    sha256, found = sha256_file(folder), []
    for path in sorted(folder.resolve().parent.glob("*/evaluation.json")):
        try:
            inputs = Run.read(path.parent).manifest["inputs"]
        except InkfireError:
            continue
        names = [key.removeprefix("policy ") for key, about in inputs.items() if key.startswith("policy ")]
        mine = [name for name in names if inputs[f"policy {name}"]["sha256"] == sha256]
        if mine:
            found.append((read_json(path), mine[0].partition("@")[0]))
    if not found:
        return None
    result, name = max(found, key=lambda one: int(one[0]["n"]))
    shown = [one for one in result["policies"] if one in ("base", "sft", name)]
    own = result["policies"][name]["own_reward"]
    cells = [["signal", *shown], ["---", *("---:" for _ in shown)]]
    for signal in result["signals"]:
        mark = " \\*" if signal in own else ""
        cells.append([signal + mark, *(_cell(result["policies"][one], signal) for one in shown)])
    said = [claim["text"] for claim in claims(result) if claim["policy"] == name]
    table = [f"| {' | '.join(row)} |" for row in cells]
    return {"n": result["n"], "table": table, "own": bool(own), "claims": said}


def _cell(policy: Mapping[str, Any], signal: str) -> str:
    rate, interval = policy["excellent_rate"][signal], policy["excellent_rate_ci"][signal]
    return "-" if rate is None else f"{rate:.0%} ({interval[0]:.0%} to {interval[1]:.0%})"
