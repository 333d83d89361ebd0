"""How often honest entries are refused, and how small a lie is found: simulated through the tests that `verify` uses.

    python -m offbench.leaderboard.power

prints the two tables of docs/leaderboard.md. An entry has one task of each kind in `KINDS`, which are what environments
give: the pendulum, mazes, robots that fall or do not, success or failure. Seeds differ by `BETWEEN` points. On tasks
that repeat themselves, a replay differs by rounding; on others, half of the episodes go elsewhere.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from offbench.basis.shapes import Array
from offbench.leaderboard.agreement import (
    FALSE_ALARMS,
    ROUNDING,
    claims_are_reached,
    holm,
    retrained_p_values,
    standard_error,
)
from offbench.leaderboard.entry import Remeasured
from offbench.leaderboard.remeasuring import Played, compare, p_values

BETWEEN = 5.0  # standard deviation over seeds of a policy's expected score, in points
Draw = Callable[[np.random.Generator, float, int], Array]  # scores of episodes of a policy


@dataclass(frozen=True)
class Kind:
    """Episodes of a kind of task.

    Attributes:
        name: for the table.
        draw: scores of so many episodes of a policy whose level is given.
        level: mean of the levels over seeds.
        steady: whether a replay on the same start is the same up to rounding.
    """

    name: str
    draw: Draw
    level: float
    steady: bool


def _falls(generator: np.random.Generator, level: float, count: int) -> Array:
    """Robots that fall early in three of ten episodes."""
    shares = np.where(generator.uniform(size=count) < 0.3, 0.4, 1.0)
    scores: Array = shares * generator.normal(level, 3.0, size=count)
    return scores


def _succeeds(generator: np.random.Generator, level: float, count: int) -> Array:
    scores: Array = 100.0 * (generator.uniform(size=count) < np.clip(level, 1, 99) / 100)
    return scores


KINDS = (
    Kind("pendulum: normal, 10 points", lambda g, level, n: g.normal(level, 10.0, n), 80.0, True),
    Kind("maze: skewed, 15 points", lambda g, level, n: level - g.exponential(15.0, n), 80.0, True),
    Kind("robot: normal, 4 points", lambda g, level, n: g.normal(level, 4.0, n), 45.0, False),
    Kind("robot: falls in 3 of 10 episodes", _falls, 80.0, False),
    Kind("success: about 9 of 10", _succeeds, 90.0, False),
    Kind("success: about 1 of 20", _succeeds, 5.0, False),
)


def honest(kind: Kind, seeds: int, episodes: int, generator: np.random.Generator) -> Played:
    """Scores as an honest entry's policies give them."""
    played = Played([], [], [])
    for level in generator.normal(kind.level, BETWEEN, size=seeds):
        claimed = kind.draw(generator, level, episodes)
        elsewhere = generator.uniform(size=episodes) < (0.0 if kind.steady else 0.5)
        replayed = np.where(elsewhere, kind.draw(generator, level, episodes), claimed)
        played.claimed.append(claimed)
        played.replayed.append(replayed + generator.normal(scale=1e-3, size=episodes))
        played.fresh.append(kind.draw(generator, level, episodes))
    return played


def refused(entry: Sequence[Played], generator: np.random.Generator) -> bool:
    """Whether the tests refuse an entry of one task of each kind."""
    return bool(holm(p_values(measured(entry, generator))))


def measured(entry: Sequence[Played], generator: np.random.Generator) -> list[Remeasured]:
    """What `verify` would write of the entry's tasks."""
    return [compare(str(row), played, generator) for row, played in enumerate(entry)]


def entry_of(seeds: int, episodes: int, generator: np.random.Generator) -> list[Played]:
    """An honest entry."""
    return [honest(kind, seeds, episodes, generator) for kind in KINDS]


def lie(played: Played, points: float, by_heart: bool) -> Played:
    """The claims raised by so many points; the replays too, where policies know the starts of the records by heart."""
    return Played(
        [each + points for each in played.claimed],
        [each + points for each in played.replayed] if by_heart else played.replayed,
        played.fresh,
    )


def selected(tasks: int, each_seed: bool, generator: np.random.Generator, seeds: int = 5, runs: int = 20) -> bool:
    """Whether training anew refuses the best of several private runs, or of each seed's; seeds are normal."""
    claimed, measured = {}, {}
    for task in range(tasks):
        private = generator.normal(size=(runs, seeds))
        best = private.max(axis=0) if each_seed else private[private.mean(axis=1).argmax()]
        claimed[str(task)], measured[str(task)] = best, generator.normal(size=2 * seeds)
    return not claims_are_reached(*retrained_p_values(claimed, measured, generator))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m offbench.leaderboard.power")
    for name, default in (("entries", 200), ("trials", 100), ("seeds", 5), ("episodes", 50)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args(arguments)
    generator = np.random.default_rng(0)
    if given.entries:
        alarms = sum(refused(entry_of(given.seeds, given.episodes, generator), generator) for _ in range(given.entries))
        print(f"{alarms} of {given.entries} honest entries refused, at most {FALSE_ALARMS:.0%} expected", flush=True)
    print("\n| the best of 20 private runs, by number of tasks | 1 | 3 | 6 |\n|---|---:|---:|---:|")
    for told, each_seed in (("chosen by a task's mean", False), ("chosen seed by seed", True)):
        counts = [sum(selected(n, each_seed, generator) for _ in range(given.trials)) for n in (1, 3, 6)]
        print(f"| {told} | {' | '.join(map(str, counts))} |", flush=True)
    sizes = (1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0)
    for by_heart in (False, True):
        print(f"\n{'policies that know the starts by heart' if by_heart else 'edited records'}:\n")
        print(f"| claimed too much by | {' | '.join(f'{size:g}' for size in sizes)} |")
        print("|---|" + "---:|" * len(sizes), flush=True)
        for kind in KINDS:
            cells = []
            for size in sizes:
                drawn = (honest(kind, given.seeds, given.episodes, generator) for _ in range(given.trials))
                cells.append(str(sum(found(lie(each, size, by_heart)) for each in drawn)))
            print(f"| {kind.name} | {' | '.join(cells)} |", flush=True)


def found(played: Played) -> bool:
    """Whether a lie in one task is found among the tests of all, by the strictest threshold of Holm's procedure.

    The other tasks are honest: they could only make the entry be refused more often. The tests' normal approximations
    stand in for their permutations, which take a thousand times as long.
    """
    error = standard_error(played.claimed, played.fresh)
    means = np.array([[c.mean() - f.mean(), standard_error([c], [f])] for c, f in _pairs(played.claimed, played.fresh)])
    squares = np.square(np.divide(means[:, 0], means[:, 1], out=np.zeros(len(means)), where=means[:, 1] > 0)).sum()
    differences = np.concatenate([c - r for c, r in _pairs(played.claimed, played.replayed)])
    differences[np.abs(differences) <= ROUNDING] = 0.0
    flipped = float(np.sqrt(np.square(differences).sum()))
    values = [
        2 * stats.norm.sf(abs(means[:, 0].mean()) / error) if error else 1.0,
        stats.chi2.sf(squares, len(means)),
        2 * stats.norm.sf(abs(differences.sum()) / flipped) if flipped else 1.0,
    ]
    return bool(min(values) <= FALSE_ALARMS / (len(values) * len(KINDS)))


def _pairs(one: Sequence[Array], other: Sequence[Array]) -> Iterable[tuple[Array, Array]]:
    return zip(one, other, strict=True)


if __name__ == "__main__":
    main()
