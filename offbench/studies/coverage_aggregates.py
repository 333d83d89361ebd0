"""How often intervals over several tasks hold what they should, simulated: bootstraps of aggregates, differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from offbench.basis.shapes import Array
from offbench.evaluation import aggregates
from offbench.evaluation.aggregates import Interval, Scores
from offbench.evaluation.significance import combined_t

SEEDS = (3, 5, 10)
REPETITIONS = 1_000
# Runs of each task from which the values are taken that intervals should hold.
MANY = 400_000
THRESHOLD = 60.0
ALPHA = 0.1
EPISODES = 100

# Of each task the level and the spread of its scores, and the share of seeds that succeed; those that fail score 5.
Suite = Sequence[tuple[float, float, float]]
SUITES: dict[str, Suite] = {
    "normal seeds": [(20, 3, 1), (35, 8, 1), (50, 5, 1), (65, 12, 1), (80, 6, 1), (95, 2, 1)],
    "two of six tasks where 70% succeed": [(20, 3, 1), (35, 8, 1), (50, 5, 1), (65, 12, 0.7), (80, 6, 1), (95, 2, 0.7)],
}
# What the second method of a comparison scores more.
GAIN = 4.0

Statistic = tuple[Callable[[Scores, Scores], float], Callable[[Scores, Scores], Interval]]


def _one(statistic: Callable[[Scores], float]) -> Statistic:
    return (
        lambda a, _: statistic(a),
        lambda a, _: aggregates.interval(statistic, a, repetitions=REPETITIONS),
    )


def _profile(a: Scores, _: Scores) -> Interval:
    low, high = aggregates.profile_band(a, [THRESHOLD], repetitions=REPETITIONS)
    return float(low[0]), float(high[0])


STATISTICS: dict[str, Statistic] = {
    "mean": _one(aggregates.mean),
    "median": _one(aggregates.median),
    "IQM": _one(aggregates.iqm),
    "optimality gap": _one(partial(aggregates.optimality_gap, gamma=80.0)),
    "profile at 60": (lambda a, _: float(aggregates.performance_profile(a, [THRESHOLD])[0]), _profile),
    "improvement": (
        aggregates.probability_of_improvement,
        partial(aggregates.improvement_interval, repetitions=REPETITIONS),
    ),
    "mean difference, t": (
        lambda a, b: aggregates.mean(a) - aggregates.mean(b),
        lambda a, b: combined_t(
            [np.asarray(values) for values in (*a, *b)], [1 / len(a)] * len(a) + [-1 / len(b)] * len(b)
        )[0],
    ),
}
# In points of percent.
SHARES = ("profile at 60", "improvement")


def rows(sets: int) -> list[dict[str, Any]]:
    """Coverage and median width of each interval, a row a suite and number of runs a task; CVaR at the end."""
    made = []
    for number, (name, suite) in enumerate(SUITES.items()):
        wanted = _wanted(suite, number)
        for seeds in SEEDS:
            generator = np.random.default_rng([300, number, seeds])
            ends: dict[str, list[Interval]] = {statistic: [] for statistic in STATISTICS}
            for _ in range(sets):
                a, b = (_draw(generator, suite, seeds, gain) for gain in (GAIN, 0.0))
                for statistic, (_, interval) in STATISTICS.items():
                    ends[statistic].append(interval(a, b))
            made.append(_row(name, seeds, ends, wanted))
    return [*made, *_cvar_rows(sets)]


def _draw(generator: np.random.Generator, suite: Suite, runs: int, gain: float) -> list[Array]:
    scores = []
    for level, spread, share in suite:
        mean = np.where(generator.random(runs) < share, level + gain, 5.0)
        scores.append(np.asarray(generator.normal(mean, spread)))
    return scores


def _wanted(suite: Suite, number: int) -> dict[str, float]:
    """The statistics of very many runs. Improvement is taken in parts: all pairs of that many would be too many."""
    generator = np.random.default_rng([400, number])
    a, b = (_draw(generator, suite, MANY, gain) for gain in (GAIN, 0.0))
    values = {name: statistic(a, b) for name, (statistic, _) in STATISTICS.items() if name != "improvement"}
    by_task = [np.mean(ours > theirs) for ours, theirs in zip(a, b, strict=True)]
    return {**values, "improvement": float(np.mean(by_task))}


def _cvar_rows(sets: int) -> list[dict[str, Any]]:
    """Returns whose mean differs from seed to seed: normal together, with a CVaR in closed form."""
    from scipy.stats import norm

    spread = float(np.hypot(10, 20))
    wanted = {"CVaR": 50 - spread * float(norm.pdf(norm.ppf(ALPHA))) / ALPHA}
    made = []
    for seeds in SEEDS:
        generator = np.random.default_rng([500, seeds])
        ends: dict[str, list[Interval]] = {"CVaR": []}
        for _ in range(sets):
            returns = generator.normal(generator.normal(50, 10, size=(seeds, 1)), 20, size=(seeds, EPISODES))
            ends["CVaR"].append(aggregates.cvar_interval(list(returns), ALPHA, repetitions=REPETITIONS))
        made.append(_row("returns", seeds, ends, wanted))
    return made


def _row(name: str, seeds: int, ends: dict[str, list[Interval]], wanted: dict[str, float]) -> dict[str, Any]:
    low_high = {statistic: np.array(pairs).T for statistic, pairs in ends.items()}
    return {
        "suite": name,
        "seeds": seeds,
        "coverage": {
            statistic: float(np.mean((low <= wanted[statistic]) & (wanted[statistic] <= high)))
            for statistic, (low, high) in low_high.items()
        },
        "width": {statistic: float(np.median(high - low)) for statistic, (low, high) in low_high.items()},
    }
