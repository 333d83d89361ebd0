"""Scripted teachers, who prefer one segment over another by its rewards (Lee et al. 2021, "B-Pref: Benchmarking
Preference-Based Reinforcement Learning", https://arxiv.org/abs/2111.03026, section 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from offbench.basis.shapes import Array
from offbench.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, Float64


@dataclass(frozen=True)
class Teacher:
    """Prefers the second of two segments with probability 1 / (1 + exp(-rationality * (R2 - R1))).

    R is the sum of myopia^(length - 1 - t) r_t over a segment: a myopic teacher (below 1) judges by its end.
    The defaults are the perfect teacher, with a tie where both returns are equal.

    Attributes:
        rationality: beta; infinite: the larger R wins always, 0: a coin is thrown.
        myopia: gamma in [0, 1]; 1 weighs all steps alike.
        mistakes: epsilon in [0, 1], the probability that a label that is no tie is turned round.
        ties: pairs whose undiscounted returns differ by no more than this are ties, labelled 1/2; None: no pair is,
            and a perfect teacher to whom both are equal prefers the first.
        skips: pairs of which no segment's undiscounted return reaches this are not labelled; None: none are skipped.

    Raises:
        DataError: a number outside its range.
    """

    rationality: float = math.inf
    myopia: float = 1.0
    mistakes: float = 0.0
    ties: float | None = 0.0
    skips: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("myopia", self.myopia), ("mistakes", self.mistakes)):
            if not 0 <= value <= 1:
                raise DataError(f"the {name} of a teacher must lie in [0, 1], not {value}")
        if not self.rationality >= 0:
            raise DataError(f"the rationality of a teacher must be at least 0, not {self.rationality}")
        if self.ties is not None and not self.ties >= 0:
            raise DataError(f"the threshold for ties of a teacher must be at least 0, not {self.ties}")

    def label(
        self, first: Float[Array, "pairs length"], second: Float[Array, "pairs length"], generator: np.random.Generator
    ) -> tuple[Float32[Array, " pairs"], Bool[Array, " pairs"]]:
        """(Labels, which pairs to keep).

        Args:
            first: rewards of the first segments.
            second: rewards of the second segments.
            generator: of the two uniform numbers that are drawn for every pair, whatever the teacher.
        """
        judged = self._value(second) - self._value(first)
        choice, slip = generator.random((2, len(judged)))
        if math.isinf(self.rationality):
            prefers_second = judged > 0
        else:
            # Through tanh, which bears infinity: 1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2.
            with np.errstate(over="ignore"):
                prefers_second = choice < (1 + np.tanh(self.rationality * judged / 2)) / 2
        labels = (prefers_second ^ (slip < self.mistakes)).astype(np.float32)
        sums = first.sum(axis=1, dtype=np.float64), second.sum(axis=1, dtype=np.float64)
        if self.ties is not None:
            labels[np.abs(sums[1] - sums[0]) <= self.ties] = 0.5
        keep = np.ones(len(labels), dtype=bool) if self.skips is None else np.maximum(*sums) >= self.skips
        return labels, keep

    def _value(self, rewards: Float[Array, "pairs length"]) -> Float64[Array, " pairs"]:
        """What segments of these rewards are worth to this teacher."""
        weights = self.myopia ** np.arange(rewards.shape[1] - 1, -1, -1, dtype=np.float64)
        value: Array = rewards.astype(np.float64) @ weights
        return value
