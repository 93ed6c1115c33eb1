"""``inkfire ablate``: a recipe's two strategies without one part after the other, on the same texts.

    out/data/       what every arm gets: judged.jsonl and held_out.jsonl, whose labels no arm sees, and what it may use
    out/A/ARM/      curate/, a run folder of that command; verdicts.jsonl; right.jsonl: what its reward model has right
    out/B/ARM/      refine/, a run folder of that command; verdicts.jsonl
    out/rewards/    a run of the recipe: one policy, and it again for each part of its reward that is left out

Of strategy A each arm debates the judged texts as given candidates, so that one debate is a verdict with a known label
and may be a side of a pair; the arms of 2, 4 and 8 candidates write theirs. A linear reward model learns from an arm's
pairs. Of strategy B each arm refines, and its judge is asked about the judged texts.

An arm is a stage. One that is done is read back; one that was interrupted begins anew, and finds its replies in the
ledger, which all arms share: what two arms ask alike is asked once.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge

from inkfire.debate.debate import Transcript
from inkfire.debate.pairs import choose_pairs
from inkfire.errors import InputError
from inkfire.evaluation.ablation import GROUPS, Right, Seen, against, classifiers, described, group_of, settled
from inkfire.files.formats import pair_row, read_pairs
from inkfire.files.jsonl import read_jsonl, write_jsonl
from inkfire.files.reading import Data
from inkfire.files.run import Redone, Run
from inkfire.judge.spec import JudgeSpec
from inkfire.llm import loop
from inkfire.llm.bill import FIELDS, Bill
from inkfire.llm.entry import Entry
from inkfire.llm.watch import watch
from inkfire.records import Candidate, Labelled, Preference, Verdict, to_json
from inkfire.rewards.base import Reward
from inkfire.runs import curate as curating
from inkfire.runs import refine as refining
from inkfire.runs.arms import ARMS, LABELS, Arm, chosen, without_parts
from inkfire.runs.context import Context, Place, named_files, note, opened, read_as
from inkfire.runs.experiment import checked, run_recipe
from inkfire.runs.material import Material
from inkfire.runs.recipe import Recipe
from inkfire.settings import option, settings
from inkfire.settings import to_json as in_json
from inkfire.training.reward_model import fit_linear, scores_of
from inkfire.training.settings import RewardModelSettings


@settings
class AblateSettings:
    """Which parts are left out, and on how much."""

    what: Annotated[tuple[str, ...], option(several=True)] = ("A", "B")
    """Arms, or groups of them: A (agents, pairs, candidates, labels), B, rewards."""
    data: Data = ()
    """Labelled texts, in place of the recipe's or its task's."""
    limit: Annotated[int, Ge(4)] = 120
    """Labelled texts that every arm judges: at most half of those that measure the judge of the recipe."""
    queries: Annotated[int, Ge(1)] = 20
    """Queries that the arms of 2, 4 and 8 candidates write for."""


def ablate(recipe: Recipe, settings: AblateSettings, place: Place) -> dict[str, Any]:
    """Run (or read back) the arms that ``settings.what`` names and put them beside each other.

    Returns:
        ``arms`` (a row each: ``evaluation.ablation.described`` and ``against``, what it took by itself, and of strategy
        B the version of its principles), ``frameworks`` (both strategies as classifiers beside the twins), ``rewards``
        (policies against the one whose reward is whole), ``left_out`` (arm → why it was not run), ``judged`` and
        ``held_out_pairs``; ``calls`` and ``cached`` of this process.

    Raises:
        InputError: a name that means nothing, or too few labelled texts; before the first arm.
        BudgetExceeded, EndpointDown: stopped; the same call resumes.
    """
    arms, parts = chosen(settings.what)
    if settings.data:
        recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, labelled=settings.data))
    task, splits = checked(recipe, place)
    material = Material.of(task, splits, settings.limit, place.out / "data", place.seed)
    if not material.held_out:
        raise InputError("no query that is held out has good and bad texts: label more texts, or lower --limit")
    said = in_json(recipe)
    about = {key: said[key] for key in ("task", "max_tokens", "models", "curate", "refine", "reward_model")}
    how = (recipe.judge.fit_fraction, recipe.judge.labelled, recipe.evaluate.queries, recipe.grpo.validation)
    about |= {"splits": list(how), "limit": settings.limit, "queries": settings.queries} | read_as(recipe.reading)
    files = {"task": task.folder} | named_files(recipe.data)
    with opened("ablate", place, settings=about, files=files, redo=_redo) as context:
        material.write(recipe, settings.queries, place.seed)
        x = Ablation(recipe, material, context)
        left_out = {arm.name: why for arm in arms if (why := x.idle(arm))}
        there = [arm for arm in arms if arm.name not in left_out]
        for number, arm in enumerate(there, 1):
            note(f"[{number}/{len(there)}] {arm.name}{': done before' * (context.run.done(arm.name) is not None)}")
            x.run(arm)
        result = x.table(there)
        result |= _rewards(x, parts, left_out) if parts else {}
        result["left_out"] = left_out
        context.run.complete("ablate", result, seconds=0.0)
        stats = context.ledger.stats()
        used = {key: stats[key] for key in ("calls", "cached", "tokens", *FIELDS, "currency")}
        return result | used | {"seconds": sum(context.run.seconds().values())}


def _redo(changed: Sequence[str]) -> Redone:
    """Arms of A alone, of B alone, or of both; the policies of ``rewards/`` say themselves what a change makes void."""
    groups = ["A", "B"]
    if {*changed} == {"settings.refine"}:
        groups = ["B"]
    elif {*changed} <= {"settings.curate", "settings.reward_model"}:
        groups = ["A"]
    stages = [f"stages/{arm.name}.json" for arm in ARMS.values() if arm.group in groups]
    what = f"the arms of {' and '.join(groups)}, whose replies are kept"
    return Redone(what, ("stages/ablate.json", *stages, *groups))


@dataclass(frozen=True)
class Ablation:
    """A recipe, the texts, and the run folder in which its arms lie."""

    recipe: Recipe
    material: Material
    context: Context

    def idle(self, arm: Arm) -> str | None:
        """Why an arm has nothing to change; None where it has."""
        if arm.name in (arm.against, LABELS) or arm.writes or arm.change(self.recipe) != self.recipe:
            return None
        return "in this recipe it would be the same run, or leave nobody who decides"

    def run(self, arm: Arm) -> None:
        """Do what is not done; with --retry-unscored all of it, of which only unusable replies are asked for again."""
        run = self.context.run
        if run.done(arm.name) is not None and not self.context.access.retry_unscored:
            return
        shutil.rmtree(self.folder(arm), ignore_errors=True)
        work: Callable[[Arm, Recipe], dict[str, Any]] = self._a if arm.group == "A" else self._b
        started = time.monotonic()
        with watch() as seen:
            found = work(arm, arm.change(self.recipe))
        run.complete(arm.name, found | took(seen.values()), seconds=time.monotonic() - started)

    def folder(self, arm: Arm) -> Path:
        return self.context.run.out / arm.group / arm.name

    def below(self, arm: Arm, command: str) -> Place:
        return self.context.below(f"{arm.group}/{arm.name}/{command}")

    def table(self, arms: Sequence[Arm]) -> dict[str, Any]:
        """Every arm by itself and against its reference, and both frameworks beside the twins."""
        seed, done = self.context.seed, {arm.name: self.context.run.done(arm.name) or {} for arm in arms}
        seen = {arm.name: read_seen(self.folder(arm)) for arm in arms}
        rows, first = [], dict[str, str]()
        for arm in arms:
            row: dict[str, Any] = {"arm": arm.name, "group": arm.group, "kind": arm.kind, "against": arm.against}
            row |= done[arm.name] | described(seen[arm.name], seed)
            if arm.group == "B":
                same = first.setdefault(row["principles"], arm.name)
                row["same_principles_as"] = None if same == arm.name else same
            row |= against(seen[arm.name], seen[arm.against], seed) if arm.name != arm.against else {}
            rows.append(row)
        judged = self.material.judged
        return {
            "arms": settled(rows, seen, seed),
            "frameworks": classifiers({name: seen[name] for name in ("A", "B") if name in seen}, seed),
            "judged": len(judged),
            "judged_queries": len({row.query for row in judged}),
            "held_out_pairs": len(self.material.held_out),
        }

    # ---- strategy A ------------------------------------------------------------------------------------------------

    def _a(self, arm: Arm, recipe: Recipe) -> dict[str, Any]:
        """Debate, make pairs, learn from them."""
        folder, file = self.folder(arm), self.material.file
        if arm.name == LABELS:
            pairs, found = self._pairs_by_labels(recipe, folder / "pairs.jsonl")
        else:
            table = dataclasses.replace(recipe.curate, limit=None)
            given: dict[str, Any] = {"prompts": (file("written_queries"),)}
            if not arm.writes:
                given = {"candidates_from": (file("candidates"),)}
                table = dataclasses.replace(table, writer=())
            inputs = curating.CurateInputs(
                task=recipe.task,
                model=recipe.models.agents,
                corpus=(file("examples"),) if table.k_final and file("examples").stat().st_size else (),
                **given,
            )
            curated = curating.curate(inputs, table, self.below(arm, "curate"))
            pairs = folder / "curate" / "pairs.jsonl"
            found = {name: curated[name] for name in ("pairs", "no_pair", "depth", "reflect_flips", "longer_wins")}
            if arm.kind == "agents":
                debates = read_jsonl(folder / "curate" / "transcripts.jsonl")
                self._keep_verdicts(folder, self.material.judged, _of_transcripts(debates))
        return found | self._learnt(arm, recipe, pairs)

    def _pairs_by_labels(self, recipe: Recipe, path: Path) -> tuple[Path, dict[str, Any]]:
        """The pairs of the judged texts' labels, by the recipe's policy; nobody is asked."""
        of_query: dict[str, list[Transcript]] = {}
        for row in self.material.judged:
            said = Transcript(Candidate(row.query, row.response, "labelled"), Verdict(row.label))
            of_query.setdefault(row.query, []).append(said)
        table, rows, outcomes = recipe.curate, [], []
        for query, texts in of_query.items():
            made = choose_pairs(texts, table.pairs, max_length_ratio=table.max_length_ratio)
            made = [] if isinstance(made, str) else made
            outcomes.append({"query": query, "pairs": len(made)})
            for good, bad in made:
                pair = Preference(query, good.candidate.response, bad.candidate.response)
                rows.append(pair_row(pair, self.material.task.messages(query)))
        write_jsonl(path, rows)
        write_jsonl(path.with_name("outcomes.jsonl"), outcomes)
        return path, {"pairs": len(rows)}

    def _learnt(self, arm: Arm, recipe: Recipe, path: Path) -> dict[str, Any]:
        """A linear reward model of an arm's pairs, and of those without each group of their queries: which held-out
        pairs they have right. ``rm`` says why there is none."""
        pairs = read_pairs(path) if path.stat().st_size else []
        parts = [pairs, *([pair for pair in pairs if group_of(pair.query) != group] for group in range(GROUPS))]
        if min(map(len, parts)) < 2:
            return {"rm": "no pair was made" if not pairs else f"too few pairs to learn from: {len(pairs)}"}
        table = {one.name: getattr(recipe.reward_model, one.name) for one in dataclasses.fields(RewardModelSettings)}
        how = RewardModelSettings(**table | {"kind": "linear", "base": None})
        held_out = self.material.held_out
        with self.context.bars(f"{arm.name}: reward models", len(parts)) as bar:
            models = []
            for part in parts:
                models.append(_right(fit_linear(part, how, seed=self.context.seed), held_out))
                bar.advance()
        rows = ({**to_json(pair), "right": of_pair} for pair, *of_pair in zip(held_out, *models, strict=True))
        write_jsonl(self.folder(arm) / "right.jsonl", rows)
        return {"rm": None}

    # ---- strategy B ------------------------------------------------------------------------------------------------

    def _b(self, arm: Arm, recipe: Recipe) -> dict[str, Any]:
        """Refine, then ask the judge that came of it."""
        file, place = self.material.file, self.below(arm, "refine")
        inputs = refining.RefineInputs(
            task=recipe.task,
            model=recipe.models.agents,
            prompts=(file("train_queries"),),
            labelled=(file("fit"),),
            tested_on=(file("tested"),),
        )
        made = refining.refine(inputs, recipe.refine, place)
        texts = [Labelled(**row) for row in read_jsonl(file("tested"))]
        with ExitStack() as stack:
            inner = Context(Run(place.out, {}), place, stack)
            spec = inner.besides(JudgeSpec.read(place.out))
            with inner.judging(f"{arm.name}: judged texts", len(texts), spec.model, spec.mode) as (llm, how):
                verdicts, _ = loop.run(spec.judge(llm, texts, seed=place.seed, **how))
        said = {(row.query, row.response): verdict for row, verdict in zip(texts, verdicts, strict=True)}
        self._keep_verdicts(self.folder(arm), texts, said)
        rules = len(spec.rules.items)
        return {name: made[name] for name in ("accepted", "rejected", "principles")} | {"rules": rules}

    def _keep_verdicts(self, folder: Path, texts: Sequence[Labelled], said: Mapping[tuple[str, str], Verdict]) -> None:
        nobody = Verdict(None, unscored="nearly a copy of another text of its query: not debated")
        rows = ((row, said.get((row.query, row.response), nobody)) for row in texts)
        write_jsonl(folder / "verdicts.jsonl", ({**to_json(verdict), **_text(row)} for row, verdict in rows))


def _right(reward: Reward, pairs: Sequence[Preference]) -> list[Right]:
    scores = scores_of(reward, pairs)
    return [None if good is None or bad is None else float(good > bad) for good, bad in scores]


def _text(row: Labelled) -> dict[str, Any]:
    return {"query": row.query, "response": row.response, "expected": row.label}


def _of_transcripts(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Verdict]:
    return {
        (row["query"], row["response"]): Verdict(row["label"], row["probability"], unscored=row["unscored"])
        for row in rows
    }


def read_seen(folder: Path) -> Seen:
    """What an arm left in its folder."""

    def rows(*names: str) -> list[dict[str, Any]]:
        path = next((path for name in names if (path := folder / name).is_file()), None)
        return [] if path is None else list(read_jsonl(path))

    verdicts = [
        (
            Labelled(row["query"], row["response"], row["expected"]),
            Verdict(row["label"], row["probability"], unscored=row["unscored"]),
        )
        for row in rows("verdicts.jsonl")
    ]
    paired = {row["query"]: row["pairs"] > 0 for row in rows("curate/outcomes.jsonl", "outcomes.jsonl")}
    told = rows("right.jsonl")
    held_out = [Preference(row["query"], row["chosen"], row["rejected"]) for row in told]
    models = [list(column) for column in zip(*(row["right"] for row in told), strict=True)]
    return Seen(verdicts, paired, held_out, models)


def took(entries: Iterable[Entry]) -> dict[str, Any]:
    """What an arm takes by itself, wherever its replies came from: ``calls``, ``tokens``, ``cost`` and
    ``model_seconds``, the sum of what each reply took."""
    entries = list(entries)
    bill = Bill.of(entries)
    seconds = round(sum(entry.latency for entry in entries), 1)
    return {"calls": len(entries), "tokens": bill.tokens, **bill.rounded().fields(), "model_seconds": seconds}


def _rewards(x: Ablation, parts: Sequence[str], left_out: dict[str, str]) -> dict[str, Any]:
    """The recipe with one policy trained again without each part of its reward, all compared with that policy."""
    made, whole = without_parts(x.recipe, parts)
    there = {policy.name for policy in made.policies}
    left_out |= {
        part: "no policy of this recipe has it in its reward" for part in parts if f"{whole}-{part}" not in there
    }
    if whole is None:
        return {}
    compared = run_recipe(made, x.context.below("rewards"))["comparison"]
    wanted = [whole, *(f"{whole}-{part}" for part in parts)]
    kept = ("excellent_rate", "excellent_rate_ci", "own_reward", "mean_length", "n")
    policies = {name: {key: row[key] for key in kept} for name, row in compared["policies"].items() if name in wanted}
    differences = [row for row in compared["differences"] if row["against"] == whole and row["policy"] in wanted]
    refused = {name: why for name, why in compared["refused"].items() if name in wanted}
    return {"rewards": {"whole": whole, "policies": policies, "differences": differences, "refused": refused}}
