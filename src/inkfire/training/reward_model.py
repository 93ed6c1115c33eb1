"""Reward models from preference pairs, measured on queries they have not seen and beside what length explains.

``linear`` (seconds): Bradley-Terry on character n-grams. Its headline numbers pool five folds by query, each fold's
model trained on four fifths; the model that is saved is trained on the same share.
``transformer``: TRL's RewardTrainer with LoRA (PAPER: rank 16, learning rate 2e-4, 5 epochs), -log σ(r(q, chosen) -
r(q, rejected) - margin). Its headline numbers are of the held-out queries, beside those of the linear one.

What is added to the pairs (``training/negatives.py``) and how often one counts (``stats/length.py``) concerns the
training part alone: what is measured are the pairs as they came. The held-out ones are kept as
``held_out_pairs.jsonl``. The threshold for "excellent" is fitted on labelled texts; where there are none on the pairs
held back for early stopping, else on the held-out ones.

>>> train_reward_model(pairs, Path("runs/rm"))["accuracy_length_matched"]                        # doctest: +SKIP
0.92
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inkfire.errors import DataError
from inkfire.files.formats import split_by_query
from inkfire.files.jsonl import read_json, write_json, write_jsonl
from inkfire.llm.progress import Bars, no_bars
from inkfire.records import Candidate, Labelled, Preference, text_id, to_json
from inkfire.rewards.base import Reward
from inkfire.rewards.length import WithoutLength
from inkfire.rewards.linear import LinearReward
from inkfire.rewards.load import CARD, read_card, write_card
from inkfire.rewards.threshold import fit_threshold
from inkfire.stats.intervals import bootstrap_mean_difference
from inkfire.stats.length import LengthPart, balanced, on_pairs
from inkfire.stats.twins import FOLDS, NgramPairModel, like_length, pair_slices, query_folds
from inkfire.stress.damage import KINDS
from inkfire.tasks.task import Task
from inkfire.training import ranks
from inkfire.training.negatives import damaged_pairs, hard_pairs
from inkfire.training.settings import RewardModelSettings

SEEN = "trained_queries.json"
"""The ids of the queries that a reward model learnt from, those of the models that it continued too."""

Scores = Sequence[tuple[float | None, float | None]]
"""(chosen, rejected) of each pair."""

_LENGTH_PAIRS = 1000  # on which the length part is fitted at most: a transformer takes minutes for all


@dataclass(frozen=True)
class Material:
    """What a reward model learns from besides its pairs.

    Args:
        gamed: texts of a policy that gamed a reward; each loses against an honest text of its query.
        honest: good texts by query, beside the pairs' chosen ones.
        start_from: the folder of a transformer reward model that is continued.
    """

    gamed: Sequence[Candidate] = ()
    honest: Mapping[str, Sequence[str]] = field(default_factory=dict)
    start_from: Path | None = None


def train_reward_model(
    pairs: Sequence[Preference],
    out: Path,
    settings: RewardModelSettings = RewardModelSettings(),
    *,
    task: Task | None = None,
    labelled: Sequence[Labelled] | None = None,
    material: Material = Material(),
    seed: int = 0,
    bars: Bars = no_bars,
) -> dict[str, Any]:
    """Train, measure and save a reward model; in a folder where it is done already, read its card.

    Args:
        task: whose template turns a query into messages; the transformer needs it.
        labelled: texts that fit the threshold; none of them should be among the pairs.

    Returns:
        What reward.json holds: kind, n, n_train, n_test, accuracy and its slices with intervals, length_correlation,
        longer_wins, threshold, auc, writers, warnings; ``ngram_*``, the plain n-gram twin's numbers on the same pairs,
        and ``gain_over_ngram``; of a debiased one ``raw_*``, its own before the length part is taken out.

    Raises:
        DataError: pairs of fewer than two queries.
        InputError: a transformer without base or task, or one that is to go on from what is none.
    """
    settings.check(task=task, start_from=material.start_from)
    if settings.kind == "linear":
        ranks.leave()  # the first one needs no help
    if not (out / CARD).is_file():
        train, test = _split(pairs, settings.test_fraction, seed, material.start_from)
        held_back: list[Preference] = []
        if settings.kind == "transformer" and settings.patience is not None:
            train, held_back = split_by_query(train, fraction=settings.test_fraction, seed=seed)
            if not train:
                raise DataError("early stopping (--patience) needs pairs of at least three queries")
        if ranks.first():
            write_jsonl(out / "held_out_pairs.jsonl", map(to_json, test))
        job = _Job(pairs, train, held_back, test, out, settings, task, material, seed, bars)
        card: dict[str, Any] = {"kind": settings.kind, "task": None if task is None else task.name}
        card |= {"n_train": len(train), "n_test": len(test)} | ({"n_held_back": len(held_back)} if held_back else {})
        before = {} if material.start_from is None else read_card(material.start_from).get("writers", {})
        card["writers"] = before | writers_of(pairs)
        reward, measured = (_linear if settings.kind == "linear" else _transformer)(job)
        card |= job.prepared(train, [*held_back, *test])[1] | measured | _threshold(job, reward, labelled)
        if isinstance(reward, WithoutLength):
            card["length"] = dataclasses.asdict(reward.length)
        write_card(out, card | {"warnings": remarks(card)})
    card = read_card(out)
    return {key: value for key, value in card.items() if key != "template"}


def _split(
    pairs: Sequence[Preference], fraction: float, seed: int, start_from: Path | None
) -> tuple[list[Preference], list[Preference]]:
    """(to train on, held out); what the model that is continued has learnt from is not held out."""
    train, test = split_by_query(pairs, fraction=fraction, seed=seed)
    if start_from is not None:
        known = seen_by(start_from)
        train += [pair for pair in test if text_id(pair.query) in known]
        test = [pair for pair in test if text_id(pair.query) not in known]
    if not train or not test:
        of = "" if start_from is None else f" that {start_from} has not learnt from"
        raise DataError(f"a reward model needs pairs of at least two queries{of}: some are held out to measure it")
    return train, test


def seen_by(folder: Path) -> set[str]:
    """The ids of the queries that the reward model in a folder learnt from; none where its version kept no list."""
    path = folder / SEEN
    return set(read_json(path)["queries"]) if path.is_file() else set()


def writers_of(pairs: Sequence[Preference]) -> dict[str, int]:
    """Whose texts the pairs are, most first: writer → texts; ``unknown`` where the pairs do not say."""
    sides = (pair.provenance.get(f"{side}_source") or "unknown" for pair in pairs for side in ("chosen", "rejected"))
    return dict(sorted(Counter(sides).items(), key=lambda one: (-one[1], one[0])))


@dataclass(frozen=True)
class _Job:
    pairs: Sequence[Preference]
    train: Sequence[Preference]
    held_back: Sequence[Preference]
    test: Sequence[Preference]
    out: Path
    settings: RewardModelSettings
    task: Task | None
    material: Material
    seed: int
    bars: Bars

    @property
    def plain(self) -> bool:
        """Whether the pairs are all that is learnt from, as they came."""
        return not (self.settings.length_debias or self.settings.negatives or self.material.gamed)

    def prepared(
        self, train: Sequence[Preference], held_out: Sequence[Preference]
    ) -> tuple[list[Preference], dict[str, int]]:
        """What is learnt from where ``train`` may be, and how much of it was added."""
        made, counts = list(train), dict[str, int]()
        if self.settings.negatives == "damaged":
            kinds = [kind for kind in KINDS if kind != "foreign" or self.settings.kind != "linear"]
            added = damaged_pairs(train, self.settings.negatives_share, seed=self.seed, kinds=kinds)
            made, counts = [*made, *added], {"damaged_negatives": len(added)}
        if self.material.gamed:
            honest = {query: list(texts) for query, texts in self.material.honest.items()}
            for pair in train:
                honest.setdefault(pair.query, []).append(pair.chosen)
            added, of_hard = hard_pairs(self.material.gamed, honest, {p.query for p in held_out}, seed=self.seed)
            made, counts = [*made, *added], counts | of_hard
        return (balanced(made) if self.settings.length_debias else made), counts

    def finished(self, reward: Reward, learnt: Sequence[Preference]) -> Reward:
        """The reward, less what length explains of it where that is wanted."""
        if not self.settings.length_debias:
            return reward
        some = learnt[:: -(-len(learnt) // _LENGTH_PAIRS)] if self.settings.kind == "transformer" else learnt
        texts = [text for pair in some for text in (pair.chosen, pair.rejected)]
        scores = reward.score([pair.query for pair in some for _ in range(2)], texts)
        known = [(score, text) for score, text in zip(scores, texts, strict=True) if score is not None]
        return WithoutLength(reward, LengthPart.fit([score for score, _ in known], [text for _, text in known]))


def fit_linear(pairs: Sequence[Preference], settings: RewardModelSettings, *, seed: int = 0) -> Reward:
    """A linear reward model of all ``pairs``, as :func:`train_reward_model` fits one, neither measured nor saved.

    Raises:
        DataError: fewer than two pairs.
    """
    return _fitted(_Job(pairs, pairs, [], [], Path(), settings, None, Material(), seed, no_bars), pairs, [])


def _fitted(job: _Job, train: Sequence[Preference], held_out: Sequence[Preference]) -> Reward:
    learnt = job.prepared(train, held_out)[0]
    return job.finished(LinearReward(NgramPairModel().fit(learnt), "rm"), learnt)


def _linear(job: _Job) -> tuple[Reward, dict[str, Any]]:
    reward = _fitted(job, job.train, job.test)
    bare = _bare(reward)
    assert isinstance(bare, LinearReward)
    bare.model.save(job.out)
    twin: Scores = NgramPairModel.held_out_scores(job.pairs, seed=job.seed)
    scores = raw = twin
    if not job.plain:
        scores, raw = list(twin), list(twin)
        for train, test in query_folds([pair.query for pair in job.pairs], None, FOLDS, job.seed):
            held_out = [job.pairs[i] for i in test]
            of_fold = _fitted(job, [job.pairs[i] for i in train], held_out)
            for i, own, bare_own in zip(
                test, scores_of(of_fold, held_out), scores_of(_bare(of_fold), held_out), strict=True
            ):
                scores[i], raw[i] = own, bare_own
    on_test = pair_slices(job.test, scores_of(reward, job.test))
    held_out_slices = {f"held_out_{key}": value for key, value in on_test.items() if key.startswith("accuracy")}
    measured = {"steps": 1, "measured_on": "five folds by query, pooled"}
    return reward, measured | _beside_twin(job, job.pairs, scores, raw, twin) | held_out_slices


def _transformer(job: _Job) -> tuple[Reward, dict[str, Any]]:
    from inkfire.training.reward_trainer import train_transformer

    assert job.task is not None
    learnt = job.prepared(job.train, [*job.held_back, *job.test])[0]
    start = job.material.start_from
    model, trained = train_transformer(
        learnt, job.held_back, job.out, job.settings, job.task, start, seed=job.seed, bars=job.bars
    )
    known = {text_id(pair.query) for pair in (*job.train, *job.held_back)} | (seen_by(start) if start else set())
    write_json(job.out / SEEN, {"queries": sorted(known)})
    reward = job.finished(model, learnt)
    twin = scores_of(LinearReward(NgramPairModel().fit(job.train), "twin"), job.test)
    measured = _beside_twin(job, job.test, scores_of(reward, job.test), scores_of(model, job.test), twin)
    return reward, trained | {"measured_on": "held-out queries"} | measured


def _bare(reward: Reward) -> Reward:
    return reward.reward if isinstance(reward, WithoutLength) else reward


def scores_of(reward: Reward, pairs: Sequence[Preference]) -> list[tuple[float | None, float | None]]:
    """(chosen, rejected) of each pair."""
    queries = [pair.query for pair in pairs]
    scores = reward.score([*queries, *queries], [*(p.chosen for p in pairs), *(p.rejected for p in pairs)])
    return list(zip(scores[: len(pairs)], scores[len(pairs) :], strict=True))


def _beside_twin(job: _Job, pairs: Sequence[Preference], scores: Scores, raw: Scores, twin: Scores) -> dict[str, Any]:
    """A model's numbers on pairs; those of the plain n-gram twin; and its own before length was taken out."""

    def slices(of: Scores) -> dict[str, Any]:
        return pair_slices(pairs, of) | on_pairs(pairs, of, job.seed)

    def named(prefix: str, of: Scores) -> dict[str, Any]:
        kept = ("accuracy", "length_correlation")
        return {f"{prefix}_{key}": value for key, value in slices(of).items() if key.startswith(kept)}

    out = slices(scores) | named("ngram", twin)
    if job.settings.length_debias:
        out |= named("raw", raw)
    if twin is not scores:
        for suffix, rows in (("", range(len(pairs))), ("_length_matched", _matched(pairs))):
            own, other = ([float(_right(of[i])) for i in rows] for of in (scores, twin))
            gain = bootstrap_mean_difference(own, other, [pairs[i].query for i in rows], job.seed)
            out |= gain.named(f"gain_over_ngram{suffix}")
    return out


def _matched(pairs: Sequence[Preference]) -> list[int]:
    return [i for i, pair in enumerate(pairs) if like_length(pair)]


def _right(scores: tuple[float | None, float | None]) -> bool:
    chosen, rejected = scores
    return chosen is not None and rejected is not None and chosen > rejected


def _threshold(job: _Job, reward: Reward, labelled: Sequence[Labelled] | None) -> dict[str, Any]:
    source = "labelled texts"
    if labelled is None:
        pairs, source = (job.held_back, "held-back pairs") if job.held_back else (job.test, "held-out pairs")
        labelled = [row for p in pairs for row in (Labelled(p.query, p.chosen, 1), Labelled(p.query, p.rejected, 0))]
    queries = [row.query for row in labelled]
    scores = reward.score(queries, [row.response for row in labelled])
    return fit_threshold(scores, [row.label for row in labelled], queries, job.seed) | {"threshold_from": source}


def remarks(card: dict[str, Any]) -> list[str]:
    """What a reader of the numbers ought to know, in sentences."""
    said = []
    longer, matched = card["longer_wins"], card["accuracy_length_matched_ci"]
    if longer is not None and abs(longer - 0.5) >= 0.2:
        what = "longer" if longer > 0.5 else "shorter"
        said.append(
            f"In {max(longer, 1 - longer):.0%} of the pairs the chosen text is the {what} one: judge this model by its "
            f"accuracy on length-matched pairs ({card['n_length_matched']} of {card['n']})."
        )
    if matched is None or matched[0] <= 0.5:
        said.append("On length-matched pairs it is not shown to be better than chance.")
    said += _beside_ngrams(card)
    if card["auc_ci"][0] <= 0.5:
        said.append(f"On {card['threshold_from']} its AUC is not shown to be above 0.5.")
    if missing := card.get("hard_negatives_without_honest"):
        said.append(f"{missing} hard negatives have no honest text of their query, and were left out: --honest FILE.")
    return said


def _beside_ngrams(card: dict[str, Any]) -> list[str]:
    """Whether it beats the plain n-gram twin on the same pairs or falls behind, by the paired difference's interval."""
    if "gain_over_ngram" not in card:
        return []
    (low, high), gain = card["gain_over_ngram_ci"], card["gain_over_ngram"]
    by = (
        f"{card['accuracy']:.3f} against {card['ngram_accuracy']:.3f}, difference {gain:+.3f} [{low:+.3f}, {high:+.3f}]"
    )
    if card["kind"] == "transformer" and low <= 0:
        return [f"It is not shown to be better than the n-gram twin on the same pairs ({by})."]
    if card["kind"] == "linear" and high < 0:
        return [f"It is right on fewer pairs than the plain n-gram twin ({by})."]
    return []
