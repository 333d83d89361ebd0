"""Measuring the reference returns in ``datasets/tasks.toml``: ``python -m offbench.generation.references [TASK ...]``.

It prints the two tables of tasks whose references are measured here. With ``--check`` it plays episodes with other
starts than those, of every task that can be simulated, published references included, and prints the table of
docs/simulators.md: uniformly random actions should score 0 within their error.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from offbench.basis.policy import Policy
from offbench.behaviours.controllers import MazeRunner, UniformRandom, Waypoints, path_through
from offbench.behaviours.pendulum_controllers import PendulumOptimal
from offbench.environments.d4rl_maze_simulator import D4RLMazeSimulator
from offbench.environments.pointmaze import PointMazeSimulator
from offbench.environments.protocol import Array, Simulator
from offbench.environments.simulator import make_simulator
from offbench.environments.task import Reference, Task, task, tasks
from offbench.errors import OffbenchError, UnknownNameError
from offbench.generation.recording import record

Builder = Callable[[Simulator, Sequence[int]], Policy]

EPISODES = 1000
# Far from the seeds of datasets and evaluations, which start at small numbers.
FIRST_SEED = 900_000_000
# Of the episodes that check a reference.
OTHER_SEED = 950_000_000
# D4RL, scripts/reference_scores: its own references are means of so many episodes.
D4RL_EPISODES = 100
SOURCE = "measured by python -m offbench.generation.references"


def random_policy(simulator: Simulator, seeds: Sequence[int]) -> Policy:
    """The low reference of every measured task."""
    return UniformRandom(simulator.action_low, simulator.action_high, seeds)


def short_route(simulator: Simulator, seeds: Sequence[int]) -> Policy:
    """The way that no episode of pointmaze-stitch takes as a whole; the corner is cut as far as the walls allow."""
    assert isinstance(simulator, PointMazeSimulator)
    route = path_through([(2, 2), (2, 4)], simulator.maze_map)
    return Waypoints(route, radius=0.6, velocity_threshold=np.inf)


def _maze_runner(simulator: Simulator, seeds: Sequence[int]) -> Policy:
    assert isinstance(simulator, PointMazeSimulator)
    return MazeRunner(simulator.maze_map)


def straight_to_the_goal(simulator: Simulator, seeds: Sequence[int]) -> Policy:
    """D4RL's controller as its reference scores have it: it heads for the goal wherever the walls are.

    D4RL, ``scripts/reference_scores/maze2d_controller.py``, makes one controller for all episodes, which plans its way
    (``waypoint_controller.py``) when the goal is new to it: in the first episode. In the 99 others its next waypoint is
    the last one of that way, the goal.
    """
    assert isinstance(simulator, D4RLMazeSimulator)
    # Its first act comes after the reset that draws the goals, and the goals of Maze2D are always the same.
    return Waypoints(simulator.goals[:, None])


def _pendulum(simulator: Simulator, seeds: Sequence[int]) -> Policy:
    return PendulumOptimal()


LOW = (random_policy, "actions drawn uniformly between the action bounds")
_STRAIGHT = (straight_to_the_goal, "D4RL's controller, which heads straight for the goal")
_MAZES = [f"pointmaze-{size}{reward}" for size in ("umaze", "medium", "large") for reward in ("", "-dense")]
HIGH: dict[str, tuple[Builder, str]] = {
    "pendulum": (_pendulum, "dynamic programming on a 201 by 201 grid of states, acting by one step of lookahead"),
    "pointmaze-stitch": (short_route, "waypoint controller along the short route, then holding the goal cell's centre"),
    **dict.fromkeys(_MAZES, (_maze_runner, "waypoint controller along a shortest way, then holding the goal")),
    **dict.fromkeys(["maze2d-open", "maze2d-open-dense"], _STRAIGHT),
}
# Controllers whose return a publication gives: a check of the task, not of the package.
PUBLISHED: dict[str, tuple[Builder, str]] = {
    f"maze2d-{size}{reward}": _STRAIGHT for size in ("umaze", "medium", "large") for reward in ("", "-dense")
}


def returns_of(task: Task, builder: Builder, episodes: int, first_seed: int) -> Array:
    """Returns (episodes,) of a scripted policy, from starts with seeds fixed in advance."""
    seeds = range(first_seed, first_seed + episodes)
    simulator = make_simulator(task, episodes)
    returns: Array = record(simulator, builder(simulator, seeds), seeds).returns
    simulator.close()
    return returns


def measure(
    task: Task, builder: Builder, policy: str, episodes: int = EPISODES, first_seed: int = FIRST_SEED
) -> Reference:
    """Mean return and its standard error of a scripted policy, over episodes with seeds fixed in advance."""
    returns = returns_of(task, builder, episodes, first_seed)
    error = float(returns.std(ddof=1) / np.sqrt(episodes))
    # A standard error is given to two significant digits, and the mean to as many places.
    places = max(0, 1 - int(np.floor(np.log10(error)))) if error > 0 else 6
    return Reference(
        mean=round(float(returns.mean()), places),
        standard_error=round(error, places),
        episodes=episodes,
        policy=policy,
        source=SOURCE,
    )


@dataclass(frozen=True)
class Check:
    """What a scripted policy earns from other starts than those of a reference, beside that reference.

    Attributes:
        mean: mean return.
        error: its standard error.
        reference: what it is compared with.
        reference_error: standard error of that: recorded, or, of D4RL's, that of so many episodes as D4RL played.
    """

    mean: float
    error: float
    reference: Reference
    reference_error: float

    @property
    def deviation(self) -> float:
        """Mean less reference in standard errors of the difference; infinite where both are certain and not equal."""
        difference, together = self.mean - self.reference.mean, float(np.hypot(self.error, self.reference_error))
        if together == 0:
            return 0.0 if difference == 0 else float(np.copysign(np.inf, difference))
        return difference / together


def check(task: Task, builder: Builder, reference: Reference, episodes: int = EPISODES) -> Check:
    """Play episodes with other starts, and compare.

    Raises:
        OffbenchError: the task cannot be simulated.
    """
    returns = returns_of(task, builder, episodes, OTHER_SEED)
    spread = float(returns.std(ddof=1))
    published = 0.0 if reference.standard_error is None else reference.standard_error
    if reference.source.startswith("D4RL"):
        published = spread / np.sqrt(D4RL_EPISODES)
    return Check(float(returns.mean()), spread / np.sqrt(episodes), reference, float(published))


def row(task: Task, policy: str, checked: Check) -> str:
    """One row of the table in docs/simulators.md."""
    mean, reference = checked.mean, checked.reference.mean
    score, error = float(task.score(mean)), float(task.scale(checked.error))
    parts = [
        f"`{task.name}`",
        policy,
        f"{mean:,.2f} ± {checked.error:.2f}",
        f"{reference:,.2f} ± {checked.reference_error:.2f}",
        f"{score:.1f} ± {error:.1f}",
        f"{checked.deviation:+.1f}",
    ]
    return "| " + " | ".join(parts) + " |"


def toml(name: str, low: Reference, high: Reference) -> str:
    """The two tables of a task as they stand in ``tasks.toml``."""
    lines = []
    for kind, reference in (("low", low), ("high", high)):
        lines.append(f"[{name}.{kind}]")
        for field, value in reference.model_dump().items():
            lines.append(f'{field} = "{value}"' if isinstance(value, str) else f"{field} = {value}")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Measure references and print them, or check them; of the tasks named, or of all."""
    parser = argparse.ArgumentParser(prog="python -m offbench.generation.references", description=__doc__)
    parser.add_argument("tasks", nargs="*", help="names of tasks; all if left out")
    parser.add_argument("--episodes", type=int, default=EPISODES)
    parser.add_argument("--check", action="store_true", help="play other starts and compare")
    arguments = parser.parse_args()
    known = tasks() if arguments.check else HIGH
    for name in arguments.tasks:
        if name not in known:
            raise SystemExit(str(UnknownNameError("task with measured references", name, known)))
    for name in arguments.tasks or [name for name in tasks() if name in known]:
        if arguments.check:
            _print_checks(task(name), arguments.episodes)
            continue
        low = measure(task(name), *LOW, episodes=arguments.episodes)
        high = measure(task(name), *HIGH[name], episodes=arguments.episodes)
        print(toml(name, low, high), flush=True)


def _print_checks(chosen: Task, episodes: int) -> None:
    try:
        print(row(chosen, "uniformly random", check(chosen, LOW[0], chosen.low, episodes)), flush=True)
    except OffbenchError as error:
        print(f"| `{chosen.name}` | not simulated: {error} |", flush=True)
        return
    if builder := {**HIGH, **PUBLISHED}.get(chosen.name):
        print(row(chosen, "controller", check(chosen, builder[0], chosen.high, episodes)), flush=True)


if __name__ == "__main__":
    main()
