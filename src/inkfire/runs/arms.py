"""The arms of an ablation: each is a recipe with one thing changed, by settings that the recipe has anyway.

    chosen(["agents", "without-examples"])    # A, without-positive, …; and B, without-examples
    ARMS["without-judge"].change(recipe).curate.agent          # ("positive=m", "negative=m", "judge=off", "reflect=m")

An arm that changes nothing (a recipe without examples has none to leave out) gives the recipe back as it was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from inkfire.debate.pairs import PairPolicy
from inkfire.debate.settings import AGENTS
from inkfire.errors import InputError
from inkfire.runs.recipe import PolicySpec, Recipe
from inkfire.settings import nearest

Change = Callable[[Recipe], Recipe]

CANDIDATES = (2, 4, 8)
LABELS = "labels"
"""The arm whose pairs are made by the labels: labelled data alone."""


@dataclass(frozen=True)
class Arm:
    """``group`` is the strategy, ``kind`` what is changed of it, ``against`` the arm that it is held against (its own
    name for that one itself)."""

    name: str
    group: str
    kind: str
    against: str
    change: Change = lambda recipe: recipe

    @property
    def writes(self) -> bool:
        """Whether its candidates are written, and not the labelled texts."""
        return self.kind == "candidates"


def _agent_off(agent: str) -> Change:
    def change(recipe: Recipe) -> Recipe:
        there = recipe.curate.agents(recipe.models.agents)
        left = {name: model for name, model in there.items() if name != agent}
        if left == there or not {"judge", "reflect"} & left.keys():
            return recipe
        return _curated(recipe, agent=tuple(f"{name}={left.get(name, 'off')}" for name in AGENTS))

    return change


def _curated(recipe: Recipe, **changes: Any) -> Recipe:
    return dataclasses.replace(recipe, curate=dataclasses.replace(recipe.curate, **changes))


def _of_pairs(policy: PairPolicy) -> Change:
    return lambda recipe: _curated(recipe, pairs=policy)


def _of_candidates(n: int) -> Change:
    return lambda recipe: _curated(recipe, candidates=n)


def _refined(**changes: Any) -> Change:
    return lambda recipe: dataclasses.replace(recipe, refine=dataclasses.replace(recipe.refine, **changes))


def _unexampled(recipe: Recipe) -> Recipe:
    """Debates without good texts beside the one that is judged."""
    return _curated(recipe, k_final=0)


def _uncalibrated(recipe: Recipe) -> Recipe:
    """A judge that writes its verdicts has no threshold."""
    return _refined(uncalibrated=True)(recipe) if recipe.refine.detector == "logprob" else recipe


_A = [
    Arm("A", "A", "agents", "A"),
    *(Arm(f"without-{agent}", "A", "agents", "A", _agent_off(agent)) for agent in AGENTS),
    Arm("without-retrieval", "A", "agents", "A", _unexampled),
    *(Arm(f"pairs-{policy}", "A", "pairs", "A", _of_pairs(policy)) for policy in get_args(PairPolicy)),
    *(Arm(f"candidates-{n}", "A", "candidates", f"candidates-{CANDIDATES[0]}", _of_candidates(n)) for n in CANDIDATES),
    Arm(LABELS, "A", LABELS, "A"),
]
_B = [
    Arm("B", "B", "parts", "B"),
    Arm("without-reflector", "B", "parts", "B", _refined(errors=0)),
    Arm("without-adversary", "B", "parts", "B", _refined(attacks=0)),
    Arm("without-acceptance", "B", "parts", "B", _refined(accept="all")),
    Arm("without-calibration", "B", "parts", "B", _uncalibrated),
    Arm("without-examples", "B", "parts", "B", _refined(examples=0)),
]
ARMS: Mapping[str, Arm] = {arm.name: arm for arm in (*_A, *_B)}

REWARDS: Mapping[str, Mapping[str, Any]] = {
    "without-checks": {"checks": ()},
    "without-length": {"length": "raw"},
    "without-diversity": {"diversity": 0.0},
}
"""What of a reward's table is left out."""


def chosen(what: Sequence[str]) -> tuple[list[Arm], list[str]]:
    """(the arms that some names stand for, each after the one that it is held against; the parts of a reward).

    A name is an arm's, a kind's (agents, pairs, candidates, labels) or a group's (A, B, rewards).

    Raises:
        InputError: a name that is none of these.
    """
    groups = dict.fromkeys(name for arm in ARMS.values() for name in (arm.group, arm.kind))
    known = [*groups, "rewards", *ARMS, *REWARDS]
    for name in what:
        if name not in known:
            raise InputError(f"--what {name!r} is no arm and no group of arms{nearest(name, known)}")
    wanted = [arm for arm in ARMS.values() if {arm.name, arm.kind, arm.group} & {*what}]
    there = {name for arm in wanted for name in (arm.name, arm.against)}
    return (
        [arm for arm in ARMS.values() if arm.name in there],
        [part for part in REWARDS if {part, "rewards"} & {*what}],
    )


def without_parts(recipe: Recipe, parts: Sequence[str]) -> tuple[Recipe, str | None]:
    """A recipe with one policy of it again for each part of its reward that is left out, compared with that policy; and
    that policy's name.

    It is the first policy whose reward has one of ``parts``; those that it starts from stay, the others go. None, and
    the recipe as it is, where no reward has one.
    """
    for policy in recipe.policies:
        table = recipe.reward_of(policy)
        lacking = {part: dataclasses.replace(table, **REWARDS[part]) for part in parts}
        lacking = {part: made for part, made in lacking.items() if made != table}
        if not lacking:
            continue
        rewards = [dataclasses.replace(made, name=f"{policy.name}-{part}") for part, made in lacking.items()]
        again = [dataclasses.replace(policy, name=reward.name, reward=reward.name) for reward in rewards]
        kept = (*_starts(recipe, policy), policy, *again)
        evaluate = dataclasses.replace(recipe.evaluate, against=(policy.name,))
        made = dataclasses.replace(
            recipe, policies=kept, rewards=(*recipe.rewards, *rewards), evaluate=evaluate, name=f"{recipe.name}-rewards"
        )
        return made, policy.name
    return recipe, None


def _starts(recipe: Recipe, policy: PolicySpec) -> list[PolicySpec]:
    """The policies that one goes on from, the first of them first."""
    of_name = {one.name: one for one in recipe.policies}
    found: list[PolicySpec] = []
    while (start := of_name.get(policy.start)) is not None:
        found.insert(0, start)
        policy = start
    return found
