"""Rounds of best-of-n and of DPO on one's own pairs: the policy of the round writes, a reward scores, that is learnt.

    round-1/texts.jsonl         n texts a query: query, response, truncated
    round-1/completions.jsonl   the same with their rewards, and what these came from if the reward looks at the group
    round-1/winners.jsonl       (or pairs.jsonl) what is learnt from
    round-1/policy.json, …      the policy after it, which writes in the next round

The last round's policy is that of the folder. Both files of texts grow text by text, whole groups at a time: what a
kill left is gone on with. A text that met the length limit takes no part, so no reward is asked for it: it has no end
that could be learnt.
"""

from __future__ import annotations

import dataclasses
import math
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inkfire.errors import DataError, InkfireError, InputError
from inkfire.files.jsonl import SAMPLES, JsonlWriter, write_jsonl
from inkfire.files.rollouts import COMPLETIONS
from inkfire.llm import futile
from inkfire.llm.progress import Bars
from inkfire.models.card import CARD, Card, is_policy
from inkfire.models.policy import Policy
from inkfire.records import Query
from inkfire.rewards.base import Reward, why_unscored
from inkfire.rewards.shaped import Shaped
from inkfire.tasks.task import Task
from inkfire.training import begin, trl
from inkfire.training.settings import GrpoSettings, Rounds

Row = dict[str, Any]
Learn = Callable[[str | Path, list[list[Row]], Path, int], dict[str, Any]]
"""Learns from the groups of a round, the texts of each query that take part: the policy to start from, the groups, the
round's folder, its seed → the numbers of the round. With it the folder is a policy."""

_TEXTS = "texts.jsonl"
_AT_ONCE = 64  # texts that are written, and then scored, before they are kept
_BLIND = 3  # batches in a row without any reward, after which it stops


def kl_bound(n: int) -> float:
    """Nats a text by which the best of n texts can be from their policy, at most: ln n − (n − 1)/n.

    Stiennon et al. 2020 (2009.01325); that it is an upper bound: Beirami et al. 2024 (2401.01879). It holds for the
    winners, not for what learns from them.

    >>> round(kl_bound(8), 2)
    1.2
    """
    return math.log(n) - (n - 1) / n


@dataclass(frozen=True)
class Job:
    """What a training in rounds is given, whatever learns."""

    method: str
    task: Task
    queries: Sequence[Query]
    start: str | Path
    reward: Reward
    out: Path
    settings: Rounds
    seed: int
    bars: Bars

    @property
    def how(self) -> GrpoSettings:
        """How the policy writes."""
        length = self.settings.max_completion_length or self.task.max_tokens
        return GrpoSettings(temperature=self.settings.temperature, max_completion_length=length)

    @property
    def distinct(self) -> list[str]:
        return list(dict.fromkeys(query.query for query in self.queries))


def train_rounds(job: Job, learn: Learn) -> dict[str, Any]:
    """Write, score and learn ``settings.rounds`` times; the policy in ``out`` is the last round's.

    Returns:
        steps; completions; truncated; reward_calls (texts put to the reward: those that met no limit and passed the
        checks); missing (of these, without a score); kl_bound (a round's, nats a text); ``rounds``, a row for each;
        reward_first and reward_last (means over what each round's policy wrote), warnings.

    Raises:
        DataError: no queries.
        InputError, EndpointDown: no text has a score, or no query anything to learn from.
        BudgetExceeded: from the reward; the same call goes on.
    """
    if not job.queries:
        raise DataError("there are no queries to train on")
    out, reward, rounds = job.out, job.reward, job.settings.rounds
    folder, card = trl.begun_from(job.start, job.task)
    untrained = trl.untrained(folder, card)
    found, policy = [], job.start
    with ExitStack() as opened:
        if isinstance(reward, Shaped) and not is_policy(out):
            reader = begin.begin(reward, job.task, untrained, _measure(job, reward), out)
            if reader is not None:
                opened.callback(reader.close)
        for number in range(1, rounds + 1):
            at = out / f"round-{number}"
            rows = _scored(job, policy, number, at)
            groups = [_taking_part(of) for of in _groups(rows, job.settings.n)]
            learnt = learn(policy, groups, at, job.seed + number)
            own = tuple(dict.fromkeys((*Card.read(at).own_rewards, *reward.identities)))
            named = dataclasses.replace(Card.read(at), trained=job.method, reward=reward.name, own_rewards=own)
            named.write(at)
            found.append({"round": number} | _numbers(rows, job.settings.n) | learnt)
            policy = at
    if not is_policy(out):
        _take_over(at, out, rounds)
        parent = None if folder is None else folder.name
        dataclasses.replace(named, parent=parent, steps=sum(row["steps"] for row in found)).write(out)
    return _summary(found, job.settings)


def _of_round(job: Job, number: int) -> list[str]:
    """The queries of a round: other ones each time, until all had their turn."""
    limit, queries = job.settings.limit, job.distinct
    if limit is None or limit >= len(queries):
        return queries
    random.Random(job.seed).shuffle(queries)
    first = (number - 1) * limit
    return [queries[(first + i) % len(queries)] for i in range(limit)]


# ---- texts ---------------------------------------------------------------------------------------------------------


def _measure(job: Job, reward: Shaped) -> begin.Writer:
    """The start policy as a reward's measure; its weights are only opened where it has to write."""
    if begin.levels(job.out) is None and reward.shaping.starts:
        return _opened(job, job.start)
    return begin.Writer(trl.begun_from(job.start, job.task)[1], None, None, job.how, job.distinct)


def _opened(job: Job, source: str | Path) -> begin.Writer:
    policy = Policy.load(source, task=job.task)
    return begin.Writer(policy.card, policy.model, policy.tokenizer, job.how, job.distinct)


def _texts(job: Job, source: str | Path, number: int, at: Path) -> list[Row]:
    """``n`` texts for each query, those of a query side by side; the same ones wherever a kill came."""
    path, n = at / _TEXTS, job.settings.n
    if not path.exists():
        whole, size = _whole(path, n), _batch(n)
        writer = _opened(job, source)
        asked = [query for query in _of_round(job, number) for _ in range(n)]
        with trl.quiet(), job.bars("writes", len(asked) - len(whole)) as bar, JsonlWriter(path) as file:
            for row in whole:
                file.write(row)
            for first in range(len(whole), len(asked), size):
                for row in writer.write(asked[first : first + size], _seed(job.seed + number, first)):
                    file.write(row)
                    bar.advance()
    return trl.rows(path)


def _batch(n: int) -> int:
    """Texts of as many whole groups as go together."""
    return max(1, _AT_ONCE // n) * n


def _whole(path: Path, n: int) -> list[Row]:
    """What an earlier try has written, in whole batches: each has a seed of its own."""
    kept = trl.rows(path.with_name(f"{path.name}.partial"))
    return kept[: len(kept) // _batch(n) * _batch(n)]


def _seed(seed: int, first: int) -> int:
    return random.Random(f"{seed} {first}").getrandbits(32)


# ---- rewards -------------------------------------------------------------------------------------------------------


def _scored(job: Job, source: str | Path, number: int, at: Path) -> list[Row]:
    """The texts of a round with their rewards. Batches without any are kept only where a later one has some."""
    path, n, reward = at / COMPLETIONS, job.settings.n, job.reward
    whole = trl.rows(path) if path.exists() else _whole(path, n)
    _recall(reward, whole, n)
    if path.exists():
        return whole
    texts = _texts(job, source, number, at)
    size, before = _batch(n), why_unscored(reward)
    blind: list[list[Row]] = []
    with job.bars("scores", len(texts) - len(whole)) as bar, JsonlWriter(path) as file:
        for row in whole:
            file.write(row)
        for first in range(len(whole), len(texts), size):
            blind.append(_ask(reward, texts[first : first + size]))
            bar.advance(len(blind[-1]))
            known = [row["reward"] for row in blind[-1] if not row["truncated"]]
            last = first + size >= len(texts)
            if any(value is not None for value in known) or (last and any(row["reward"] is not None for row in whole)):
                for row in (row for rows in blind for row in rows):
                    file.write(row)
                    whole.append(row)
                blind = []
            elif last or len([rows for rows in blind if not all(row["truncated"] for row in rows)]) == _BLIND:
                raise _missing(reward, [row for rows in blind for row in rows], why_unscored(reward) - before)
    return whole


def _ask(reward: Reward, rows: Sequence[Row]) -> list[Row]:
    asked = [row for row in rows if not row["truncated"]]
    queries, responses = [row["query"] for row in asked], [row["response"] for row in asked]
    scores = reward.score(queries, responses, truncated=[False] * len(asked)) if asked else []
    details = reward.details if isinstance(reward, Shaped) and asked else [{} for _ in asked]
    values = iter(
        {"reward": score if score is not None and math.isfinite(score) else None} | detail
        for score, detail in zip(scores, details, strict=True)
    )
    return [row | ({"reward": None} if row["truncated"] else next(values)) for row in rows]


def _recall(reward: Reward, rows: Sequence[Row], n: int) -> None:
    """Let a reward that remembers see again what it scored before, call by call."""
    if isinstance(reward, Shaped):
        for first in range(0, len(rows), _batch(n)):
            if some := [row for row in rows[first : first + _batch(n)] if not row["truncated"]]:
                reward.recall(some)


def _missing(reward: Reward, rows: Sequence[Row], reasons: Counter[str]) -> InkfireError:
    if all(row["truncated"] for row in rows):
        return InputError(
            f"none of {len(rows)} texts came to an end; raise --max-completion-length, or start from a policy that "
            "ends its texts (inkfire train sft)"
        )
    what = f"the reward {reward.name} is missing: none of {len(rows)} texts has one"
    if (found := futile.main_reason(reasons.elements())) is None:
        return InputError(f"{what}; None and NaN are no reward")
    return futile.failure(what, found[0])


# ---- what came of it -----------------------------------------------------------------------------------------------


def _groups(rows: Sequence[Row], n: int) -> Iterator[Sequence[Row]]:
    return (rows[first : first + n] for first in range(0, len(rows), n))


def _taking_part(rows: Sequence[Row]) -> list[Row]:
    """The texts of a query that have a reward, the best first; of equal ones the one that was written first."""
    return sorted((row for row in rows if row["reward"] is not None), key=lambda row: -row["reward"])


def best(group: Sequence[Row]) -> Row | None:
    """The winner of the texts that take part: none where none has a score and passes the checks."""
    return next((row for row in group if not row.get("failed")), None)


def nothing_won(groups: Sequence[Sequence[Row]]) -> InputError:
    scored = [group for group in groups if group]
    if not scored:
        return InputError("no query has a text with a score: there is nothing to learn from")
    failed = Counter(name for group in scored for row in group for name in row.get("failed", ()))
    if not failed:
        return InputError("the reward tells no two texts of a query apart: there is nothing to learn from")
    name, times = failed.most_common(1)[0]
    return InputError(
        f"no query has a text that passes the checks ({name} fails {times} of {sum(map(len, scored))} texts): loosen "
        "them, raise -n, or train SFT first"
    )


def _numbers(rows: Sequence[Row], n: int) -> dict[str, Any]:
    put = [row for row in rows if not row["truncated"] and not row.get("failed")]
    scores = [row.get("score", row["reward"]) for row in put]
    known = [score for score in scores if score is not None]
    out: dict[str, Any] = {
        "queries": len(rows) // n,
        "completions": len(rows),
        "truncated": sum(row["truncated"] for row in rows),
        "reward_calls": len(put),
        "missing": sum(row["reward"] is None for row in put),
        "reward": sum(known) / len(known) if known else None,
        "mean_length": sum(len(row["response"]) for row in rows) / len(rows),
    }
    if any("failed" in row for row in rows):
        out["failed"] = sum(bool(row.get("failed")) for row in rows) / len(rows)
    return out


def _take_over(last: Path, out: Path, rounds: int) -> None:
    """The last round's policy as the folder's own, and the steps of all rounds in one metrics.jsonl."""
    for path in sorted(last.iterdir()):
        if path.is_file() and path.name != CARD and (path.suffix != ".jsonl" or path.name == SAMPLES):
            shutil.copyfile(path, out / path.name)
    metrics: list[Row] = []
    for number in range(1, rounds + 1):
        before = metrics[-1]["step"] if metrics else 0
        of_round = trl.rows(out / f"round-{number}" / trl.METRICS)
        metrics += [{**row, "step": before + row["step"], "round": number} for row in of_round]
    write_jsonl(out / trl.METRICS, metrics)


def _summary(rounds: list[dict[str, Any]], settings: Rounds) -> dict[str, Any]:
    warnings = [
        (f"Round {row['round']}: " if len(rounds) > 1 else "") + line for row in rounds for line in row.pop("warnings")
    ]
    totals = ("steps", "completions", "truncated", "reward_calls", "missing")
    out: dict[str, Any] = {name: sum(row[name] for row in rounds) for name in totals}
    out |= {
        f"{name}_{end}": rounds[i][name]
        for name in ("reward", "mean_length")
        for end, i in (("first", 0), ("last", -1))
    }
    out["kl_bound"] = kl_bound(settings.n)
    if out["truncated"] > out["completions"] / 2:
        warnings.append(
            f"{out['truncated']} of {out['completions']} texts met the length limit and took no part; raise "
            "--max-completion-length, or start from a policy that ends its texts."
        )
    if out["missing"]:
        warnings.append(f"{out['missing']} texts had no reward; they neither won nor lost.")
    return out | {"rounds": rounds, "warnings": warnings}
