"""How principles are refined: the options of ``inkfire refine`` and the table ``[refine]`` of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Le

from inkfire.judge.calibration import MIN_LABELS
from inkfire.judge.examples import Choice
from inkfire.judge.principles import LIMIT
from inkfire.refine.proposals import ErrorChoice
from inkfire.settings import WithPreset, settings


@settings
class RefineSettings(WithPreset):
    """How principles are refined."""

    detector: Literal["logprob", "verdict"] = "logprob"
    """logprob: one token and a threshold; verdict: a reply with reason, 0/1 and advice, as in the paper."""
    rounds: Annotated[int, Ge(0)] = 1
    """Rounds of forgery, reflection and test."""
    attacks: Annotated[int, Ge(0)] = 4
    """Forgeries (flawed texts) a round; 0: no adversary."""
    errors: Annotated[int, Ge(0)] = 6
    """The judge's errors reflected on a round; 0: no Reflector."""
    errors_choice: ErrorChoice = "worst"
    """worst: the errors that the judge was surest of; random: any."""
    merge: Literal["round", "proposal"] = "round"
    """round: all proposals of a round at once; proposal: each by itself, those of forgeries before reflection."""
    uncalibrated: bool = False
    """Fit no threshold: the judge's own answer is its verdict (logprob)."""
    max_rules: Annotated[int, Ge(1), Le(LIMIT)] = LIMIT
    """Most rules of a set."""
    accept: Literal["better", "all"] = "better"
    """better: a merged set is taken where it proves better; all: always, untested, as in the paper."""
    training: Annotated[int, Ge(MIN_LABELS)] | None = None
    """At most so many texts are judged for errors to reflect on."""
    validation: Annotated[int, Ge(4)] | None = None
    """At most so many texts test a candidate."""
    test: Annotated[int, Ge(4)] | None = None
    """At most so many texts, and half, measure the judge before and after."""
    alpha: Annotated[float, Ge(0.001), Le(0.5)] = 0.05
    """Chance, over the run, of accepting what is no better."""
    screen: Annotated[int, Ge(0)] = 0
    """Reject a candidate that gains nothing on so many validation texts (0: all of them decide)."""
    patience: Annotated[int, Ge(1)] = 2
    """Stop after so many rounds in a row without a gain."""
    leave_one_out: bool = False
    """Measure each rule in the end: one judging of the validation texts each."""
    shorten: bool = False
    """Measure each rule, and drop those that add nothing if that is no worse."""
    author_model: str | None = None
    """Model that writes forgeries, reflections and rules; by default --model."""
    examples: Annotated[int, Ge(0)] = 0
    """Labelled texts shown to the judge before each text."""
    examples_choice: Choice = "nearest"
    """nearest: those most like the text; fixed: the same for every text, half of them good."""
