"""The objective mismatch: whether the model that predicts best also trains the best policy.

Models of four sizes are taken at three stages of their fitting. Each is judged on what was held out, by its likelihood,
by its mean square error, and by how far its errors move the best policy's value; by how far it strays when it is rolled
out; and by the return, in the true pendulum, of the policy that soft actor-critic learns in it alone. The correlations
of the judgements with the returns say how far they rank models for what they are for.

Source of the question: Lambert et al. 2020, "Objective Mismatch in Model-based Reinforcement Learning" (arXiv
2002.04523).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import rankdata
from torch import Tensor

from offbench.basis.shapes import Array
from offbench.data.transitions import Transitions
from offbench.dynamics.fitting import DynamicsConfig, Fitted, fit, held_out
from offbench.dynamics.quality import errors_by_step
from offbench.dynamics.terminations import never
from offbench.dynamics.truth import Simulated
from offbench.dynamics.value_aware import value_error
from offbench.dynamics.worlds import Learned, Moment, Outcome, World
from offbench.environments.own_tasks import chosen_task
from offbench.studies.drawing import Say
from offbench.studies.swing_up import TASK, BestValue, learner, returns_of, use, view_of

SIZES: dict[str, tuple[int, ...]] = {"8": (8,), "32": (32,), "64-64": (64, 64), "200-200": (200, 200)}
STAGES = (2, 10, 50)  # epochs
STEPS = 20  # that models are rolled out
SCORED = 2  # evaluations that a return is the mean of, the last ones
JUDGES = ("nll", "mse", "value_error")
REPETITIONS = 2000


class Apart:
    """Worlds beside each other, each for as many of the seeds, in order."""

    def __init__(self, worlds: Sequence[World], seeds: int) -> None:
        self.worlds, self.seeds = worlds, seeds

    def step(
        self,
        observations: Float[Tensor, "seeds batch observation"],
        actions: Float[Tensor, "seeds batch action"],
        moment: Moment,
    ) -> Outcome:
        """See `World.step`; predictions of ensembles that differ in size are not kept."""
        parts = zip(
            self.worlds, *(torch.split(part, self.seeds) for part in (observations, actions, moment.keys)), strict=True
        )
        found = [world.step(s, a, moment._replace(keys=keys)) for world, s, a, keys in parts]
        states, rewards, ends = (torch.cat([one[place] for one in found]) for place in range(3))
        return Outcome(states, rewards, ends)


def run(episodes: int, seeds: int, updates: int, evaluations: int, say: Say) -> dict[str, Any]:
    """A row a checkpoint, with lists over seeds of what its models are judged by and of the returns.

    ``by_step`` is a list over steps of lists over seeds, see `offbench.dynamics.quality.errors_by_step`.
    """
    view, value, rows, worlds = view_of(episodes), BestValue(), list[dict[str, Any]](), list[World]()
    truth = Simulated(chosen_task(TASK), view.scaling)
    for name, hidden in SIZES.items():
        for epochs in STAGES:
            config = DynamicsConfig(members=1, elites=1, hidden=hidden, patience=epochs, most_epochs=epochs)
            made = fit(view, config, range(seeds))
            world = Learned(config.network(view.observation_size, view.action_size), made.parameters, 1, never)
            worlds.append(world)
            judgements = judged(view, config, made, value)
            by_step = errors_by_step(view, world, truth, range(seeds), steps=STEPS).tolist()
            rows.append({"size": name, "epochs": epochs, **judgements, "by_step": by_step})
            say(f"mismatch: {name}, {epochs} epochs: hold-out MSE {np.mean(judgements['mse']):.3g}")
    algorithm = learner(view, range(len(worlds) * seeds), updates, dynamics_hidden=(1,), dynamics_members=1)
    use(algorithm, Apart(worlds, seeds))
    returns = np.mean(returns_of(algorithm, view, updates, evaluations, say)[-SCORED:], 0).reshape(len(worlds), seeds)
    rows = [row | {"returns": own.tolist()} for row, own in zip(rows, returns, strict=True)]
    return {"episodes": episodes, "seeds": seeds, "updates": updates, "rows": rows}


def judged(view: Transitions, config: DynamicsConfig, made: Fitted, value: BestValue) -> dict[str, list[float]]:
    """Negative log-likelihood, mean square error and value error on what each seed's model was not fitted to.

    The first two are means over the numbers of next state and reward, the likelihood in nats without its constant.
    """
    found: dict[str, list[float]] = {name: [] for name in JUDGES}
    network = config.network(view.observation_size, view.action_size)
    for row in range(len(made.epochs)):
        test = torch.from_numpy(held_out(len(view), config, row)).unsqueeze(0)
        batch = view.batch(test)
        own = {name: part[row : row + 1] for name, part in made.parameters.items()}
        with torch.no_grad():
            means, stds = (part[0, 0] for part in network.predict(own, batch.observations, batch.actions))
        true = torch.cat([batch.next_observations, batch.rewards.unsqueeze(-1)], -1)[0]
        squares = (means - true) ** 2
        found["nll"].append(float((0.5 * squares / stds**2 + torch.log(stds)).mean()))
        found["mse"].append(float(squares.mean()))
        found["value_error"].append(float(value_error(value, means[:, :-1], true[:, :-1])))
    return found


def pairs_of(record: dict[str, Any]) -> tuple[dict[str, Float[Array, " checkpoints"]], Float[Array, " checkpoints"]]:
    """What checkpoints are judged by, means over seeds and errors by their logarithm, and their mean returns."""
    judges = {
        name: np.array([np.mean(row[name] if name == "nll" else np.log10(row[name])) for row in record["rows"]])
        for name in JUDGES
    }
    return judges, np.array([np.mean(row["returns"]) for row in record["rows"]])


def pearson(x: Float[Array, " pairs"], y: Float[Array, " pairs"]) -> float:
    """The correlation of x and y; not a number where one of them does not vary."""
    a, b = x - x.mean(), y - y.mean()
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size > 0 else float("nan")


def spearman(x: Float[Array, " pairs"], y: Float[Array, " pairs"]) -> float:
    """That of their ranks, the mean rank where some are equal."""
    return pearson(rankdata(x), rankdata(y))


def interval(statistic: Any, *columns: Float[Array, " pairs"]) -> tuple[float, float]:
    """95% percentile bootstrap of ``statistic(*columns)``, pairs drawn again with replacement, from a fixed seed."""
    rng, count = np.random.default_rng(0), len(columns[0])
    drawn = (rng.integers(count, size=count) for _ in range(REPETITIONS))
    found = np.array([statistic(*(column[rows] for column in columns)) for rows in drawn])
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return float(low), float(high)


def closer(first: Float[Array, " pairs"], second: Float[Array, " pairs"], returns: Float[Array, " pairs"]) -> float:
    """|rank correlation| of the first with the returns, minus that of the second."""
    return abs(spearman(first, returns)) - abs(spearman(second, returns))
