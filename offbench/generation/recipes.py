"""Recipes: datasets that are generated here, from scripted controllers and behaviours, the same for the same seed.

Every episode has its own seeds for environment and controller, drawn from the recipe's seed, so that the data do not
depend on how many environments are stepped together.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from offbench.basis.policy import Policy
from offbench.basis.shapes import Array
from offbench.behaviours.controllers import MazeRunner, Noisy, Tour, UniformRandom
from offbench.behaviours.ladder import folder, ladder, read_rung
from offbench.behaviours.pendulum_controllers import PendulumSwingUp
from offbench.data.concatenation import concatenate
from offbench.data.trajectories import Trajectories
from offbench.environments.pointmaze import PointMazeSimulator
from offbench.environments.protocol import ExactSimulator, Simulator
from offbench.environments.simulator import make_simulator
from offbench.environments.task import Task
from offbench.errors import OffbenchError, UnknownNameError
from offbench.generation.recipe import Expected, Recipe
from offbench.generation.recording import in_float32, record, record_transitions

Progress = Callable[[int, int], None]
"""Called with the number of episodes or steps done and the number of all."""

# Episodes that are stepped together; it changes speed, memory and the grain of progress, never the data.
BATCH = 50
# The same for behaviours, whose networks' products round differently with another number: part of what makes the data.
BEHAVIOUR_BATCH = 64


@dataclass(frozen=True)
class Order:
    """What every recipe is told: where, from which seed, how much, and whom to tell about progress.

    Attributes:
        task: where.
        seed: the same seed gives the same data.
        episodes: how many are recorded, if the recipe counts episodes, else 0.
        transitions: how many steps at least are recorded, if it counts those, else 0.
        progress: hears of episodes or steps done, and all.
    """

    task: Task
    seed: int
    episodes: int
    transitions: int
    progress: Progress

    def seeds(self, purpose: int) -> Array:
        """(episodes,) int64, one seed an episode, different ones for every purpose."""
        return np.random.default_rng([self.seed, purpose]).integers(2**31, size=self.episodes)


def generate(recipe: Recipe, task: Task, name: str, progress: Progress | None = None) -> Trajectories:
    """Make the dataset of a recipe in a task, float32. Its provenance is left to who keeps it.

    Args:
        recipe: what makes it.
        task: where it is recorded.
        name: what messages call the dataset.
        progress: hears of episodes or steps done, and all.

    Raises:
        UnknownNameError: there is no such recipe.
        OffbenchError: it does not take its arguments, or the data are not what it expects.
    """
    if recipe.name not in RECIPES:
        raise UnknownNameError("recipe", recipe.name, RECIPES)
    make = RECIPES[recipe.name]
    tell = progress or (lambda done, total: None)
    order = Order(task, recipe.seed, recipe.episodes or 0, recipe.transitions or 0, tell)
    try:
        inspect.signature(make).bind(order, **recipe.arguments)
    except TypeError as error:
        raise OffbenchError(f"recipe {recipe.name} of {name} does not take its arguments: {error}") from error
    trajectories = make(order, **recipe.arguments)
    if recipe.expected is not None:
        check_expected(name, recipe.expected, trajectories)
    return trajectories


def check_expected(name: str, expected: Expected, trajectories: Trajectories) -> None:
    """Compare mean return and length with what they should be, within five standard errors of the difference.

    Raises:
        OffbenchError: one of them is off; both numbers are named.
    """
    for what, values, mean, error in (
        ("return", trajectories.returns, expected.mean_return, expected.return_error),
        ("length", trajectories.lengths, expected.mean_length, expected.length_error),
    ):
        own = float(np.std(values, ddof=1)) / len(values) ** 0.5 if len(values) > 1 else np.inf
        # Episodes that all last until the time limit have no spread, and then any difference counts.
        if abs(float(np.mean(values)) - mean) > 5 * np.hypot(own, error) + 1e-6 * abs(mean):
            raise OffbenchError(
                f"{name} came out with a mean {what} of {np.mean(values):.1f} +- {own:.1f}; its card says {mean:.1f} "
                f"+- {error:.1f}: the simulator here behaves otherwise, so scores on this data would not compare"
            )


def behaviours(order: Order, rungs: Sequence[str]) -> Trajectories:
    """Equal shares of transitions from policies of the task's ladder, which sample their actions.

    ``rungs`` are recorded in order; ``random`` acts uniformly between the bounds and is no rung. Where a simulator can
    restore its states, they are kept as extras (`ExactSimulator`). Source: Fu et al. 2020, D4RL (arXiv 2004.07219).
    """
    climbed = ladder(order.task.name) if set(rungs) != {"random"} else None
    simulator = make_simulator(order.task, BEHAVIOUR_BATCH)
    low, high = simulator.action_low, simulator.action_high
    share = -(-order.transitions // len(rungs))
    parts: list[Trajectories] = []
    for number, name in enumerate(rungs):

        def acting(seeds: list[int], name: str = name) -> Policy:
            if climbed is None or name == "random":
                return UniformRandom(low, high, seeds)
            return read_rung(folder(order.task.name) / f"{climbed.rung(name).name}.safetensors", low, high, seeds)

        def tell(done: int, before: int = number * share) -> None:
            order.progress(min(before + done, order.transitions), order.transitions)

        exact = isinstance(simulator, ExactSimulator)
        parts.append(record_transitions(simulator, acting, share, [order.seed, number], tell, exact))
    simulator.close()
    return parts[0] if len(parts) == 1 else concatenate(parts)  # which copies


def pendulum_swingup(order: Order, gain: float, noise: tuple[float, float]) -> Trajectories:
    """Swing-up by energy with Gaussian noise, whose standard deviation (N m) each episode draws from a range."""
    scales = np.random.default_rng([order.seed, 2]).uniform(noise[0], noise[1], order.episodes)
    seeds = order.seeds(1)

    def policy(simulator: Simulator, chosen: slice) -> Policy:
        return PendulumSwingUp(scales[chosen], seeds[chosen].tolist(), gain)

    return _record_all(order, policy)


def pointmaze_waypoints(order: Order, noise: float) -> Trajectories:
    """From random starts by the shortest way to random goals, holding them, with Gaussian noise on the actions.

    Source: D4RL's maze2d (Fu et al. 2020, arXiv 2004.07219), whose controller has the same gains and noise 0.5. There
    one long walk goes on to another goal wherever one is reached; here each episode has one goal, which it observes.
    """
    simulator = make_simulator(order.task, BATCH)
    assert isinstance(simulator, PointMazeSimulator)
    runner = MazeRunner(simulator.maze_map)

    def acting(seeds: list[int]) -> Policy:
        return Noisy(runner, noise, len(simulator.action_low), seeds)

    def tell(done: int) -> None:
        order.progress(done, order.transitions)

    trajectories = record_transitions(simulator, acting, order.transitions, [order.seed], tell)
    simulator.close()
    return trajectories


def pointmaze_stitch(order: Order, crossing: int | None = None) -> Trajectories:
    """Four equal groups of episodes from the same start, rewarded for the same goal; none takes the short way.

    Source: Zhou et al. 2024, "Free from Bellman Completeness" (MBRCSL), point maze. The groups, in this order: go
    down to (2, 2) and stay; the same again; take the detour (1, 1), (2, 1) to the goal (2, 4) and stay; take the
    detour and act at random from there on. See `Tour` for what walks. The extra column ``goal`` holds the place (x, y)
    of the true goal, which rewards are counted for in every group.

    With ``crossing``, the detour also stops at (2, 2), and rests at each stop for 0 to ``crossing`` steps. Then the two
    ways share not only a place but a state, at rest, so that stitching asks for no generalisation.
    """
    if order.episodes % 4:
        raise OffbenchError(f"pointmaze_stitch records four equal groups; {order.episodes} episodes cannot be divided")
    walks, acts = order.seeds(1), order.seeds(2)

    def policy(simulator: Simulator, chosen: slice) -> Policy:
        assert isinstance(simulator, PointMazeSimulator)
        group = 4 * chosen.start // order.episodes
        detour = [(1, 1), (2, 1), (2, 4)] if crossing is None else [(1, 1), (2, 1), (2, 2), (2, 4)]
        goals = [(2, 2)] if group < 2 else detour
        random = UniformRandom(simulator.action_low, simulator.action_high, acts[chosen].tolist())
        return Tour(goals, simulator.maze_map, walks[chosen].tolist(), random if group == 3 else None, crossing or 0)

    def goal(simulator: Simulator) -> dict[str, Array]:
        assert isinstance(simulator, PointMazeSimulator)
        return {"goal": simulator.goals}

    return _record_all(order, policy, goal, groups=4)


RECIPES: dict[str, Callable[..., Trajectories]] = {
    "behaviours": behaviours,
    "pendulum_swingup": pendulum_swingup,
    "pointmaze_stitch": pointmaze_stitch,
    "pointmaze_waypoints": pointmaze_waypoints,
}


def _record_all(
    order: Order,
    policy: Callable[[Simulator, slice], Policy],
    constants: Callable[[Simulator], dict[str, Array]] = lambda simulator: {},
    groups: int = 1,
) -> Trajectories:
    """All episodes in order, a batch at a time.

    Args:
        order: what the recipe was told.
        policy: what acts in the simulator in the episodes of a slice.
        constants: what stays the same for an episode, by name, (environments, ...) each; it becomes extra columns.
        groups: number of equal groups whose boundaries no batch crosses.
    """
    seeds = order.seeds(0).tolist()
    size = order.episodes // groups
    starts = [first for group in range(0, order.episodes, size) for first in range(group, group + size, BATCH)]
    parts: list[Trajectories] = []
    simulator: Simulator | None = None
    for start in starts:
        chosen = slice(start, min(start + BATCH, (start // size + 1) * size))
        count = chosen.stop - chosen.start
        if simulator is None or simulator.count != count:
            simulator = make_simulator(order.task, count)
        part = record(simulator, policy(simulator, chosen), seeds[chosen])
        extras = {
            name: np.repeat(rows, part.lengths, axis=0).astype(np.float32)
            for name, rows in constants(simulator).items()
        }
        parts.append(in_float32(replace(part, extras=extras)))
        order.progress(chosen.stop, order.episodes)
    return concatenate(parts)
