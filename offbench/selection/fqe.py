"""Fitted Q evaluation: the Q of a given policy, by temporal differences on data that others made.

All policies and all members of their ensembles are one batched product, and all see the same batches and noise, so that
what tells their values apart is the policies. Sources: Le et al. 2019 (arXiv 1903.08738); constants of policy_eval
(google-research), whose results are DOPE's (Fu et al. 2021, arXiv 2103.16596).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.base import polyak
from offbench.basis.compiler import Compile, can_compile, compiled
from offbench.basis.shapes import Array
from offbench.data.transitions import Batch, Transitions
from offbench.errors import OffbenchError
from offbench.nn.adam import Adam
from offbench.nn.mlp import MLP, Parameters
from offbench.nn.noise import standard_normal
from offbench.nn.random import stream

BLOCK = 100  # updates whose rows are drawn at a time
# From so many updates on, compiling them pays: some twenty seconds of a core.
WORTH_COMPILING = 3_000
ROWS = 10_000  # whose Q is taken at a time, of all policies
STARTS = 1_000  # states and draws of noise at least that a value is the mean over


@dataclass(frozen=True)
class FQEConfig:
    """Hyperparameters, the same for all policies and never tuned on their true values."""

    hidden: tuple[int, ...] = (256, 256)
    """Sizes of the hidden layers."""
    discount: float = 0.995
    """gamma, DOPE's."""
    updates: int = 100_000
    """Gradient updates; policy_eval makes a million."""
    learning_rate: float = 3e-4
    """Of AdamW."""
    weight_decay: float = 1e-5
    """Of AdamW."""
    polyak: float = 0.005
    """Share of the new Q in each move of the target Q."""
    batch_size: int = 256
    """Transitions in one update."""
    action_std: float = 0.1
    """Of the noise on the policies' actions, in units where actions reach from -1 to 1."""
    members: int = 1
    """Q functions of a policy, each on a bootstrap sample of the episodes where there are several."""


class Values:
    """The fitted Q functions of several policies.

    Attributes:
        parameters: of the target networks, (policies, members, ...).
        reward_scale: what a learner's value is multiplied by.
    """

    def __init__(self, network: MLP, parameters: Parameters, config: FQEConfig, reward_scale: float) -> None:
        self.network, self.parameters, self.config, self.reward_scale = network, parameters, config, reward_scale

    def q(
        self, states: Float[Tensor, "policies rows observation"], actions: Float[Tensor, "policies rows action"]
    ) -> Float[Tensor, "policies members rows"]:
        """Q of scaled states and actions, in units of the data's rewards."""
        with torch.no_grad():
            net = self.network(self.parameters, torch.cat([states, actions], -1)).squeeze(-1)
        return net * (self.reward_scale / (1 - self.config.discount))

    def of_rows(
        self,
        states: Float[Tensor, "rows observation"],
        actions: Float[Tensor, "policies rows action"],
        draws: int = 0,
        seed: int = 0,
    ) -> Float[Array, "policies rows"]:
        """Q of each row, the mean of a policy's members; with ``draws`` also over so many noisy actions."""
        total = np.zeros(actions.shape[:2])
        key = torch.tensor([seed], device=actions.device)
        for first in range(0, len(states), ROWS):
            part = slice(first, first + ROWS)
            here, chosen = states[part].expand(len(actions), -1, -1), actions[:, part]
            for draw in range(max(draws, 1)):
                acted = chosen
                if draws:
                    count = torch.tensor(draw, device=actions.device)
                    noise = standard_normal(key, count, f"fqe/rows/{first}", chosen.shape[1:], chosen.dtype)
                    acted = (chosen + self.config.action_std * noise).clamp(-1, 1)
                total[:, part] += self.q(here, acted).mean(1).double().cpu().numpy()
        return total / max(draws, 1)

    def at(
        self,
        states: Float[Tensor, "rows observation"],
        actions: Float[Tensor, "policies rows action"],
        seed: int = 0,
    ) -> Float[Array, "policies members"]:
        """Mean over ``states`` of Q(s, a), a the policy's ``actions`` with the noise that Q was fitted with."""
        draws = -(-STARTS // len(states))
        total = torch.zeros(len(actions), self.config.members, dtype=torch.float64)
        key = torch.tensor([seed], device=actions.device)
        for draw in range(draws):
            count = torch.tensor(draw, device=actions.device)
            noise = standard_normal(key, count, "fqe/starts", actions.shape[1:], actions.dtype)
            noisy = (actions + self.config.action_std * noise).clamp(-1, 1)
            total += self.q(states.expand(len(actions), -1, -1), noisy).double().mean(-1).cpu()
        found: Float[Array, "policies members"] = (total / draws).numpy()
        return found


def fit(
    view: Transitions,
    next_actions: Float[Tensor, "policies transitions action"],
    config: FQEConfig,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
    compile: Compile = "auto",
) -> Values:
    """Fit Q of every policy.

    Args:
        view: the data; rewards are divided by their deviation here, and not shifted, which would change what episodes
            that terminate are worth.
        next_actions: the policies' actions at the next observations of the view's transitions, scaled as its own.
        config: hyperparameters.
        seed: of initialisation, rows, noise and bootstrap samples; the same for all policies.
        say: hears how far it is.
        compile: the updates; on auto, where a compiler is and they are many.

    Raises:
        OffbenchError: actions of another number of transitions, or values that are no longer finite.
    """
    if next_actions.shape[1] != len(view):
        raise OffbenchError(f"there are actions at {next_actions.shape[1]} next states, and {len(view)} transitions")
    policies, device = len(next_actions), view.device
    network = MLP(view.observation_size + view.action_size, config.hidden, 1, members=config.members)
    drawn = network.initialise([seed], "fqe").items()
    online = {name: value.expand(policies, *value.shape[1:]).to(device, view.dtype).clone() for name, value in drawn}
    target = {name: value.clone() for name, value in online.items()}
    rewards = view.batch(torch.arange(len(view), device=device).unsqueeze(0)).rewards[0]
    scale = float(rewards.double().std(correction=0)) or 1.0
    bounds = (float(rewards.min()) / scale, float(rewards.max()) / scale)
    update = _Update(network, online, target, config, scale, bounds)
    worth = compile == "always" or config.updates >= WORTH_COMPILING
    step = compiled(_descend, device) if worth and can_compile(compile, device) else _descend
    weights = _weights(view, config.members, seed)
    key = torch.tensor([seed], device=device)
    count = torch.zeros((), dtype=torch.int64, device=device)
    for number in range(-(-config.updates // BLOCK)):
        shape = (BLOCK, config.batch_size)
        rows = torch.from_numpy(stream(seed, "fqe/rows", number).integers(len(view), size=shape)).to(device)
        for own in rows[: config.updates - number * BLOCK]:
            chosen = next_actions[:, own]
            noise = standard_normal(key, count, "fqe/noise", chosen.shape[1:], chosen.dtype)
            step(update, view.batch(own.unsqueeze(0)), chosen, noise, weights[:, own])
            count += 1
        if (number + 1) % 50 == 0:
            _check(online)
            say(f"fitted Q evaluation of {policies} policies: {min((number + 1) * BLOCK, config.updates):,} updates")
    _check(online)
    return Values(network, target, config, scale)


class _Update:
    """What one update changes, and the constants that it takes."""

    def __init__(
        self,
        network: MLP,
        online: Parameters,
        target: Parameters,
        config: FQEConfig,
        scale: float,
        bounds: tuple[float, float],
    ) -> None:
        self.network, self.online, self.target, self.config = network, online, target, config
        self.adam = Adam(online, config.learning_rate, weight_decay=config.weight_decay)
        self.scale, self.low, self.high = scale, *(bound / (1 - config.discount) for bound in bounds)
        self.unit = 1 / (1 - config.discount)  # networks give values a step


def _descend(
    u: _Update,
    batch: Batch,
    next_actions: Float[Tensor, "policies batch action"],
    noise: Float[Tensor, "1 batch action"],
    weights: Float[Tensor, "members batch"],
) -> None:
    """One step of all Q functions on the same transitions."""
    policies = len(next_actions)
    noisy = (next_actions + u.config.action_std * noise).clamp(-1, 1)
    following = torch.cat([batch.next_observations.expand(policies, -1, -1), noisy], -1)
    q_next = u.network(u.target, following).squeeze(-1) * u.unit
    goal = batch.rewards / u.scale + u.config.discount * (1 - batch.terminations) * q_next
    # No policy is worth more than the highest reward for ever, nor, where an episode may end, less than nothing at all.
    goal = goal.clamp(min(u.low, 0.0), max(u.high, 0.0))
    present = torch.cat([batch.observations, batch.actions], -1).expand(policies, -1, -1)

    def loss(parameters: Parameters) -> Float[Tensor, ""]:
        q = u.network(parameters, present).squeeze(-1) * u.unit
        return (weights * (q - goal) ** 2).mean(-1).sum()

    u.adam.update(u.online, torch.func.grad(loss)(u.online))
    polyak(u.target, u.online, u.config.polyak)


def _weights(view: Transitions, members: int, seed: int) -> Float[Tensor, "members transitions"]:
    """How often each transition's episode is in each member's bootstrap sample; 1 for a single member."""
    if members == 1:
        return torch.ones(1, len(view), device=view.device, dtype=view.dtype)
    first = torch.zeros(len(view), dtype=torch.int64, device=view.device)
    first[view.first_steps] = 1
    episode = (first.cumsum(0) - 1).clamp(min=0).cpu().numpy()
    count = int(episode.max()) + 1
    drawn = stream(seed, "fqe/bootstrap").multinomial(count, np.full(count, 1 / count), size=members)
    return torch.from_numpy(drawn[:, episode]).to(view.device, view.dtype)


def _check(parameters: Parameters) -> None:
    if not all(bool(value.isfinite().all()) for value in parameters.values()):
        raise OffbenchError("fitted Q evaluation came to values that are not finite; take a smaller discount")
