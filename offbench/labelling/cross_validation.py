"""Cross-validation of reward models: how each pair is judged by models that saw neither it nor a step of it.

Folds are fitted beside each other as seeds are. The same folds serve all seeds, so that a pair has a prediction of
each, whose mean is what is scored; intervals are over pairs, for pairs are what a person labelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int

from offbench.basis.shapes import Array
from offbench.data.preferences import Preferences
from offbench.data.segments import Segments
from offbench.errors import DataError
from offbench.labelling.reward_fitting import Case, fit_cases, parted
from offbench.labelling.reward_models import Compared, RewardConfig
from offbench.labelling.store import Say
from offbench.nn.random import stream

FOLDS = 10
DRAWS = 10_000  # of the bootstrap
SMALLEST = 1e-12  # a probability is no less in a cross-entropy


@dataclass(frozen=True, eq=False)
class Judged:
    """What is predicted of each pair by models that it had no part in.

    Attributes:
        probabilities: that the second segment is preferred.
        labels: the true ones.
    """

    probabilities: Float64[Array, "seeds pairs"]
    labels: Float64[Array, " pairs"]

    @property
    def mean(self) -> Float64[Array, " pairs"]:
        """Over seeds."""
        mean: Array = self.probabilities.mean(0)
        return mean


class Score(NamedTuple):
    """A number with the 95% interval of a bootstrap over pairs, and of how many pairs it is."""

    value: float
    interval: tuple[float, float]
    pairs: int


def cross_validate(
    preferences: Preferences,
    config: RewardConfig,
    seeds: Sequence[int],
    folds: int = FOLDS,
    shuffled: bool = False,
    say: Say = lambda line: None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Judged:
    """Predictions of each pair by the models of all other folds, those left out that share a step with its fold.

    Args:
        preferences: pairs and labels.
        config: of the models; pairs that they hold out to choose among parameters are taken from those that they are
            given, so that the fold itself chooses nothing. Several members' differences are averaged.
        seeds: of the models.
        folds: each pair is in one.
        shuffled: whether the models learn from labels that were shuffled among all pairs, anew for each seed.
        say: hears how far it is.
        device: where.
        dtype: of parameters.

    Raises:
        DataError: fewer pairs than folds, or too few to learn from.
    """
    shared, parts = sharing(preferences), divided(len(preferences), folds)
    cases, tested = [], []
    for seed in seeds:
        given = np.array(preferences.labels)
        if shuffled:
            given = given[stream(seed, "cross-validation/shuffled").permutation(len(given))]
        for number, part in enumerate(parts):
            kept = others(shared, part)
            if len(kept) < 2:
                raise DataError(
                    f"without fold {number} and the pairs that share steps with it {len(kept)} pairs are left to learn "
                    "from; more pairs, or other folds, would be right"
                )
            cases.append(parted(preferences, kept, config, seed, given, f"/fold{number}"))
            tested.append(part)
    made = fit_cases(preferences, config, cases, say, device, dtype)
    return _judged(preferences, config, made.parameters, cases, tested, len(seeds))


def _judged(
    preferences: Preferences,
    config: RewardConfig,
    parameters: dict[str, torch.Tensor],
    cases: Sequence[Case],
    tested: Sequence[Int[Array, " _"]],
    seeds: int,
) -> Judged:
    mean = parameters["input.mean"]
    compared = Compared(preferences, config, mean.device, mean.dtype)
    found = np.full((seeds, len(preferences)), np.nan)
    for row, (_, part) in enumerate(zip(cases, tested, strict=True)):
        own = {name: value[row] for name, value in parameters.items()}
        pairs = torch.from_numpy(part).to(mean.device).expand(config.members, -1)
        differences = compared.differences(own, pairs).double().mean(0)
        found[row // (len(cases) // seeds), part] = torch.sigmoid(differences).cpu().numpy()
    return Judged(found, np.array(preferences.labels, np.float64))


def majority(preferences: Preferences, folds: int = FOLDS) -> Judged:
    """What always the majority comes to: the mean label of the other folds, whatever the segments are."""
    shared, labels = sharing(preferences), np.array(preferences.labels, np.float64)
    found = np.empty((1, len(labels)))
    for part in divided(len(labels), folds):
        found[0, part] = labels[others(shared, part)].mean()
    return Judged(found, labels)


def others(shared: Bool[Array, "pairs pairs"], part: Int[Array, " _"]) -> Int[Array, " _"]:
    """The pairs that are not of the part and share no step with it."""
    kept: Array = np.flatnonzero(~shared[:, part].any(1))
    return kept


def divided(pairs: int, folds: int) -> list[Int[Array, " _"]]:
    """The pairs of each fold, whose numbers differ by at most one.

    Raises:
        DataError: fewer pairs than folds, or a single fold.
    """
    if not 2 <= folds <= pairs:
        raise DataError(f"{pairs} pairs cannot be divided into {folds} folds; 2 to {pairs} would be right")
    order = stream(0, "cross-validation/folds").permutation(pairs)
    return [np.sort(order[first::folds]) for first in range(folds)]


def sharing(preferences: Preferences) -> Bool[Array, "pairs pairs"]:
    """Whether two pairs share a step; every pair does with itself.

    Where the steps of segments are unknown, as in published files, steps with the same state and action count as one.
    """
    steps = np.concatenate([_steps(preferences.first), _steps(preferences.second)], 1)
    _, names = np.unique(steps.reshape(-1, *steps.shape[2:]), axis=0, return_inverse=True)
    pair = np.repeat(np.arange(len(preferences)), steps.shape[1])
    has = np.zeros((len(preferences), int(names.max()) + 1), dtype=np.float32)
    has[pair, names.reshape(-1)] = 1
    shared: Array = has @ has.T > 0
    return shared


def _steps(side: Segments) -> Array:
    """What tells steps apart, (pairs, length, ...)."""
    if side.starts is not None:
        places: Array = side.starts[:, None] + np.arange(side.actions.shape[1])
        return places[..., None]
    flat: Array = np.concatenate([side.observations.reshape(*side.actions.shape[:2], -1), side.actions], -1)
    return flat


# -------------------------------------------------------------------- scores


def accuracy(judged: Judged) -> Score:
    """The share of pairs without a tie whose preferred segment is thought the likelier; a half where neither is."""
    told = judged.labels != 0.5
    right = np.sign(judged.mean - 0.5) * np.sign(judged.labels - 0.5)
    return _scored((right[told] + 1) / 2)


def cross_entropy(judged: Judged) -> Score:
    """Of the mean prediction, in nats, over all pairs; a coin's is ln 2 = 0.693, a tie's at best."""
    p = np.clip(judged.mean, SMALLEST, 1 - SMALLEST)
    y = judged.labels
    return _scored(-(y * np.log(p) + (1 - y) * np.log(1 - p)))


def _scored(values: Float64[Array, " _"]) -> Score:
    """The mean over pairs and the percentile bootstrap's interval."""
    if len(values) == 0:
        return Score(float("nan"), (float("nan"), float("nan")), 0)
    drawn = stream(0, "cross-validation/bootstrap").integers(len(values), size=(DRAWS, len(values)))
    low, high = np.percentile(values[drawn].mean(1), [2.5, 97.5])
    return Score(float(values.mean()), (float(low), float(high)), len(values))
