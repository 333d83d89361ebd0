"""Measuring the reference returns in ``datasets/tasks.toml``: ``python -m offbench.generation.references [TASK]``.

Tasks whose references come from a publication (D4RL's locomotion) are not measured here.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from offbench.basis.policy import Policy
from offbench.behaviours.controllers import MazeRunner, UniformRandom, Waypoints, path_through
from offbench.behaviours.ladder import folder, ladder, read_rung
from offbench.behaviours.mujoco_controllers import Balance, Reach
from offbench.behaviours.pendulum_controllers import PendulumOptimal
from offbench.environments.pointmaze import PointMazeSimulator
from offbench.environments.protocol import Simulator
from offbench.environments.simulator import make_simulator
from offbench.environments.task import Reference, Task, task, tasks
from offbench.errors import OffbenchError, UnknownNameError
from offbench.generation.recording import record

Array = npt.NDArray[Any]
Builder = Callable[[Simulator, Sequence[int]], Policy]

EPISODES = 1000
AT_ONCE = 250  # episodes that are stepped together, as an environment is made for each
# Far from the seeds of datasets and evaluations, which start at small numbers.
FIRST_SEED = 900_000_000
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
_MAZES = [f"pointmaze-{size}{reward}" for size in ("umaze", "medium", "large") for reward in ("", "-dense")]
HIGH: dict[str, tuple[Builder, str]] = {
    "pendulum": (_pendulum, "dynamic programming on a 201 by 201 grid of states, acting by one step of lookahead"),
    "pointmaze-stitch": (short_route, "waypoint controller along the short route, then holding the goal cell's centre"),
    **{f"{robot}-v5": _expert(f"{robot}-v4") for robot in ("hopper", "halfcheetah", "walker2d")},
    "invertedpendulum-v5": (_balance, "linear-quadratic regulator about the upright state"),
    "inverteddoublependulum-v5": (_balance, "linear-quadratic regulator about the upright state"),
    "reacher-v5": (_reach, "springs with damping towards the joint angles that put the fingertip on the target"),
    **dict.fromkeys(_MAZES, (_maze_runner, "waypoint controller along a shortest way, then holding the goal")),
}


def measure(
    task: Task, builder: Builder, policy: str, episodes: int = EPISODES, first_seed: int = FIRST_SEED
) -> Reference:
    """Mean return and its standard error of a policy, over episodes with seeds fixed in advance."""
    parts = []
    for first in range(0, episodes, AT_ONCE):
        seeds = range(first_seed + first, first_seed + min(episodes, first + AT_ONCE))
        simulator = make_simulator(task, len(seeds))
        parts.append(record(simulator, builder(simulator, seeds), seeds).returns)
        simulator.close()
    return summarised(np.concatenate(parts), policy, SOURCE)


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
    """Measure one task's references, or all that can be measured, and print them."""
    parser = argparse.ArgumentParser(prog="python -m offbench.generation.references", description=__doc__)
    parser.add_argument("task", nargs="?", help="name of a task; all measured tasks if left out")
    parser.add_argument("--episodes", type=int, default=EPISODES)
    arguments = parser.parse_args()
    names = [arguments.task] if arguments.task else [name for name in tasks() if name in HIGH]
    for name in names:
        if name not in HIGH:
            raise SystemExit(str(UnknownNameError("task with measured references", name, HIGH)))
        low = measure(task(name), *LOW, episodes=arguments.episodes)
        high = measure(task(name), *HIGH[name], episodes=arguments.episodes)
        print(toml(name, low=low, high=high), flush=True)


if __name__ == "__main__":
    main()
