"""What ``train rm``, ``judge`` and ``score`` find out of a reward besides: which damage it sees (``--qualify``), and
whether it ranks a policy's own texts as a reader does (``--ratings``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from inkfire.errors import InputError, RefusedReward
from inkfire.files.formats import read_rated
from inkfire.files.reading import Data, Reading
from inkfire.judge.base import compare_many
from inkfire.judge.spec import JudgeSpec
from inkfire.llm import loop
from inkfire.llm.base import LLM
from inkfire.records import Candidate, Comparison, Example, Preference
from inkfire.rewards.qualified import FIXES, read_probed, read_qualified, together, uncovered
from inkfire.rewards.ranking import GroupReward, Rank
from inkfire.rewards.shaped import Shaping
from inkfire.runs.context import note
from inkfire.stress.damage import KINDS
from inkfire.stress.qualify import (
    Scorer,
    check_rated,
    qualify,
    qualify_groups,
    qualify_pairs,
    said_blind,
    within_query,
)

QUALIFY = 40
"""Good texts beside each kind of damage, where nobody says how many."""
Rated = Sequence[tuple[str, str, float]]
"""(query, response, rating)."""


def read_ratings(paths: Data, reading: Reading) -> Rated:
    """The rated texts of files, enough of them to say something; none of no file.

    Raises:
        InputError: they are of too few queries.
    """
    if not paths:
        return []
    rated = read_rated(paths, reading)
    try:
        check_rated([query for query, _, _ in rated])
    except InputError as problem:
        raise InputError(f"--ratings {paths[0]}: {problem}") from None
    return rated


@dataclass(frozen=True)
class Exam:
    """What a reward is shown: ``n`` of the ``good`` texts, each damaged in every way, and the ``rated`` ones."""

    n: int
    good: Sequence[Candidate]
    rated: Rated

    @classmethod
    def of(cls, n: int, rated: Rated, *sources: Iterable[Candidate | Example]) -> Self:
        """With the good texts of the first source, and of the next ones while there are fewer than ``n``; each once."""
        good: dict[Candidate, None] = {}
        for source in sources:
            if len(good) < n:
                good |= dict.fromkeys(Candidate(text.query, text.response) for text in source)
        return cls(n, list(good), rated)

    @property
    def texts(self) -> int:
        """About how many texts are to be scored."""
        return min(self.n, len(self.good)) * (1 + len(KINDS)) + len(self.rated)

    def taken(self, score: Scorer, seed: int, *, relative: bool = False) -> dict[str, Any]:
        """``qualified`` (see ``stress/qualify.py``) where there are good texts, ``within_query`` where ratings; by
        groups of a text and what damage makes of it, where scores are ``relative`` to their group."""
        out: dict[str, Any] = {}
        if self.n and self.good:
            out["qualified"] = (qualify_groups if relative else qualify)(score, self.good, n=self.n, seed=seed)
        elif self.n:
            note("no good texts are known to show it beside damaged ones, so what it sees is not known (--task T)")
        if self.rated:
            of_query = sorted(self.rated, key=lambda row: row[0])  # a reward may look at the group
            queries, responses, ratings = (list[Any](column) for column in zip(*of_query, strict=True))
            out["within_query"] = within_query(score(queries, responses), ratings, queries, seed=seed)
        return out

    def compared(self, judge: JudgeSpec, llm: LLM, concurrency: int, seed: int) -> dict[str, Any]:
        """``qualified`` of a judge that compares: asked of each text and a damaged one, or of a text and all that
        damage makes of it in one group."""
        if not (self.n and self.good):
            return {}
        if judge.mode == "rank":
            reward = GroupReward("rank", Rank(judge.ranks(llm), concurrency))
            return {"qualified": qualify_groups(reward.score, self.good, n=self.n, seed=seed)}

        def compare(pairs: Sequence[Preference]) -> list[Comparison]:
            return loop.run(compare_many(judge.compares(llm), pairs, concurrency=concurrency))

        return {"qualified": qualify_pairs(compare, self.good, n=self.n, seed=seed)}


# ---- before a training ---------------------------------------------------------------------------------------------


def check_qualified(reward: str, folders: Iterable[Path], shaping: Shaping, *, force: bool) -> None:
    """Say what is not known of a reward that is to be trained against.

    Args:
        folders: of its parts.

    Raises:
        RefusedReward: it was shown a kind of damage that neither it nor a check sees; not with ``force``.
    """
    parts = [folder for folder in folders if (folder / "reward.json").is_file() or (folder / "judge.json").is_file()]
    cards = {folder: read_qualified(folder) for folder in parts}
    if unknown := [folder for folder, card in cards.items() if "qualified" not in card]:
        note(
            f"{', '.join(map(str, unknown))}: nobody has looked at which damage it sees; inkfire score --reward "
            f"{unknown[0]} --task T does"
        )
    for folder in parts:  # what is said of it is saved: no absolute path
        reward = reward.replace(str(folder), folder.name)
    card = together(cards.values())
    if open_to := uncovered(card, shaping.checks, shaping.fluency, shaping.relevance):
        why = said_blind({kind: card["qualified"][kind] for kind in open_to})
        fixes = " ".join(dict.fromkeys(FIXES[kind] for kind in open_to))
        if not force:
            raise RefusedReward(f"{reward} is {why}; a policy finds that out. Cover it: {fixes}; or --force")
        note(f"{reward} is {why}, and nothing covers it")
    for folder in parts:
        if (probed := read_probed(folder)) is None:
            note(
                f"{folder}: nobody has looked for edits that it rewards; inkfire probe --reward {folder} --task T does"
            )
        elif probed["wins"]:
            note(f"{folder} rewards edits that no reader would like: {', '.join(probed['wins'])}")
