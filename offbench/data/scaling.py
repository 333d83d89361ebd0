"""How the numbers that a learner sees relate to those of the environment: states, actions and rewards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Shaped

from offbench.basis.known import LARGE, kept_numbers
from offbench.basis.shapes import Array
from offbench.data.digest import digest_of
from offbench.data.rows import Usable
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError

ActionRange = tuple[Float[Array, " action"], Float[Array, " action"]]  # lowest and highest
RewardTransform = Literal["none", "return_range", "minus_one", "times_10_minus_5", "times_100"]

# Scale and shift of the rewards of sparse goals, 0 or 1, as methods want them.
_GOAL_REWARDS = {"minus_one": (1.0, -1.0), "times_10_minus_5": (10.0, -5.0), "times_100": (100.0, 0.0)}

# Added to the standard deviation of states, as CORL does: a constant column stays constant and does not explode. What
# learns from sequences has 1e-6 there.
STATE_EPSILON, SEQUENCE_STATE_EPSILON = 1e-3, 1e-6


@dataclass(frozen=True)
class Scaling:
    """How the numbers that a learner sees relate to those of the environment.

    Attributes:
        mean, std: a learner sees (s - mean) / std.
        low, high: a learner's actions in [-1, 1] become low + (a + 1) (high - low) / 2.
        reward_scale, reward_shift: a learner sees reward_scale r + reward_shift; scores always use r itself.
    """

    mean: Float[Array, " observation"]
    std: Float[Array, " observation"]
    low: Float[Array, " action"]
    high: Float[Array, " action"]
    reward_scale: float = 1.0
    reward_shift: float = 0.0

    def states(self, observations: Shaped[Array, "*points observation"]) -> Float[Array, "*points observation"]:
        """Observations as a learner sees them."""
        scaled: Array = (observations - self.mean) / self.std
        return scaled

    def to_environment(self, actions: Float[Array, "*points action"]) -> Float[Array, "*points action"]:
        """Actions of a learner in the units of the environment."""
        scaled: Array = self.low + (actions + 1) * (self.high - self.low) / 2
        return scaled

    def transforms(self, normalise: bool, reward: RewardTransform) -> list[dict[str, Any]]:
        """What changes the numbers at all, as plain data, for the record of a run."""
        described: list[dict[str, Any]] = []
        if normalise:
            described.append({"name": "normalise_states", "mean": self.mean.tolist(), "std": self.std.tolist()})
        if (self.low != -1).any() or (self.high != 1).any():
            described.append({"name": "scale_actions", "low": self.low.tolist(), "high": self.high.tolist()})
        if reward != "none":
            scale, shift = self.reward_scale, self.reward_shift
            described.append({"name": "transform_rewards", "kind": reward, "scale": scale, "shift": shift})
        return described

    @staticmethod
    def of(
        t: Trajectories,
        usable: Usable,
        normalise: bool,
        reward: RewardTransform,
        action_range: ActionRange | None,
        epsilon: float = STATE_EPSILON,
    ) -> Scaling:
        """The scaling that a view asks for.

        Args:
            t: the data.
            usable: the steps whose observations count for mean and standard deviation.
            normalise: standardise each state dimension by its mean and (standard deviation + epsilon).
            reward: the transform of rewards.
            action_range: (low, high) of the task's actions; the range declared by the data if None.
            epsilon: see ``normalise``.

        Raises:
            DataError: no rewards to transform, equal returns, an unknown or too narrow range of actions.
        """
        size = t.observations.shape[1]
        mean, std = np.zeros(size, np.float32), np.ones(size, np.float32)
        if normalise:
            mean, std = _known_statistics(t, usable, epsilon)
        scale, shift = 1.0, 0.0
        if reward != "none" and t.rewards is None:
            raise DataError(f"the reward transform {reward!r} needs rewards, and the dataset has none")
        if reward == "return_range":
            spread = float(np.ptp(t.returns[: len(t) - t.unfinished])) if len(t) > t.unfinished else 0.0
            if spread == 0:
                raise DataError("all returns are equal, so rewards cannot be scaled by their range; use 'none'")
            scale = 1000 / spread
        elif reward != "none":
            scale, shift = _GOAL_REWARDS[reward]
        low, high = _action_range(t, action_range)
        return Scaling(mean, std, low, high, scale, shift)


def _known_statistics(
    t: Trajectories, usable: Usable, epsilon: float
) -> tuple[Float[Array, " observation"], Float[Array, " observation"]]:
    """`_statistics`, of large data those that were found before."""
    if t.observations.nbytes < LARGE:
        return _statistics(t.observations, usable, epsilon)

    def made() -> dict[str, list[float]]:
        mean, std = _statistics(t.observations, usable, epsilon)
        return {"mean": mean.tolist(), "std": std.tolist()}

    chosen = digest_of({"first": usable.first, "skipped": usable.skipped})
    kept = kept_numbers(f"statistics {t.digest} {chosen} {epsilon}", made)
    return np.array(kept["mean"], np.float32), np.array(kept["std"], np.float32)


def _statistics(
    observations: Shaped[Array, "_ observation"], usable: Usable, epsilon: float
) -> tuple[Float[Array, " observation"], Float[Array, " observation"]]:
    """Mean and (standard deviation + epsilon) of what the usable steps act from.

    One pass over blocks that fit in the cache, joined by the formula of Chan, Golub and LeVeque (1983, "Algorithms for
    Computing the Sample Variance"), so that data larger than memory are never copied whole.
    """
    count, mean, squares = 0, np.zeros(observations.shape[1]), np.zeros(observations.shape[1])
    size = 1 + _BLOCK // (1 + len(mean))
    for first in range(0, len(usable), size):
        rows = usable.sources(np.arange(first, min(first + size, len(usable))))
        block = observations[rows].astype(np.float64)
        ones = np.ones(len(block))
        own = ones @ block / len(block)  # as a product, which is faster than a sum over rows
        block -= own
        change = own - mean
        total = count + len(block)
        squares += ones @ (block * block) + change**2 * (count * len(block) / total)
        mean += change * (len(block) / total)
        count = total
    std = np.sqrt(squares / count) + epsilon
    return mean.astype(np.float32), std.astype(np.float32)


_BLOCK = 2**17  # numbers


def _action_range(t: Trajectories, declared: ActionRange | None) -> ActionRange:
    """The range that is mapped to [-1, 1]: the task's, else the data's own, else [-1, 1] if it holds all actions."""
    if t.actions is None:
        return np.zeros(0, np.float32), np.ones(0, np.float32)
    unit = np.ones(t.actions.shape[1], np.float32)
    low, high = declared or t.action_range or (-unit, unit)
    if low.shape != unit.shape:
        raise DataError(f"actions have {len(unit)} dimensions and their range {len(low)}; name the task of the dataset")
    if _implied((low, high), t.action_range):
        return low.astype(np.float32), high.astype(np.float32)
    lowest, highest = t.actions.min(), t.actions.max()
    # Extremes over all components cost little, and settle the usual case of one range for all.
    sure = lowest >= low.max() - 1e-4 and highest <= high.min() + 1e-4
    if not sure and not all(_keeps(t.actions[i : i + _BLOCK], low, high) for i in range(0, len(t.actions), _BLOCK)):
        raise DataError(
            f"actions reach from {lowest:.4g} to {highest:.4g}, outside the range "
            f"{low.min():.4g} to {high.max():.4g}; name the task, whose range then counts"
        )
    return low.astype(np.float32), high.astype(np.float32)


def _implied(wanted: ActionRange, own: ActionRange | None) -> bool:
    """Whether actions that keep the data's own range, as they were found to, keep the one that is wanted."""
    if own is None:
        return False
    # Of bounds up to 1 the check of the data allows for 1e-5, and of larger ones for as much of them.
    small = np.abs(np.concatenate(own)).max(initial=0) <= 1
    return bool(small and (own[0] >= wanted[0]).all() and (own[1] <= wanted[1]).all())


def _keeps(actions: Array, low: Array, high: Array) -> bool:
    return not ((actions < low - 1e-4).any() or (actions > high + 1e-4).any())
