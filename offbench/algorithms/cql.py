"""Conservative Q-Learning (CQL), Kumar et al. 2020 (arXiv 2006.04779).

Soft actor-critic whose critics are pushed down at all actions and up at those of the data, so that a policy gains
nothing from actions that the data do not hold.

Update order and constants are CORL's (commit eeeeef26), whose published scores we quote; it follows the authors'. All
losses use the parameters before the step, and the target holds no entropy. For antmaze CORL asks for five hidden layers
in the critics and gives them to the first alone, an oversight; here both have five.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.algorithms.base import Algorithm, Metrics, Networks, Preset, copy, polyak, within
from offbench.data.scaling import RewardTransform
from offbench.data.transitions import Batch
from offbench.nn.conservative import Heads, several, soft_maximum, values
from offbench.nn.mlp import MLP, Parameters
from offbench.nn.policies import SquashedGaussianPolicy, squashed

OUTPUT_GAIN = 1e-2  # of the first weights of all output layers
MAX_MULTIPLIER = 1e6


@dataclass(frozen=True)
class CQLConfig:
    """Hyperparameters of CQL."""

    conservatism: float = 10.0
    """alpha, the weight of pushing Q down at all actions and up at those of the data."""
    lagrange: bool = False
    """Multiply alpha by a factor that is learned so that the gap between the two stays at target_gap."""
    target_gap: float = 5.0
    """tau, the gap that the learned factor holds; only with lagrange."""
    lowest_gap: float | None = None
    """A gap below this is not pushed further; None for no bound."""
    sampled_actions: int = 10
    """Actions drawn uniformly, from pi(s) and from pi(s'), so many of each, to estimate the integral over actions."""
    max_target_backup: bool = False
    """Bootstrap from the best of so many sampled actions at s' instead of from one."""
    discount: float = 0.99
    """gamma."""
    polyak: float = 0.005
    """Share of the new Q in each move of the target Q."""
    hidden: tuple[int, ...] = (256, 256, 256)
    """Sizes of the policy's hidden layers."""
    critic_hidden: tuple[int, ...] | None = None
    """Sizes of the critics' hidden layers; those of the policy if None."""
    learning_rate: float = 3e-4
    """Learning rate of Adam for the critics and the factor."""
    actor_learning_rate: float = 3e-5
    """Learning rate of Adam for policy and temperature."""
    log_std_range: tuple[float, float] = (-20.0, 2.0)
    """Bounds of the policy's log standard deviation."""
    batch_size: int = 256
    """Transitions a seed in one update."""
    normalise_states: bool = True
    """Standardise states by their mean and standard deviation over the data."""
    reward_transform: RewardTransform = "none"
    """return_range: times 1000 / (highest - lowest return); minus_one: r - 1; times_10_minus_5: 10 r - 5, for goals."""

    def __post_init__(self) -> None:
        within("conservatism", self.conservatism, 0, float("inf"))
        within("sampled_actions", self.sampled_actions, 1, 10_000)
        within("critic_hidden", min(self.critic_hidden or (1,)), 1, float("inf"))
        within("discount", self.discount, 0, 1)
        within("polyak", self.polyak, 0, 1, open_low=True)
        within("learning_rate", self.learning_rate, 0, 1, open_low=True)
        within("actor_learning_rate", self.actor_learning_rate, 0, 1, open_low=True)
        within("lower log_std_range", self.log_std_range[0], -100, self.log_std_range[1])


_CORL = "CORL configs, commit eeeeef26"


class CQL(Algorithm):
    """Twin Q with Polyak targets, a squashed Gaussian policy, its temperature and, with lagrange, alpha's factor."""

    Config = CQLConfig
    metrics: ClassVar[tuple[str, ...]] = ("critic_loss", "actor_loss", "temperature_loss", "multiplier_loss")
    config: CQLConfig
    quick: ClassVar[Mapping[str, Any]] = {"sampled_actions": 2}
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(("hopper-medium-v*",), {"reward_transform": "return_range"}, _CORL),
        Preset(("maze2d-*",), {"lagrange": True, "target_gap": 5.0}, _CORL),
        Preset(
            ("antmaze-*",),
            {
                "conservatism": 5.0,
                "lagrange": True,
                "target_gap": 0.8,
                "lowest_gap": -200.0,
                "max_target_backup": True,
                "critic_hidden": (256, 256, 256, 256, 256),
                "actor_learning_rate": 1e-4,
                "normalise_states": False,
                "reward_transform": "times_10_minus_5",
            },
            _CORL,
        ),
        Preset(
            ("pen-*", "door-*", "hammer-*", "relocate-*"), {"conservatism": 1.0, "actor_learning_rate": 1e-4}, _CORL
        ),
    )

    def build(self) -> None:
        """Q_1, Q_2 as an ensemble of two, their targets, the policy, and logarithms of temperature and factor."""
        c, sizes = self.config, self.sizes
        self.critic = MLP(sizes.observation + sizes.action, c.critic_hidden or c.hidden, 1, members=2)
        network = MLP(sizes.observation, c.hidden, 2 * sizes.action)
        self.actor = SquashedGaussianPolicy(network, c.log_std_range, affine_log_std=True)
        critic = self.critic.initialise(self.seeds, "critic", "orthogonal")
        critic[f"layer{len(self.critic.hidden)}.weight"] *= OUTPUT_GAIN / math.sqrt(2)
        self.add("critic", critic, c.learning_rate)
        self.add("target_critic", copy(critic), None)
        self.add("actor", self._initialise_actor(), c.actor_learning_rate)
        zero = torch.zeros(len(self.seeds), 1, dtype=torch.float64)
        self.add("temperature", {"log": zero}, c.actor_learning_rate)
        if c.lagrange:
            self.add("multiplier", {"log": zero + 1}, c.learning_rate)

    def _initialise_actor(self) -> Parameters:
        """Output weights as Xavier's (Glorot and Bengio 2010) times ``OUTPUT_GAIN``, output biases 0."""
        last, hidden, outputs = len(self.config.hidden), self.config.hidden[-1], self.actor.network.outputs
        bound = OUTPUT_GAIN * math.sqrt(6 / (hidden + outputs))
        actor = self.actor.initialise(self.seeds, "actor", output_bound=bound, log_std_shift=-1.0)
        return actor | {f"layer{last}.bias": torch.zeros_like(actor[f"layer{last}.bias"])}

    def noise(self) -> Mapping[str, tuple[int, ...]]:
        """Actions at s for the policy, at s' for the target, and those that estimate the integral over actions."""
        c = self.config
        one, many = (c.batch_size, self.sizes.action), (c.batch_size, c.sampled_actions, self.sizes.action)
        target = many if c.max_target_backup else (c.batch_size, 1, self.sizes.action)
        return {"action": one, "target_action": target, "uniform": many, "present": many, "next": many}

    def losses(self, networks: Networks, batch: Batch) -> Metrics:
        """All losses; no gradient of one reaches the networks of another."""
        s, a, r, s_next, terminal = batch[:5]
        alpha = torch.exp(self.networks["temperature"]["log"])  # (seeds, 1)
        heads = self.actor.heads(networks["actor"], s)
        with torch.no_grad():
            next_heads = self.actor.heads(self.networks["actor"], s_next)
            y = r + self.config.discount * (1 - terminal) * self.target_value(batch, next_heads)
        q = values(self.critic, networks["critic"], s, a.unsqueeze(2))[..., 0]  # (seeds, 2, batch)
        bellman = ((q - y.unsqueeze(1)) ** 2).mean(-1)  # (seeds, 2)

        # Pushed down at all actions, up at the data's: log integral exp Q(s, a) da - Q(s, a)   (paper, equation 4)
        pushed_down = soft_maximum(self.critic, networks["critic"], s, heads, next_heads, batch.noise)
        gap = pushed_down - q
        if self.config.lowest_gap is not None:
            gap = gap.clamp(min=self.config.lowest_gap)
        conservative, multiplier_loss = self.conservative(networks, gap.mean(-1))

        # L_pi = E (alpha log pi(a~ | s) - min_i Q_i(s, a~))
        sampled, log_prob = squashed(*heads, batch.noise["action"])
        q_sampled = values(self.critic, self.networks["critic"], s, sampled.unsqueeze(2))[..., 0].amin(1)
        # L_alpha = -log alpha E (log pi(a~ | s) - |A|): the entropy is held at -|A|
        surplus = log_prob.detach() - self.sizes.action
        return {
            "critic_loss": (bellman + conservative).sum(1),
            "actor_loss": (alpha * log_prob - q_sampled).mean(-1),
            "temperature_loss": -(networks["temperature"]["log"] * surplus).mean(-1),
            "multiplier_loss": multiplier_loss,
        }

    def target_value(self, batch: Batch, next_heads: Heads) -> Float[Tensor, "seeds batch"]:
        """max over the sampled a' of min_i Q'_i(s', a'): of one action or of several."""
        actions, _ = several(next_heads, batch.noise["target_action"])
        return values(self.critic, self.networks["target_critic"], batch.next_observations, actions).amin(1).amax(-1)

    def conservative(
        self, networks: Networks, gap: Float[Tensor, "seeds 2"]
    ) -> tuple[Float[Tensor, "seeds 2"], Float[Tensor, " seeds"]]:
        """What each critic's loss gains, and the loss of the factor, which rises above the gap."""
        c = self.config
        if not c.lagrange:
            return c.conservatism * gap, torch.zeros_like(gap[:, 0])
        excess = c.conservatism * (gap - c.target_gap)
        factor = torch.exp(networks["multiplier"]["log"]).clamp(max=MAX_MULTIPLIER)  # (seeds, 1)
        return factor.detach() * excess, -(factor * excess.detach()).mean(1)

    def update(self, batch: Batch) -> Metrics:
        """One Adam step of everything together, then the target Q follows the new Q."""
        learned = ["critic", "actor", "temperature"] + ["multiplier"] * self.config.lagrange
        metrics = self.descend(self.losses, learned, batch)
        polyak(self.networks["target_critic"], self.networks["critic"], self.config.polyak)
        return metrics

    def act(self, observations: Float[Tensor, "seeds batch observation"]) -> Float[Tensor, "seeds batch action"]:
        """The mode of the policy."""
        return self.actor.mode(self.networks["actor"], observations)
