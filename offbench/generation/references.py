"""Measuring the reference returns in ``datasets/tasks.toml``: ``python -m offbench.generation.references [TASK ...]``.

It prints the tables of references that are measured here: both of a task, or the low one where the high one is D4RL's.
With ``--check`` it plays episodes with other starts, of every task that can be simulated, published references
included, and prints the table of docs/simulators.md: uniformly random actions should score 0 within their error.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from offbench.basis.policy import Policy
from offbench.basis.shapes import Array
from offbench.behaviours.controllers import MazeRunner, UniformRandom, Waypoints, path_through
from offbench.behaviours.ladder import folder, ladder, read_rung
from offbench.behaviours.mujoco_controllers import Balance, Reach
from offbench.behaviours.pendulum_controllers import PendulumOptimal
from offbench.environments.d4rl_maze_simulator import D4RLMazeSimulator
from offbench.environments.pointmaze import PointMazeSimulator
from offbench.environments.protocol import Simulator
from offbench.environments.simulator import make_simulator
from offbench.environments.task import Reference, Task, task, tasks
from offbench.errors import OffbenchError, UnknownNameError
from offbench.generation.recording import record

Builder = Callable[[Simulator, Sequence[int]], Policy]

EPISODES = 1000
AT_ONCE = 250  # episodes that are stepped together, as an environment is made for each
# Far from the seeds of datasets and evaluations, which start at small numbers.
FIRST_SEED = 900_000_000
# Of the episodes that check a reference.
OTHER_SEED = 950_000_000
# D4RL, scripts/reference_scores: its own references are means of so many episodes.
D4RL_EPISODES = 100
SOURCE = "measured by python -m offbench.generation.references"


def random_policy(simulator: Simulator, seeds: Sequence[int]) -> Policy:
    """The low reference of every measured task.

    Raises:
        OffbenchError: the actions have no bounds, between which they could be drawn.
    """
    if not (np.isfinite(simulator.action_low).all() and np.isfinite(simulator.action_high).all()):
        raise OffbenchError("the task's actions have no bounds, so that none can be drawn between them")
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


def _balance(simulator: Simulator, seeds: Sequence[int]) -> Policy:
    return Balance(double=simulator.observation_size == 9)


def _reach(simulator: Simulator, seeds: Sequence[int]) -> Policy:
    return Reach()


def _expert(ladder_of: str) -> tuple[Builder, str]:
    """The best policy of a ladder, acting deterministically."""

    def build(simulator: Simulator, seeds: Sequence[int]) -> Policy:
        best = ladder(ladder_of).expert.name
        return read_rung(folder(ladder_of) / f"{best}.safetensors", simulator.action_low, simulator.action_high)

    return build, f"the expert of the ladder {ladder_of}, trained there by soft actor-critic, acting without noise"


LOW = (random_policy, "actions drawn uniformly between the action bounds")
_STRAIGHT = (straight_to_the_goal, "D4RL's controller, which heads straight for the goal")
_MAZES = [f"pointmaze-{size}{reward}" for size in ("umaze", "medium", "large") for reward in ("", "-dense")]
HIGH: dict[str, tuple[Builder, str]] = {
    "pendulum": (_pendulum, "dynamic programming on a 201 by 201 grid of states, acting by one step of lookahead"),
    "pointmaze-stitch": (short_route, "waypoint controller along the short route, then holding the goal cell's centre"),
    **{f"{robot}-v5": _expert(f"{robot}-v4") for robot in ("hopper", "halfcheetah", "walker2d")},
    "invertedpendulum-v5": (_balance, "linear-quadratic regulator about the upright state"),
    "inverteddoublependulum-v5": (_balance, "linear-quadratic regulator about the upright state"),
    "reacher-v5": (_reach, "springs with damping towards the joint angles that put the fingertip on the target"),
    **dict.fromkeys(_MAZES, (_maze_runner, "waypoint controller along a shortest way, then holding the goal")),
    **dict.fromkeys(["maze2d-open", "maze2d-open-dense"], _STRAIGHT),
}
# Controllers whose return a publication gives: a check of the task, not of the package.
PUBLISHED: dict[str, tuple[Builder, str]] = {
    f"maze2d-{size}{reward}": _STRAIGHT for size in ("umaze", "medium", "large") for reward in ("", "-dense")
}


def returns_of(task: Task, builder: Builder, episodes: int, first_seed: int) -> Array:
    """Returns (episodes,) of a scripted policy, from starts with seeds fixed in advance."""
    parts = []
    for first in range(0, episodes, AT_ONCE):
        seeds = range(first_seed + first, first_seed + min(episodes, first + AT_ONCE))
        simulator = make_simulator(task, len(seeds))
        parts.append(record(simulator, builder(simulator, seeds), seeds).returns)
        simulator.close()
    return np.concatenate(parts)


def measure(
    task: Task, builder: Builder, policy: str, episodes: int = EPISODES, first_seed: int = FIRST_SEED
) -> Reference:
    """Mean return and its standard error of a policy, over episodes with seeds fixed in advance."""
    return summarised(returns_of(task, builder, episodes, first_seed), policy, SOURCE)


def summarised(returns: Array, policy: str, source: str) -> Reference:
    """Mean of returns (episodes,), at least two, and its standard error."""
    episodes = len(returns)
    error = float(returns.std(ddof=1) / np.sqrt(episodes))
    # A standard error is given to two significant digits, and the mean to as many places.
    places = max(0, 1 - int(np.floor(np.log10(error)))) if error > 0 else 6
    return Reference(
        mean=round(float(returns.mean()), places),
        standard_error=round(error, places),
        episodes=episodes,
        policy=policy,
        source=source,
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


def toml(name: str, **references: Reference) -> str:
    """The tables of a task's references as they stand in ``tasks.toml``; without a name, in a file of one task."""
    lines = []
    for kind, reference in references.items():
        lines.append(f"[{name}.{kind}]" if name else f"[{kind}]")
        for field, value in reference.model_dump(exclude_none=True).items():
            lines.append(f"{field} = {json.dumps(value, ensure_ascii=False)}")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Measure references and print them, or check them; of the tasks named, or of all."""
    parser = argparse.ArgumentParser(prog="python -m offbench.generation.references", description=__doc__)
    parser.add_argument("tasks", nargs="*", help="names of tasks; all if left out")
    parser.add_argument("--episodes", type=int, default=EPISODES)
    parser.add_argument("--check", action="store_true", help="play other starts and compare")
    arguments = parser.parse_args()
    known = [name for name in tasks() if arguments.check or task(name).low.source == SOURCE]
    for name in arguments.tasks:
        if name not in known:
            raise SystemExit(str(UnknownNameError("task with measured references", name, known)))
    for name in arguments.tasks or known:
        if arguments.check:
            _print_checks(task(name), arguments.episodes)
            continue
        measured = {"low": LOW} | ({"high": HIGH[name]} if name in HIGH else {})
        found = {
            kind: measure(task(name), builder, policy, arguments.episodes)
            for kind, (builder, policy) in measured.items()
        }
        print(toml(name, **found), flush=True)


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
