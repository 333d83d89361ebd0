"""Search spaces: the values that hyperparameters are given, all of a grid or some drawn by chance.

    expectile = 0.7                                            one value
    expectile = [0.5, 0.7, 0.9]                                each of them
    hidden = [[64, 64], [256, 256]]                            each of them, where a value is a list itself
    learning_rate = {low = 1e-4, high = 1e-2, scale = "log"}   any within, drawn by chance

Draw i of an algorithm depends on the seed and on i alone, so that more draws keep those that were made.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from offbench.algorithms import registry
from offbench.algorithms.method import Method, made
from offbench.errors import OffbenchError
from offbench.nn.random import stream


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included, drawn evenly or evenly in their logarithm."""

    low: float
    high: float
    log: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers alone, as both ends are."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def draw(self, chance: np.random.Generator) -> float:
        """One number."""
        if self.is_whole and not self.log:
            return int(chance.integers(int(self.low), int(self.high) + 1))
        if not self.log:
            return float(chance.uniform(self.low, self.high))
        # Whole numbers have each the interval around them, so that both ends are drawn.
        half = 0.5 if self.is_whole else 0.0
        drawn = math.exp(chance.uniform(math.log(self.low - half), math.log(self.high + half)))
        return min(max(round(drawn), int(self.low)), int(self.high)) if self.is_whole else drawn


Values = Sequence[Any] | Range  # of one hyperparameter


def expanded(algorithm: str, space: Mapping[str, Any], draws: int | None = None, seed: int = 0) -> list[Method]:
    """The methods of a search space, each once.

    Args:
        algorithm: registered name or ``module:Class``.
        space: what the hyperparameters are given, by name; see the top of this file.
        draws: how many are drawn by chance; if None, all of the grid.
        seed: of the draws.

    Raises:
        UnknownNameError: no such algorithm or hyperparameter.
        OffbenchError: a value that the algorithm does not take, an empty list, a range that is none, or a range
            without draws.
    """
    found = {name: values_of(algorithm, name, given) for name, given in space.items()}
    if draws is None:
        ranges = [name for name, values in found.items() if isinstance(values, Range)]
        if ranges:
            raise OffbenchError(f"{ranges[0]} of {algorithm} is a range, which is drawn from; say how often with draws")
        chosen = [
            dict(zip(found, values, strict=True))
            for values in itertools.product(*(v for v in found.values() if not isinstance(v, Range)))
        ]
    else:
        chosen = [drawn(found, stream(seed, f"sweep/{algorithm}", number)) for number in range(draws)]
    methods = [made(algorithm, changes) for changes in chosen]
    return list({method.name: method for method in methods}.values())


def drawn(space: Mapping[str, Values], chance: np.random.Generator) -> dict[str, Any]:
    """A value of each hyperparameter."""
    return {
        name: values.draw(chance) if isinstance(values, Range) else values[int(chance.integers(len(values)))]
        for name, values in space.items()
    }


def written(values: Values) -> Any:
    """Values as a plan writes them, and JSON holds them."""
    if not isinstance(values, Range):
        return [list(value) if isinstance(value, tuple) else value for value in values]
    return {"low": values.low, "high": values.high, "scale": "log" if values.log else "linear"}


def values_of(algorithm: str, name: str, given: Any) -> Values:
    """The values that one hyperparameter is given.

    Raises:
        UnknownNameError: no such algorithm or hyperparameter.
        OffbenchError: an empty list, or a table that is no range.
    """
    if isinstance(given, Mapping):
        return _range(name, given)
    if not isinstance(given, list | tuple):
        return [given]
    if registry.is_list(registry.find(algorithm), name) and not any(isinstance(value, list | tuple) for value in given):
        return [tuple(given)]
    if not given:
        raise OffbenchError(f"{name} of {algorithm} has an empty list of values; leave it out, or name one")
    return list(given)


def _range(name: str, given: Mapping[str, Any]) -> Range:
    known = {"low", "high", "scale"}
    low, high, scale = given.get("low"), given.get("high"), given.get("scale", "linear")
    numbers = [low, high]
    if set(given) - known or not all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers):
        raise OffbenchError(f'{name} is {dict(given)}; a range is {{low = 1e-4, high = 1e-2, scale = "log"}}')
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    if scale not in ("linear", "log"):
        raise OffbenchError(f"the scale of {name} is {scale!r}; linear and log are known")
    if not (math.isfinite(low) and math.isfinite(high) and low < high and (scale == "linear" or low > 0)):
        raise OffbenchError(
            f"{name} reaches from {low} to {high}; finite numbers, the lower one first and above 0 on a scale of "
            "logarithms, would be right"
        )
    return Range(low, high, scale == "log")
