"""Whether claimed and measured returns come from the same policies: exact tests, controlled over all tasks.

Three tests a task, all two-sided, for returns that are too low are another policy's as much as those that are too high:

- starts drawn afterwards, mean over seeds: given the policies, claimed and measured episodes of a seed are drawn alike,
  so that any division of them into two such groups is as likely as the true one. A permutation test within seeds holds
  its level exactly, whatever the returns' distribution.
- the same, seed by seed, by the sum of squared standardised differences: finds policies that were swapped or chosen.
- the starts of the records, played again: the differences are those of rounding, as likely up as down; sign flips.
  Its spread is far smaller, so that it finds far smaller lies, of those that do not know the starts by heart.

Holm's correction over all tests of an entry keeps the chance that an honest one is refused at `FALSE_ALARMS` at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from offbench.basis.shapes import Array
from offbench.evaluation import significance

FALSE_ALARMS = 0.01  # honest entries that are refused by these tests, at most
FIRST, MORE = 999, 20_000  # permutations: the first say whether the others are needed
NEEDED = 0.05
ROUNDING = 0.1  # points of score: smaller differences of an episode are taken for rounding
_CHUNK = 2_000_000  # numbers drawn at a time

Label = TypeVar("Label")


def fresh_p_values(
    claimed: Sequence[Array], measured: Sequence[Array], generator: np.random.Generator
) -> tuple[float, float]:
    """p-values of the mean over seeds and of the seeds one by one, by permutation within each seed.

    Args:
        claimed: one array (episodes,) a seed.
        measured: likewise, of the same policies on other starts drawn alike.
        generator: of the permutations.
    """
    observed = _statistics([_mean_difference(c, m) for c, m in zip(claimed, measured, strict=True)])
    counts, drawn = np.zeros(2, dtype=np.int64), 0
    for repetitions in (FIRST, MORE):
        counts, drawn = np.zeros(2, dtype=np.int64), repetitions
        permuted = [_permuted(c, m, repetitions, generator) for c, m in zip(claimed, measured, strict=True)]
        for row, values in enumerate(_statistics(permuted)):
            counts[row] = (values >= observed[row] * (1 - 1e-12)).sum()
        if (1 + counts.min()) / (1 + drawn) > NEEDED:
            break
    p_mean, p_seeds = ((1 + counts) / (1 + drawn)).tolist()
    return p_mean, p_seeds


Difference = tuple[Array, float]  # of the means (repetitions,), and the standard error of one


def _statistics(differences: Sequence[Difference]) -> tuple[Array, Array]:
    """(repetitions,) each: size of the mean difference over seeds, and sum of the seeds' squared standardised ones."""
    each = np.stack([difference for difference, _ in differences])
    errors = np.array([error for _, error in differences])[:, None]
    standardised = np.divide(each, errors, out=np.zeros_like(each), where=errors > 0)
    return np.abs(each.mean(axis=0)), np.square(standardised).sum(axis=0)


def _mean_difference(claimed: Array, measured: Array) -> Difference:
    return np.array([claimed.mean() - measured.mean()]), _error(claimed, measured)


def _error(claimed: Array, measured: Array) -> float:
    """Standard error of the difference of the two means, if both are drawn alike."""
    pooled = np.concatenate([claimed, measured])
    return float(np.sqrt(pooled.var() * (1 / len(claimed) + 1 / len(measured))))


def _permuted(claimed: Array, measured: Array, repetitions: int, generator: np.random.Generator) -> Difference:
    """Differences of means of random divisions of all episodes of a seed into two groups of the given sizes."""
    pooled, count = np.concatenate([claimed, measured]), len(claimed)
    total, parts = pooled.sum(), []
    rows = max(1, _CHUNK // len(pooled))
    for first in range(0, repetitions, rows):
        tiled = np.tile(pooled, (min(rows, repetitions - first), 1))
        sums = generator.permuted(tiled, axis=1)[:, :count].sum(axis=1)
        parts.append(sums / count - (total - sums) / len(measured))
    return np.concatenate(parts), _error(claimed, measured)


def standard_error(claimed: Sequence[Array], measured: Sequence[Array]) -> float:
    """Of the difference of the two means over seeds, for the same policies."""
    errors = [_error(c, m) for c, m in zip(claimed, measured, strict=True)]
    return float(np.sqrt(np.square(errors).sum()) / len(errors))


def replay_p_value(differences: Sequence[Array], generator: np.random.Generator) -> float:
    """p-value of the mean difference of episodes that were played twice on the same starts, by flips of signs.

    Args:
        differences: one array (episodes,) a seed, in points of score; those below `ROUNDING` count as none.
        generator: of the flips.
    """
    weighted = np.concatenate([np.where(np.abs(each) > ROUNDING, each, 0.0) / len(each) for each in differences])
    weighted = weighted[weighted != 0]
    if not len(weighted):
        return 1.0
    observed, p_value = abs(weighted.sum()), 1.0
    for repetitions in (FIRST, MORE):
        count, rows = 0, max(1, _CHUNK // len(weighted))
        for first in range(0, repetitions, rows):
            signs = generator.integers(2, size=(min(rows, repetitions - first), len(weighted)), dtype=np.int8)
            count += int((np.abs((2.0 * signs - 1.0) @ weighted) >= observed * (1 - 1e-12)).sum())
        p_value = (1 + count) / (1 + repetitions)
        if p_value > NEEDED:
            break
    return p_value


def holm(p_values: Mapping[Label, float], level: float = FALSE_ALARMS) -> list[Label]:
    """Those hypotheses that Holm's procedure rejects, the least likely first; one true is among them with ``level``."""
    adjusted = dict(zip(p_values, significance.holm(list(p_values.values())), strict=True))
    return sorted((label for label, p in adjusted.items() if p <= level), key=lambda label: p_values[label])


def retrained_p_values(
    claimed: Mapping[str, Array], measured: Mapping[str, Array], generator: np.random.Generator
) -> tuple[float, dict[str, float]]:
    """p-values of claims that are no higher than what training anew gives: of all tasks together, and of each.

    The unit is the seed: if all come from one algorithm, any of a task's seeds are as likely as others to be claimed.
    Claims that are lower are no lie, so the tests are one-sided. All together: the mean over tasks of the
    differences over the spread of the seeds.

    Args:
        claimed: (seeds,) means of the entry's seeds, by dataset.
        measured: (seeds,) means of seeds that were trained anew, by dataset.
        generator: of the permutations.
    """
    together, singly = np.zeros(MORE + 1), {}
    for dataset, own in claimed.items():
        pooled, count = np.concatenate([own, measured[dataset]]), len(own)
        spread = pooled.std()
        tiled = np.tile(pooled, (MORE + 1, 1))
        tiled[1:] = generator.permuted(tiled[1:], axis=1)  # the first row is what was seen
        differences = tiled[:, :count].mean(axis=1) - tiled[:, count:].mean(axis=1)
        standardised = differences / spread if spread else np.zeros_like(differences)
        together += standardised
        singly[dataset] = _share(standardised)
    return _share(together), singly


def claims_are_reached(together: float, singly: Mapping[str, float]) -> bool:
    """Whether training anew gives what was claimed, by p-values as `retrained_p_values` gives them.

    Half of `FALSE_ALARMS` goes to all tasks together, half to the tasks one by one, by Holm's procedure.
    """
    return together > FALSE_ALARMS / 2 and not holm(singly, FALSE_ALARMS / 2)


def _share(values: Array) -> float:
    """Of the values that are at least the first one, which is among them."""
    return float((values >= values[0] - 1e-12 * abs(values[0])).mean())
