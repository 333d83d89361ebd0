"""How far two rewards of the same recorded transitions are apart: what is known of them are samples.

STARC (Skalse et al. 2024, https://arxiv.org/abs/2309.15257) and EPIC (Gleave et al. 2021,
https://arxiv.org/abs/2006.13900) take away what potentials add before they compare. Exactly, as for finite processes in
`offbench.labelling.reward_distances`, that needs every transition; here what is needed is fitted by least squares on
random features of one half of the points, and the rewards are compared on the other half.

- STARC: c = r + γ V(s') - V(s), V the value under the policy that made the data, fitted by temporal differences
  (least-squares TD, Bradtke and Barto 1996). With the next state that was drawn and not the expectation over it, this
  is VAL where the dynamics are deterministic, and ValuePotential elsewhere.
- EPIC: C = r + γ F(s') - F(s), F(s) = E_A f(s, A) with A from the data's actions, and f from a fit of r by
  f(s, a) + g(s'). It goes by rewards of actions that were not taken, which only the fit knows.

Both are compared by the Pearson correlation ρ of the two: √((1 - ρ) / 2), which is half the Euclidean norm of the
difference of the standardised ones: 0 alike, 1 opposite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from offbench.basis.shapes import Array
from offbench.data.segments import draw
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError
from offbench.nn.random import stream

if TYPE_CHECKING:
    from jaxtyping import Float64, Int

FEATURES = 256  # random Fourier features of states, and as many of states with actions
_RESAMPLES = 500
_LEAST = 1e-7  # mean square of a direction of features, in comparison with the largest, that is fitted to
_POINTS_A_FEATURE = 20


@dataclass(frozen=True)
class Measured:
    """One number with the central 95% of what resampling gives, and the count behind it.

    Attributes:
        value: NaN where a reward is constant, so that nothing can be said.
        interval: None where there are too few episodes to resample.
        count: of points, steps, segments or pairs.
    """

    value: float
    interval: tuple[float, float] | None
    count: int


@dataclass(frozen=True)
class RewardComparison:
    """Two rewards of the same transitions, the first being the measure of the second.

    Attributes:
        starc, epic: distances, in [0, 1].
        steps: Pearson correlation of the rewards of steps.
        segments: Pearson correlation of the returns of random segments.
        accuracy: share of random pairs of segments, not tied by the first reward, that the second orders alike; a tie
            of the second counts half.
        explained: share of the variance of each reward, on points not fitted to, that EPIC's fit explains.
    """

    starc: Measured
    epic: Measured
    steps: Measured
    segments: Measured
    accuracy: Measured
    explained: tuple[float, float]


def compare_rewards(
    one: Trajectories,
    two: Trajectories,
    discount: float = 0.99,
    length: int = 50,
    points: int = 20_000,
    pairs: int = 5_000,
    seed: int = 0,
) -> RewardComparison:
    """Compare the rewards of two datasets that have the same transitions.

    Intervals resample episodes, that of the accuracy takes pairs for independent.

    Args:
        one: with the reward that the other is measured by, usually the true one.
        two: with the other, usually learned.
        discount: γ, in [0, 1).
        length: steps of a segment.
        points: transitions at most that STARC and EPIC are estimated from; one half is fitted to.
        pairs: pairs of segments.
        seed: of points, features and segments.

    Raises:
        DataError: no rewards or actions, other transitions, too few of them, or numbers out of range.
    """
    _check(one, two, discount, points, pairs)
    assert one.rewards is not None
    assert two.rewards is not None
    rewards = np.stack([one.rewards, two.rewards]).astype(np.float64)
    everywhere = np.repeat(np.arange(len(one)), one.lengths)
    chosen = _points(one, points, seed)
    sample = _Sample.of(one, chosen, discount, seed)
    test, where = sample.test, everywhere[chosen][sample.test]
    shown = rewards[:, chosen]
    canonical = [reward[test] + sample.potential(sample.value(reward)) for reward in shown]
    epic, explained = zip(*(sample.epic(reward) for reward in shown), strict=True)
    starts = draw(one, length, 2 * pairs, stream(seed, "rewards/segments"))
    returns = np.stack([reward[starts[:, None] + np.arange(length)].sum(1) for reward in rewards])
    return RewardComparison(
        starc=_distance(_correlation(np.stack(canonical), where, seed)),
        epic=_distance(_correlation(np.stack(epic), where, seed)),
        steps=_correlation(rewards, everywhere, seed),
        segments=_correlation(returns, everywhere[starts], seed),
        accuracy=_accuracy(returns[:, pairs:] - returns[:, :pairs]),
        explained=(explained[0], explained[1]),
    )


@dataclass(frozen=True, eq=False)
class _Sample:
    """Transitions with random features of their states.

    Attributes:
        here, there: (points, features), of the state and of the next one; where the episode terminates nothing is.
        acted: (points, features), of state and action together.
        mixed: two arrays (test points, features), the mean of those of state and action over actions of the data, for
            states and next states.
        fit, test: numbers of the points of either half.
    """

    here: Float64[Array, "points features"]
    there: Float64[Array, "points features"]
    acted: Float64[Array, "points both"]
    mixed: tuple[Float64[Array, "test both"], Float64[Array, "test both"]]
    fit: Int[Array, " fit"]
    test: Int[Array, " test"]
    discount: float

    @staticmethod
    def of(data: Trajectories, steps: Int[Array, " points"], discount: float, seed: int) -> _Sample:
        assert data.actions is not None
        rows = data.sources[steps]
        seen = data.observations.reshape(len(data.observations), -1)
        states, after = seen[rows].astype(np.float64), seen[rows + 1].astype(np.float64)
        actions = data.actions[steps].reshape(len(steps), -1).astype(np.float64)
        states, after = (_standard(each, states) for each in (states, after))
        actions = _standard(actions, actions)
        generator = stream(seed, "rewards/features")
        of_state = _Fourier.drawn(states.shape[1], generator)
        of_both = _Fourier.drawn(states.shape[1] + actions.shape[1], generator)
        goes_on = ~data.terminations[steps, None]
        order = stream(seed, "rewards/halves").permutation(len(steps))
        fit, test = np.sort(order[: len(steps) // 2]), np.sort(order[len(steps) // 2 :])
        mixed = of_both.mean_over(states[test], actions), of_both.mean_over(after[test], actions) * goes_on[test]
        return _Sample(
            of_state(states),
            of_state(after) * goes_on,
            of_both(np.hstack([states, actions])),
            mixed,
            fit,
            test,
            discount,
        )

    def value(self, reward: Float64[Array, " points"]) -> Float64[Array, " features"]:
        """Weights of the value of the policy that made the data, by least-squares temporal differences."""
        here, there = self.here[self.fit], self.there[self.fit]
        basis = _basis(here)
        own = here @ basis
        found: Array = basis @ np.linalg.solve(own.T @ (own - self.discount * there @ basis), own.T @ reward[self.fit])
        return found

    def potential(self, weights: Float64[Array, " features"]) -> Float64[Array, " test"]:
        """γ V(s') - V(s) on the test points."""
        found: Array = (self.discount * self.there[self.test] - self.here[self.test]) @ weights
        return found

    def epic(self, reward: Float64[Array, " points"]) -> tuple[Float64[Array, " test"], float]:
        """EPIC's canonical reward on the test points but for a constant, and the share of the variance explained."""
        both = np.hstack([self.acted, self.there])
        basis = _basis(both[self.fit])
        weights = basis @ ((both[self.fit] @ basis).T @ reward[self.fit]) / len(self.fit)
        own = weights[: self.acted.shape[1]]
        true = reward[self.test]
        spread, missed = true.var(), np.mean((true - both[self.test] @ weights) ** 2)
        here, there = self.mixed
        return true + (self.discount * there - here) @ own, float(1 - missed / spread) if spread > 0 else float("nan")


@dataclass(frozen=True, eq=False)
class _Fourier:
    """1, x and random cosines of x (Rahimi and Recht 2007), whose kernel is as wide as standardised x is long."""

    weights: Float64[Array, "size features"]
    phases: Float64[Array, " features"]

    @staticmethod
    def drawn(size: int, generator: np.random.Generator) -> _Fourier:
        weights = generator.standard_normal((size, FEATURES)) / np.sqrt(size)
        return _Fourier(weights, generator.uniform(0, 2 * np.pi, FEATURES))

    def __call__(self, x: Float64[Array, "points size"]) -> Float64[Array, "points all"]:
        return np.hstack([np.ones((len(x), 1)), x, np.cos(x @ self.weights + self.phases)])

    def mean_over(
        self, x: Float64[Array, "points part"], y: Float64[Array, "others rest"]
    ) -> Float64[Array, "points all"]:
        """The mean of the features of (x, y) over all y, by cos(p + q) = cos p cos q - sin p sin q."""
        p, q = x @ self.weights[: x.shape[1]], y @ self.weights[x.shape[1] :] + self.phases
        cosines = np.cos(p) * np.cos(q).mean(0) - np.sin(p) * np.sin(q).mean(0)
        return np.hstack([np.ones((len(x), 1)), x, np.broadcast_to(y.mean(0), (len(x), y.shape[1])), cosines])


def _basis(features: Float64[Array, "points features"]) -> Float64[Array, "features kept"]:
    """What makes of features fewer ones that are uncorrelated and of mean square 1: no fit has more than data allow."""
    squares, directions = np.linalg.eigh(features.T @ features / len(features))
    kept = (squares > _LEAST * squares[-1]) & (np.arange(len(squares))[::-1] < len(features) / _POINTS_A_FEATURE)
    found: Array = directions[:, kept] / np.sqrt(squares[kept])
    return found


def _standard(values: Array, by: Array) -> Array:
    std = by.std(0)
    found: Array = (values - by.mean(0)) / np.where(std > 1e-8, std, 1.0)
    return found


def _points(data: Trajectories, most: int, seed: int) -> Int[Array, " points"]:
    """The steps that are taken, in order."""
    usable = np.flatnonzero(data.usable)
    least = 4 * FEATURES
    if len(usable) < least:
        raise DataError(f"{data.name} has {len(usable)} transitions; at least {least} are needed to fit values to")
    taken: Array = np.sort(stream(seed, "rewards/points").permutation(usable)[:most])
    return taken


# -------------------------------------------------------------------- numbers


def _correlation(both: Float64[Array, "2 places"], episodes: Int[Array, " places"], seed: int) -> Measured:
    """Pearson's, with an interval of episodes drawn with replacement."""
    one, two = both - both.mean(1, keepdims=True)  # for the sake of rounding
    columns = (np.ones(len(one)), one, two, one * one, two * two, one * two)
    known, groups = np.unique(episodes, return_inverse=True)
    sums = np.stack([np.bincount(groups, column, len(known)) for column in columns], axis=1)
    value = float(_pearson(sums.sum(0)))
    if len(known) < 2 or np.isnan(value):
        return Measured(value, None, len(one))
    counts = stream(seed, "rewards/resampling").multinomial(len(known), np.full(len(known), 1 / len(known)), _RESAMPLES)
    low, high = np.nanquantile(_pearson(counts @ sums), (0.025, 0.975))
    return Measured(value, (float(low), float(high)), len(one))


def _pearson(sums: Array) -> Array:
    """Of sums (..., 6) of 1, x, y, x², y² and xy."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        spreads = np.maximum(xx / n - (x / n) ** 2, 0) * np.maximum(yy / n - (y / n) ** 2, 0)
        found: Array = np.clip(np.where(spreads > 0, (xy / n - x * y / n**2) / np.sqrt(spreads), np.nan), -1, 1)
    return found


def _distance(correlation: Measured) -> Measured:
    """√((1 - ρ) / 2)."""
    value, *bounds = (float(np.sqrt((1 - rho) / 2)) for rho in (correlation.value, *(correlation.interval or ())))
    return Measured(value, (bounds[1], bounds[0]) if bounds else None, correlation.count)


def _accuracy(differences: Float64[Array, "2 pairs"]) -> Measured:
    """Of the differences of returns by either reward; with Wilson's interval."""
    one, two = differences
    decided = one != 0
    count = int(decided.sum())
    if count == 0:
        return Measured(float("nan"), None, 0)
    right = float(np.where(two == 0, 0.5, np.sign(one) == np.sign(two))[decided].mean())
    z = 1.959964
    middle, reach = right + z**2 / (2 * count), z * np.sqrt(right * (1 - right) / count + (z / (2 * count)) ** 2)
    low, high = ((middle + side * reach) / (1 + z**2 / count) for side in (-1, 1))
    return Measured(right, (max(0.0, float(low)), min(1.0, float(high))), count)


def _check(one: Trajectories, two: Trajectories, discount: float, points: int, pairs: int) -> None:
    for data in (one, two):
        if data.rewards is None or data.actions is None:
            raise DataError(
                f"{data.name} has no {'rewards' if data.rewards is None else 'actions'}, which are compared"
            )
    for column in ("offsets", "observations", "actions", "terminations"):
        if not np.array_equal(getattr(one, column), getattr(two, column)):
            raise DataError(
                f"{column} of {one.name} and {two.name} differ; rewards of the same transitions can be compared, those "
                "of a dataset and of the same relabelled for example"
            )
    if not 0 <= discount < 1:
        raise DataError(f"the discount must lie in [0, 1), not {discount}")
    if points < 1 or pairs < 1:
        raise DataError(f"points {points} and pairs {pairs} must be at least 1")
