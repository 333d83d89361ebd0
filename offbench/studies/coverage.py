"""How often intervals of a few seeds hold what they should, simulated: means, the rule for split seeds, successes.

`offbench.studies.coverage_aggregates` has those over several tasks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.evaluation import intervals
from offbench.evaluation.proportions import clustered, wilson
from offbench.evaluation.splits import is_split
from offbench.studies import coverage_aggregates
from offbench.studies.drawing import Say

# Simulated sets of seeds for each cell, by part of the study.
SETS = {"means": 10_000, "rule": 10_000, "successes": 10_000, "aggregates": 400}
SEEDS = (3, 5, 10)
# Sets at a time: each holds thousands of bootstrap means.
BLOCK = 500
EPISODES = 100

Draw = Callable[[np.random.Generator, tuple[int, int]], Array]

METHODS: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "Student t": intervals.student,
    "percentile bootstrap": intervals.percentile,
    "BCa bootstrap": intervals.bca,
    "bootstrap-t": intervals.bootstrap_t,
    "Hoeffding": intervals.hoeffding,
    "Anderson": intervals.anderson,
}


def _log_normal(generator: np.random.Generator, size: tuple[int, int]) -> Array:
    return np.asarray(np.minimum(5 * np.exp(generator.normal(size=size)), 100))


def _log_normal_mean() -> float:
    from scipy.stats import norm

    # E min(X, c) for X = 5 exp(Z): what lies below c, and c for the rest.
    reach = math.log(100 / 5)
    return 5 * math.exp(0.5) * float(norm.cdf(reach - 1)) + 100 * float(norm.sf(reach))


def _all_or_nothing(share: float) -> Draw:
    def draw(generator: np.random.Generator, size: tuple[int, int]) -> Array:
        level = np.where(generator.random(size) < share, 90.0, 5.0)
        return np.asarray(generator.normal(level, 3.0))

    return draw


def scenarios() -> dict[str, tuple[Draw, float]]:
    """Distributions of a seed's score on the scale of 0 to 100, each with its mean."""
    skewed = _log_normal_mean()
    return {
        "normal": (lambda generator, size: np.asarray(generator.normal(50, 10, size)), 50.0),
        "skewed, rare high scores": (_log_normal, skewed),
        "skewed, rare low scores": (lambda generator, size: 100 - _log_normal(generator, size), 100 - skewed),
        **{f"{share:.0%} succeed": (_all_or_nothing(share), 5 + 85 * share) for share in (0.5, 0.7, 0.9)},
    }


def run(part: str, say: Say) -> dict[str, Any]:
    """The record of one part."""
    sets = SETS[part]
    say(f"{part}: {sets:,} sets of seeds for each cell")
    made = {"means": _means, "rule": _rule, "successes": _successes, "aggregates": coverage_aggregates.rows}
    return {"part": part, "sets": sets, "rows": made[part](sets)}


def _means(sets: int) -> list[dict[str, Any]]:
    """Coverage and median width of each interval, and what of the sets Student's misses looked split."""
    rows = []
    for number, (name, (draw, mean)) in enumerate(scenarios().items()):
        for seeds in SEEDS:
            generator = np.random.default_rng([number, seeds])
            covered: dict[str, list[Array]] = {method: [] for method in METHODS}
            widths: dict[str, list[Array]] = {method: [] for method in METHODS}
            flagged = []
            for start in range(0, sets, BLOCK):
                scores = draw(generator, (min(BLOCK, sets - start), seeds))
                flagged.append(is_split(scores))
                for method, interval in METHODS.items():
                    low, high = interval(scores)
                    covered[method].append((low <= mean) & (mean <= high))
                    widths[method].append(high - low)
            split, student = np.concatenate(flagged), np.concatenate(covered["Student t"])
            rows.append(
                {
                    "scenario": name,
                    "seeds": seeds,
                    "coverage": {method: _share(np.concatenate(parts)) for method, parts in covered.items()},
                    "width": {method: _finite(np.median(np.concatenate(parts))) for method, parts in widths.items()},
                    "split": _share(split),
                    "student_of_split": _share(student[split]),
                    "student_of_others": _share(student[~split]),
                }
            )
    return rows


def _rule(sets: int) -> list[dict[str, Any]]:
    """How often seeds are called split that are not, and seen split where both kinds were drawn."""
    one: dict[str, Draw] = {
        f"normal, std {std}": lambda generator, size, std=std: np.asarray(generator.normal(50, std, size))  # type: ignore[misc]
        for std in (5, 10, 15, 20)
    }
    one["uniform from 0 to 100"] = lambda generator, size: np.asarray(generator.uniform(0, 100, size))
    two = {"90 and 5, std 3": (90, 5, 3), "90 and 5, std 10": (90, 5, 10), "80 and 30, std 8": (80, 30, 8)}
    rows = []
    for number, seeds in enumerate(SEEDS):
        generator = np.random.default_rng([100, number])
        for name, draw in one.items():
            called = is_split(draw(generator, (sets, seeds)))
            rows.append({"scenario": name, "seeds": seeds, "groups": 1, "called": _share(called)})
        for name, (high, low, std) in two.items():
            succeeds = generator.random((4 * sets, seeds)) < 0.7
            succeeds = succeeds[succeeds.any(axis=1) & ~succeeds.all(axis=1)][:sets]
            called = is_split(generator.normal(np.where(succeeds, high, low), std))
            rows.append({"scenario": name, "seeds": seeds, "groups": 2, "called": _share(called)})
    return rows


def _successes(sets: int) -> list[dict[str, Any]]:
    """Coverage and mean width for shares of successes, each seed's chance being of a beta distribution."""
    rows = []
    for number, (mean, correlation) in enumerate((m, c) for m in (0.5, 0.9, 0.98) for c in (0.0, 0.02, 0.1, 0.5)):
        for seeds in SEEDS:
            generator = np.random.default_rng([200, number, seeds])
            chances = np.full((sets, seeds), mean)
            if correlation:
                spread = 1 / correlation - 1
                chances = generator.beta(mean * spread, (1 - mean) * spread, size=(sets, seeds))
            count = generator.binomial(EPISODES, chances).astype(np.float64)
            trials = np.full_like(count, EPISODES)
            ends = {
                "Wilson, pooled": wilson(count.sum(axis=1), trials.sum(axis=1)),
                "Student t": intervals.student(count / EPISODES),
                "Korn-Graubard": clustered(count, trials),
                "Anderson": intervals.anderson(count / EPISODES, low=0.0, high=1.0),
            }
            rows.append(
                {
                    "rate": mean,
                    "correlation": correlation,
                    "seeds": seeds,
                    "coverage": {name: _share((low <= mean) & (mean <= high)) for name, (low, high) in ends.items()},
                    "width": {name: float(np.mean(high - low)) for name, (low, high) in ends.items()},
                    "all_succeed": _share((count == EPISODES).all(axis=1)),
                }
            )
    return rows


def _share(these: Array) -> float | None:
    return float(these.mean()) if these.size else None


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
