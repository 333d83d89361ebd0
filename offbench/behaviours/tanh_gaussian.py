"""The policy that soft actor-critic leaves behind, in plain NumPy: a Gaussian squashed by tanh.

Haarnoja et al. 2018, "Soft Actor-Critic" (https://arxiv.org/abs/1801.01290), appendix C, as rlkit builds it: hidden
layers with ReLU, one head for the mean and one for the logarithm of the standard deviation, which is clipped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from offbench.basis.shapes import Array
from offbench.errors import OffbenchError

Layer = tuple[Array, Array]

LOG_STD = (-20.0, 2.0)
BLOCK = 250  # steps whose noise is drawn at a time; part of what a seed gives
ROWS = 10_000  # rows that log_prob computes at a time
# Actions are float32, in which tanh reaches 1: such an action counts as the last number before it.
_LAST = 1.0 - 2.0**-24


class TanhGaussianPolicy:
    """Acts by ``centre + half tanh(mean + std noise)``, where centre and half describe the action bounds.

    Without seeds the noise is 0. With seeds there is one generator an environment, whose noise depends on its own seed
    and the lengths of its own episodes alone, not on how many environments act together. (The network's products do
    in their last bit, as they do on the number of threads.)

    Attributes:
        observation_size: length of one observation.
        action_size: length of one action.
    """

    def __init__(
        self,
        hidden: Sequence[Layer],
        mean: Layer,
        log_std: Layer,
        low: npt.ArrayLike,
        high: npt.ArrayLike,
        seeds: Sequence[int] | None = None,
    ) -> None:
        """Take layers, each of weights (in, out) and biases (out,), and the action bounds.

        Args:
            hidden: layers followed by ReLU, the first one first.
            mean: head for the mean, before tanh.
            log_std: head for the logarithm of the standard deviation, before tanh.
            low: (action,), lower bounds.
            high: (action,), upper bounds.
            seeds: one an environment, to sample; none to act deterministically.

        Raises:
            OffbenchError: layers that do not fit one another or the bounds, or bounds without room between them.
        """
        self._hidden = [_layer(layer) for layer in hidden]
        self._mean, self._log_std = _layer(mean), _layer(log_std)
        self.observation_size = len([*self._hidden, self._mean][0][0])
        self.action_size = len(self._mean[1])
        self._check_layers()
        low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
        if low.shape != (self.action_size,) or high.shape != low.shape:
            raise OffbenchError(
                f"action bounds have shapes {low.shape} and {high.shape}; ({self.action_size},) is right"
            )
        if not (np.isfinite(low) & np.isfinite(high) & (low < high)).all():
            raise OffbenchError(f"action bounds {low.tolist()} and {high.tolist()} leave no finite room between them")
        self._centre, self._half = (low + high) / 2, (high - low) / 2
        self._noise = None if seeds is None else _Noise(seeds, self.action_size)

    def act(self, observations: Array) -> Array:
        """Actions (environments, action) float32 for observations (environments, observation)."""
        features = self._features(observations, np.float32)
        squashed = _linear(features, self._mean)
        if self._noise is not None:
            if len(squashed) != self._noise.count:
                raise OffbenchError(
                    f"the policy samples for {self._noise.count} environments, one a seed, and got observations of "
                    f"{len(squashed)}"
                )
            squashed += np.exp(np.clip(_linear(features, self._log_std), *LOG_STD)) * self._noise.draw()
        actions: Array = self._centre + self._half * np.tanh(squashed)
        return actions

    def reset(self, mask: Array) -> None:
        """Begin a new episode's noise where mask (environments,) is true."""
        if self._noise is not None:
            self._noise.restart(mask)

    def distribution(self, observations: Array) -> tuple[Array, Array]:
        """Mean and standard deviation before tanh, (rows, action) float64, for observations (rows, observation)."""
        features = self._features(observations, np.float64)
        return _linear(features, self._mean), np.exp(np.clip(_linear(features, self._log_std), *LOG_STD))

    def log_prob(self, observations: Array, actions: Array) -> Array:
        """Logarithm of the density of actions (rows, action) at observations (rows, observation): (rows,) float64.

        Actions are in the environment's units. At the bounds, where the density falls to 0, an action counts as the
        last float32 before them, to which tanh was rounded; beyond them the density is 0.
        """
        observations, actions = np.asarray(observations), np.asarray(actions)
        starts = range(0, len(actions), ROWS)
        parts = [self._log_prob(observations[i : i + ROWS], actions[i : i + ROWS]) for i in starts]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _log_prob(self, observations: Array, actions: Array) -> Array:
        mean, std = self.distribution(observations)
        half = self._half.astype(np.float64)
        squashed = (actions.astype(np.float64) - self._centre) / half
        before = np.arctanh(np.clip(squashed, -_LAST, _LAST))
        normal = -0.5 * np.square((before - mean) / std) - np.log(std) - 0.5 * np.log(2 * np.pi)
        # log(1 - tanh(x)^2) without the cancellation, as TensorFlow Probability and rlkit compute it.
        slope = 2 * (np.log(2) - before - np.logaddexp(0, -2 * before))
        beyond = np.abs(squashed) > 1 + 1e-6  # the rounding of a scaled float32 is not beyond
        density: Array = np.where(beyond, -np.inf, normal - slope - np.log(half)).sum(axis=1)
        return density

    def _features(self, observations: Array, dtype: npt.DTypeLike) -> Array:
        features = np.asarray(observations, dtype)
        if features.ndim != 2 or features.shape[1] != self.observation_size:
            raise OffbenchError(
                f"observations have shape {features.shape}; (environments, {self.observation_size}) would be right"
            )
        for layer in self._hidden:
            features = np.maximum(_linear(features, layer), 0)
        return features

    def _check_layers(self) -> None:
        width = self.observation_size
        for number, (weights, _) in enumerate([*self._hidden, self._mean, self._log_std]):
            if len(weights) != width:
                raise OffbenchError(f"layer {number} of the policy takes {len(weights)} numbers and is given {width}")
            width = weights.shape[1] if number < len(self._hidden) else width
        if self._mean[0].shape != self._log_std[0].shape:
            sizes = self._mean[0].shape[1], self._log_std[0].shape[1]
            raise OffbenchError(
                f"the heads give {sizes[0]} means and {sizes[1]} standard deviations; one each would be right"
            )


class _Noise:
    """Standard normal numbers from one generator an environment, drawn in blocks."""

    def __init__(self, seeds: Sequence[int], size: int) -> None:
        self.count = len(seeds)
        self._generators = [np.random.Generator(np.random.Philox(seed)) for seed in seeds]
        self._block = np.zeros((BLOCK, self.count, size), dtype=np.float32)
        self._used = np.full(self.count, BLOCK)
        self._rows = np.arange(self.count)

    def draw(self) -> Array:
        """The next numbers, (environments, size) float32."""
        for i in np.flatnonzero(self._used == BLOCK):
            self._block[:, i] = self._generators[i].standard_normal(self._block[:, i].shape, dtype=np.float32)
            self._used[i] = 0
        drawn: Array = self._block[self._used, self._rows]
        self._used += 1
        return drawn

    def restart(self, mask: Array) -> None:
        """Leave the rest of the block unused where mask (environments,) is true."""
        self._used[mask] = BLOCK


def _layer(layer: Layer) -> Layer:
    """Weights (in, out) and biases (out,) in float32."""
    weights, biases = (np.ascontiguousarray(part, dtype=np.float32) for part in layer)
    if weights.ndim != 2 or biases.shape != weights.shape[1:]:
        raise OffbenchError(f"a layer has shapes {weights.shape} and {biases.shape}; (in, out) and (out,) are right")
    return weights, biases


def _linear(inputs: Array, layer: Layer) -> Array:
    """In the precision of the inputs."""
    weights, biases = layer
    outputs: Array = inputs @ weights.astype(inputs.dtype, copy=False) + biases
    return outputs
