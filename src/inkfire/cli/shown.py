"""What a command shows of its run: the finding (``report/findings.py``), its numbers, its files, what to type next.

emit(result, as_json=json, show=partial(shown.run, out))
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from inkfire.cli import tables, trained
from inkfire.cli.common import Shown, Table
from inkfire.cli.compared import compared
from inkfire.errors import MissingExtraError
from inkfire.evaluation.claims import claims
from inkfire.files.reading import Reading
from inkfire.judge.measure import why_refused
from inkfire.report import findings, glance, words
from inkfire.report.findings import Result
from inkfire.report.folder import Folder
from inkfire.report.words import counted, several
from inkfire.rewards.qualified import FIXES
from inkfire.runs.audit import AuditInputs
from inkfire.stress.qualify import blind
from inkfire.tasks.slices import say_coverage
from inkfire.tasks.task import HELD_OUT, task_names


def run(out: Path, result: Result) -> Shown:
    """Of a command that works in a run folder, which knows the command."""
    if "comparison" in result:
        return _recipe(out, result)
    folder = Folder(out)
    kind, (said, warnings) = _KINDS[folder.command], findings.of(folder, result)
    files = {name: what for name, what in kind.files.items() if any(out.glob(name))}
    details = _claims(result) if "differences" in result else []
    details += [
        f"Dropped, of {row['query']}: {row['criterion']}" for row in result.get("dropped_criteria", ())[:_FAILURES]
    ]
    details += [f"The report: {result['report']}"] if "report" in result else []
    return Shown(said, warnings, kind.numbers(result), details, out, files, kind.following(folder, result))


def _recipe(out: Path, result: Result) -> Shown:
    """Of ``inkfire run`` and ``demo``, whose last line is the report's path alone."""
    shown = run(out, result["comparison"])
    took = tables.took({**result, "seconds": sum(result["stages"].values())})
    return dataclasses.replace(shown, tables=[*shown.tables, Table(took)], last=result["report"])


def drawn(out: Path) -> dict[str, str]:
    """``report``, the path of a run's page, which is drawn; nothing where there is no matplotlib to draw with."""
    from inkfire.report.page import write_report

    try:
        return {"report": str(write_report(out))}
    except MissingExtraError:
        return {}


def _claims(result: Result) -> list[str]:
    own = any(policy["own_reward"] for policy in result["policies"].values())
    return [*(["* judged by its own reward"] if own else []), *(f"- {claim['text']}" for claim in claims(result))]


def audited(inputs: AuditInputs, found: Result) -> Shown:
    said, warnings = findings.audit(found)
    data: list[object]
    if inputs.pairs:
        data = [word for path in inputs.pairs for word in ("--pairs", path)]
        how = inputs.reading
        if inputs.labelled:  # a column that is in no file is refused, and these were in the others
            column = tuple(pair for pair in how.column if pair.partition("=")[0] not in ("response", "label"))
            how = dataclasses.replace(how, column=column, label=())
        following = _typed("train", "rm", *data, *_read(how), "--out", "runs/rm")
    else:
        data = [word for path in inputs.labelled for word in ("--data", path)]
        data += [*_read(inputs.reading), "--out", "runs/judge"]
        following = _typed("judge", "--task", "TASK", "--model", "MODEL", *data)
    details = [say_coverage(found["occasions"])] if "occasions" in found else []
    return Shown(said, warnings, tables.audit(found), details, next=following)


def curated(estimate: bool, out: Path, result: Result) -> Shown | str:
    """Of ``inkfire curate``, which may only have tried a few queries, or wait for a batch."""
    if not estimate:
        return run(out, result) if "next" not in result else str(result["next"])
    said, warnings = findings.estimate(result)
    details = ["The sample's replies are kept: the run does not ask for them again."]
    return Shown(said, warnings, tables.estimate(result), details, next=_without("--estimate"))


def scored(out: Path | None, result: Result) -> Shown:
    """Of ``inkfire score``, which may keep nothing."""
    if out is not None:
        return run(out, result)
    said, warnings = findings.score(result)
    return Shown(said, warnings, tables.score(result), ["Nothing is kept; --out FOLDER keeps the scores."])


def checked(result: Result) -> Shown:
    """Of ``inkfire check``: which checks fail how many, and the first texts that fail."""
    said, warnings = findings.checked(result)
    first = [
        f"{row['file']}:{row['line']}: {', '.join(row['failed'])}: {words.shown(' '.join(row['response'].split()), 60)}"
        for row in result["failures"][:_FAILURES]
    ]
    more = len(result["failures"]) - len(first)
    return Shown(
        said, warnings, tables.checked(result), [*first, *([f"and {more:,} more; --json has all"] * (more > 0))]
    )


def probed(out: Path | None, result: Result) -> Shown:
    """Of ``inkfire probe``, whose result is kept in the reward's folder, or nowhere."""
    if out is not None:
        return run(out, result)
    said, warnings = findings.probed(result)
    kept = f"Kept in {result['kept']}" if result["kept"] else "Nothing is kept: it is no single folder"
    return Shown(said, warnings, tables.edits(result), [f"{kept}; --out FOLDER keeps the edited texts."])


def planned(result: Result) -> Shown:
    """Of ``inkfire run --dry-run``."""
    rows = [
        (row["stage"], row["state"], f"{row['calls']:,}", f"{row['tokens']:,}", *_money(row), _gib(row["memory_gib"]))
        for row in result["plan"]
    ]
    states = ", ".join(f"{n} {state}" for state, n in counted(Counter(row["state"] for row in result["plan"])))
    calls = several(sum(row["calls"] for row in result["plan"]), "model call")
    tokens = sum(row["tokens"] for row in result["plan"])
    most = max((row["memory_gib"] or 0.0 for row in result["plan"]), default=0.0)
    known = sum(row["cost"] or 0.0 for row in result["plan"])
    cost = f", {known:,.2f} {result['plan'][0]['currency']}" if known else ""
    said = [
        f"{several(len(rows), 'stage')} ({states}), about {calls} and {tokens:,} tokens{cost}; at most about {most:g} "
        "GiB of weights at once."
    ]
    if any(row["memory_gib"] is None for row in result["plan"]):
        said.append("How large a model is cannot always be told from its name: there the memory is left open.")
    if any(row["cost"] is None for row in result["plan"]):
        said.append("What they cost is not known: inkfire ledger prices --out RUN makes the file that prices stand in.")
    return Shown(
        said, [], [Table(rows, ("stage", "state", "calls", "tokens", "cost", "GiB"))], next=_without("--dry-run")
    )


def _money(row: Result) -> list[str]:
    return ["?" if row["cost"] is None else f"{row['cost']:,.2f}" if row["cost"] else ""]


def _gib(memory: float | None) -> str:
    return "?" if memory is None else f"{memory:g}" if memory else ""


_FAILURES = 10  # texts shown of those that fail a check


# ---- what to type next ---------------------------------------------------------------------------------------------


def _typed(*words: object) -> str:
    return shlex.join(["inkfire", *map(str, words)])


def _read(reading: Reading) -> list[object]:
    """The options by which files are read that way."""
    said = reading.to_json().items()
    return [word for name, value in said for word in (f"--{name.replace('_', '-')}", *_each(value))]


def _each(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _without(option: str) -> str:
    """This command again, in earnest."""
    return _typed(*(word for word in sys.argv[1:] if word != option))


def _given(folder: Folder, name: str) -> str:
    """What an option of the run was; its name in capitals where the run had none."""
    found = folder.settings.get(name)
    return str(found if found in task_names() else folder.run.places().get(name) or found or name.upper())


def _look(folder: Folder, result: Result) -> str:
    del result
    return _typed("report", folder.path)


def _attack(folder: Folder, result: Result) -> str:
    """Whether it can be fooled is the next question of a judge that tells good from bad."""
    if "after" not in result and (result.get("auc") is None or why_refused(result)):
        return _look(folder, result)
    return _typed("judge", "attack", "--judge", folder.path, "--out", f"{folder.path}-attack")


def _audit(folder: Folder, result: Result) -> str:
    return _typed("audit", "--pairs", folder.path / "pairs.jsonl") if result["pairs"] else _look(folder, result)


def _write(folder: Folder, result: Result) -> str:
    del result
    return _typed("write", "QUERY", "--policy", folder.path)


def _settle(folder: Folder, result: Result) -> str:
    """Of a comparison: what its report says is next."""
    return glance.following(folder, result, folder.path)[1] or _look(folder, result)


def _judge(folder: Folder, result: Result) -> str:
    del result
    how = ("--task", _given(folder, "task"), "--model", "MODEL", "--data", folder.path / "texts.jsonl")
    return _typed("judge", *how, "--out", f"{folder.path}-judge")


def _serve(folder: Folder, result: Result) -> str:
    del result
    return _typed("annotate", "serve", folder.path)


def _train(folder: Folder, result: Result) -> str:
    how = ("--task", _given(folder, "task"), "--policy", "POLICY", "--reward", folder.path)
    covered = dict.fromkeys(FIXES[kind] for kind in blind(result.get("qualified") or {}))
    return _typed("train", "grpo", *how, *" ".join(covered).split(), "--out", f"{folder.path}-rl")


def _compare(folder: Folder, result: Result) -> str:
    del result
    policies = ("--policy", f"before={_given(folder, 'policy')}", "--policy", f"after={folder.path}")
    task = _given(folder, "task")
    held_out = Path(task) / HELD_OUT
    prompts = held_out if held_out.is_file() else "HELD_OUT"
    how = ("--task", task, "--prompts", prompts, *policies, "--signal", "rubric", "--qualify", 20)
    return _typed("evaluate", *how, "--out", f"{folder.path}-eval")


@dataclasses.dataclass(frozen=True)
class _Kind:
    """A command's numbers, its files (name → what it holds), and what to type next."""

    numbers: Callable[[Result], list[Table]]
    files: Mapping[str, str]
    following: Callable[[Folder, Result], str]


_CURATED = {
    "pairs.jsonl": "the preference pairs",
    "transcripts.jsonl": "every debate",
    "outcomes.jsonl": "what became of each query",
    "README.md": "the dataset's card",
}
_JUDGED = {
    "verdicts.jsonl": "a verdict for each text",
    "checklists.jsonl": "the criteria of each query, and those that were dropped",
    "judge.json": "the judge, with what was measured",
}
_COMPARING = {"comparisons.jsonl": "an answer for each pair", "judge.json": "the judge, with what was measured"}
_REFINED = {
    "principles.toml": "the principles",
    "history.jsonl": "every proposal and what became of it",
    "attacks.jsonl": "the texts that fooled the judge",
    "judge.json": "the judge with these principles",
}
_POLICY = {"policy.json": "the policy, by this folder's name"}
_SAMPLED = _POLICY | {"samples.jsonl": "what it and its base write"}
_ROUNDS = _SAMPLED | {"round-*/completions.jsonl": "every text with its reward"}
_TRAINED = _POLICY | {
    "completions.jsonl": "every text with its reward",
    "start.jsonl": "what the start policy wrote, by which it is measured",
    "alarms.jsonl": "what the texts turned into, and when",
    "canaries.jsonl": "what signals beside the reward said of them",
    "hard_negatives.jsonl": "texts that an alarm is about, for train rm --hard-negatives",
}
_WRITTEN = {"texts.jsonl": "the texts", "candidates.jsonl": "all that were written, with their scores"}
_COMPARED = {"responses-*.jsonl": "what each policy wrote", "evaluation.json": "the comparison, with every number"}
_ABLATED = {"A/*/": "strategy A's arms", "B/*/": "strategy B's arms", "rewards/": "policies without parts of a reward"}
_KINDS = {
    "curate": _Kind(tables.curate, _CURATED, _audit),
    "judge": _Kind(tables.judge, _JUDGED, _attack),
    "judge pairwise": _Kind(tables.pairwise, _COMPARING, _look),
    "judge curve": _Kind(tables.curve, {"curve.jsonl": "a row for each number of labels"}, _look),
    "judge attack": _Kind(tables.attack, {"trials.jsonl": "every injection and its verdicts"}, _look),
    "judge probe": _Kind(tables.probe, {"probes.jsonl": "every changed text and its verdicts"}, _look),
    "refine": _Kind(tables.refine, _REFINED, _attack),
    "train sft": _Kind(trained.sft, _SAMPLED, _write),
    "train rm": _Kind(tables.reward_model, {"reward.json": "the reward, by this folder's name"}, _train),
    "train grpo": _Kind(trained.grpo, _TRAINED, _compare),
    "train bon": _Kind(trained.rounds, _ROUNDS | {"round-*/winners.jsonl": "the best of each query"}, _compare),
    "train dpo": _Kind(
        trained.dpo, _ROUNDS | {"round-*/pairs.jsonl": "the best and the worst of each query"}, _compare
    ),
    "score": _Kind(tables.score, {"scores.jsonl": "the scores"}, _look),
    "probe": _Kind(tables.edits, {"edits.jsonl": "every edited text, with its scores"}, _look),
    "write": _Kind(tables.write, _WRITTEN, _judge),
    "annotate": _Kind(lambda result: [], {"items.jsonl": "what is rated, with who wrote it"}, _serve),
    "evaluate": _Kind(compared, _COMPARED, _settle),
    "run": _Kind(compared, {"*/": "a folder for each stage"}, _settle),
    "ablate": _Kind(tables.ablate, _ABLATED, _look),
}
