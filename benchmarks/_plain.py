"""The methods as single-file implementations write them: one seed, one nn.Module a network, torch's optimisers.

Each has the networks, losses and update order of ours in its default configuration, from the same config: ``update()``
samples a batch by torch.randint and takes one optimiser step after the other, with ``.item()`` of each loss for the
log. Weights start as torch draws them, which does not matter to speed. tests/benchmarks/test_plain_implementations.py
proves that from the same weights, rows and noise the losses of several updates are ours.
"""

import copy
import math
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn import functional

from offbench.algorithms import awac, iql, xql
from offbench.algorithms.base import View


def mlp(inputs: int, hidden: tuple[int, ...], outputs: int, norm: str = "none") -> nn.Sequential:
    """Linear layers with ReLU between them; ``norm`` is layer normalisation with flax's epsilon, before or after."""
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(inputs, size), *([nn.LayerNorm(size, eps=1e-6)] if norm == "before" else []), nn.ReLU()]
        layers += [nn.LayerNorm(size, eps=1e-6)] if norm == "after" else []
        inputs = size
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def values(networks: nn.ModuleList, s: Tensor, a: Tensor) -> list[Tensor]:
    """Q_1 and Q_2, (batch,) each."""
    sa = torch.cat([s, a], 1)
    return [network(sa).squeeze(1) for network in networks]


def adam(rate: float, *parts: nn.Module | nn.Parameter) -> torch.optim.Adam:
    """One optimiser of modules and single parameters."""
    parameters = [[part] if isinstance(part, nn.Parameter) else list(part.parameters()) for part in parts]
    return torch.optim.Adam([parameter for own in parameters for parameter in own], lr=rate)


def polyak(target: nn.Module, source: nn.Module, rate: float) -> None:
    """Move a target network."""
    for old, new in zip(target.parameters(), source.parameters(), strict=True):
        old.data.copy_((1 - rate) * old.data + rate * new.data)


def squashed(mean: Tensor, log_std: Tensor, noise: Tensor, epsilon: float = 0.0) -> tuple[Tensor, Tensor]:
    """tanh of a Gaussian and its log-density, with ``epsilon`` beside the slope of tanh."""
    std = log_std.exp()
    u = mean + std * noise
    slope = 2 * (math.log(2) - u - functional.softplus(-2 * u))
    if epsilon:
        slope = torch.log(1 - torch.tanh(u) ** 2 + epsilon)
    return torch.tanh(u), (Normal(mean, std).log_prob(u) - slope).sum(-1)


class Plain(nn.Module):
    """Sampling, the log, and networks that several methods have.

    A subclass has ``build``, which makes networks and optimisers, and ``learn``, one update on the columns of a batch.
    """

    def __init__(self, config: Any, view: View, total: int = 1_000_000) -> None:
        super().__init__()
        self.c, self.total, self.count = config, total, 0
        self.log: dict[str, float] = {}
        self.columns = self.prepare(view)
        self.build(view.observation_size, view.action_size)

    def prepare(self, view: Any) -> list[Tensor]:
        """Arrays as replay buffers have them, scaled beforehand: s, a, r, s', terminal and, where asked for, a'."""
        everything = view.batch(torch.arange(len(view))[None])  # of one seed
        return [part[0].contiguous() for part in (*everything[:5], everything.next_actions) if part is not None]

    def rows(self, indices: Tensor) -> list[Tensor]:
        return [column[indices] for column in self.columns]

    def sample(self) -> list[Tensor]:
        return self.rows(torch.randint(len(self.columns[0]), (self.c.batch_size,)))

    def update(self) -> None:
        """Sample and make one gradient step."""
        self.learn(*self.sample())
        self.count += 1

    def normal(self, name: str, like: Tensor) -> Tensor:
        """Standard normal numbers; the name is for tests, which bring their own."""
        return torch.randn_like(like)

    def uniform(self, name: str, like: Tensor) -> Tensor:
        """Numbers from U(-1, 1)."""
        return torch.empty_like(like).uniform_(-1, 1)

    def descend(self, name: str, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        self.log[name] = loss.item()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def add_twins(self, inputs: int, hidden: tuple[int, ...], rate: float, norm: str = "none") -> None:
        """Q_1, Q_2, their targets and their optimiser."""
        self.critic = nn.ModuleList([mlp(inputs, hidden, 1, norm) for _ in range(2)])
        self.target_critic = copy.deepcopy(self.critic)
        self.critic_optimiser = adam(rate, self.critic)

    def add_gaussian(self, inputs: int, action: int) -> None:
        """A policy with one log standard deviation a dimension, and its optimiser."""
        self.actor, self.log_std = mlp(inputs, self.c.hidden, action), nn.Parameter(torch.zeros(action))
        self.actor_optimiser = adam(self.c.learning_rate, self.actor, self.log_std)

    def gaussian(self, mean: Tensor) -> Normal:
        return Normal(mean, self.log_std.clamp(*self.c.log_std_range).exp())

    def add_deterministic(self, observation: int, action: int) -> None:
        """A policy with a tanh, its target and its optimiser."""
        self.actor = nn.Sequential(mlp(observation, self.c.hidden, action), nn.Tanh())
        self.target_actor = copy.deepcopy(self.actor)
        self.actor_optimiser = adam(self.c.learning_rate, self.actor)

    def smoothed(self, s_next: Tensor, like: Tensor) -> Tensor:
        """The target policy's action with clipped noise."""
        limit = self.c.noise_clip
        noise = (self.c.target_noise * self.normal("target_action", like)).clamp(-limit, limit)
        return (self.target_actor(s_next) + noise).clamp(-1, 1)

    def step_critic(self, s: Tensor, a: Tensor, y: Tensor) -> None:
        """One step of both Q on the squared error."""
        loss = sum(functional.mse_loss(q, y) for q in values(self.critic, s, a))
        self.descend("critic_loss", self.critic_optimiser, loss)


class BC(Plain):
    def build(self, observation: int, action: int) -> None:
        self.actor = mlp(observation, self.c.hidden, action)
        self.optimiser = adam(self.c.learning_rate, self.actor)

    def learn(self, s: Tensor, a: Tensor, *_: Tensor) -> None:
        self.descend("actor_loss", self.optimiser, functional.mse_loss(torch.tanh(self.actor(s)), a))


class RvS(Plain):
    """The Gaussian policy on the average reward to come."""

    def prepare(self, view: Any) -> list[Tensor]:
        everything = view.batch(torch.arange(len(view))[None])  # of one seed
        s, a, t = everything.observations[0, :, 0], everything.actions[0, :, 0], everything.timesteps[0, :, 0]
        w = everything.returns_to_go[0, :, 0] * self.c.return_scale / (self.c.episode_limit - t)
        return [torch.cat([s, w.unsqueeze(1)], 1), a.contiguous()]

    def build(self, observation: int, action: int) -> None:
        self.add_gaussian(observation + 1, action)

    def learn(self, sw: Tensor, a: Tensor) -> None:
        self.descend("actor_loss", self.actor_optimiser, -self.gaussian(self.actor(sw)).log_prob(a).sum(1).mean())


class Block(nn.Module):
    """One block of a transformer, normalised first."""

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.attention = nn.MultiheadAttention(size, heads, dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.wide = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size), nn.Dropout(dropout))

    def forward(self, x: Tensor, later: Tensor, padding: Tensor) -> Tensor:
        y = self.norm1(x)
        y, _ = self.attention(y, y, y, attn_mask=later, key_padding_mask=padding, need_weights=False)
        x = x + self.dropout(y)
        return x + self.wide(self.norm2(x))


class DT(Plain):
    """Windows are cut out of their episodes and padded one after the other."""

    def prepare(self, view: Any) -> list[Any]:
        """One (states, actions, returns-to-go) an episode."""
        episodes, offsets = [], view.offsets.numpy()
        states = np.asarray(view.scaling.states(view.observations.numpy()))
        for number, (first, last) in enumerate(pairwise(offsets)):
            s = states[first + number : last + number]
            columns = [s, view.actions.numpy()[first:last], view.returns_to_go.numpy()[first:last]]
            episodes.append([np.asarray(column, view.returns_to_go.numpy().dtype) for column in columns])
        lengths = np.diff(offsets)
        self.share = lengths / lengths.sum()
        return episodes

    def window(self, number: int, first: int) -> list[np.ndarray]:
        """States, actions, returns-to-go, times and mask of K steps, padded at the end."""
        parts = []
        for column in self.columns[number]:
            padded = np.zeros((self.c.context, *column.shape[1:]), column.dtype)
            found = column[first : first + self.c.context]
            padded[: len(found)] = found
            parts.append(padded)
        mask = (np.arange(self.c.context) < len(found)).astype(found.dtype)
        return [*parts, first + np.arange(self.c.context), mask]

    def stacked(self, windows: list[list[np.ndarray]]) -> list[Tensor]:
        return [torch.from_numpy(np.stack(part)) for part in zip(*windows, strict=True)]

    def sample(self) -> list[Tensor]:
        windows = []
        for _ in range(self.c.batch_size):
            number = np.random.choice(len(self.columns), p=self.share)
            windows.append(self.window(number, np.random.randint(len(self.columns[number][0]))))
        return self.stacked(windows)

    def build(self, observation: int, action: int) -> None:
        c = self.c
        self.embed_return, self.embed_state = nn.Linear(1, c.embedding), nn.Linear(observation, c.embedding)
        self.embed_action = nn.Linear(action, c.embedding)
        self.embed_time = nn.Embedding(c.episode_limit + c.context, c.embedding)
        self.first_norm, self.last_norm = nn.LayerNorm(c.embedding), nn.LayerNorm(c.embedding)
        self.dropout = nn.Dropout(c.dropout)
        self.blocks = nn.ModuleList([Block(c.embedding, c.heads, c.dropout) for _ in range(c.layers)])
        self.head = nn.Linear(c.embedding, action)
        self.register_buffer("later", torch.ones(3 * c.context, 3 * c.context, dtype=torch.bool).triu(1))
        self.optimiser = torch.optim.AdamW(self.parameters(), lr=c.learning_rate, weight_decay=c.weight_decay)
        warmup = lambda t: min((t + 1) / c.warmup, 1)  # noqa: E731
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, warmup)

    def forward(self, s: Tensor, a: Tensor, g: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        time = self.embed_time(t)
        tokens = [self.embed_return(g.unsqueeze(-1)), self.embed_state(s), self.embed_action(a)]
        x = torch.stack([token + time for token in tokens], 2).flatten(1, 2)  # (batch, 3 K, embedding)
        x, padding = self.dropout(self.first_norm(x)), (mask == 0).repeat_interleave(3, 1)
        for block in self.blocks:
            x = block(x, self.later, padding)
        return torch.tanh(self.head(self.last_norm(x)[:, 1::3]))

    def learn(self, s: Tensor, a: Tensor, g: Tensor, t: Tensor, mask: Tensor) -> None:
        loss = ((self(s, a, g, t, mask) - a) ** 2 * mask.unsqueeze(-1)).mean()
        self.log["actor_loss"] = loss.item()
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters(), self.c.clip)
        self.optimiser.step()
        self.schedule.step()


class IQL(Plain):
    def build(self, observation: int, action: int) -> None:
        c = self.c
        self.add_twins(observation + action, c.hidden, c.learning_rate)
        self.add_gaussian(observation, action)
        self.value = mlp(observation, c.hidden, 1)
        self.value_optimiser = adam(c.learning_rate, self.value)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.actor_optimiser, self.total)

    def learn(self, s: Tensor, a: Tensor, r: Tensor, s_next: Tensor, terminal: Tensor) -> None:
        c = self.c
        with torch.no_grad():
            target = torch.min(*values(self.target_critic, s, a))
            next_value = self.value(s_next).squeeze(1)
        advantage = target - self.value(s).squeeze(1)
        value_loss = (torch.abs(c.expectile - (advantage < 0).to(s.dtype)) * advantage**2).mean()
        self.descend("value_loss", self.value_optimiser, value_loss)

        y = r + c.discount * (1 - terminal) * next_value
        critic_loss = sum(functional.mse_loss(q, y) for q in values(self.critic, s, a)) / 2
        self.descend("critic_loss", self.critic_optimiser, critic_loss)
        polyak(self.target_critic, self.critic, c.polyak)

        weight = torch.exp(c.beta * advantage.detach()).clamp(max=iql.MAX_WEIGHT)
        log_prob = self.gaussian(torch.tanh(self.actor(s))).log_prob(a).sum(1)
        self.descend("actor_loss", self.actor_optimiser, -(weight * log_prob).mean())
        self.schedule.step()


class XQL(Plain):
    def build(self, observation: int, action: int) -> None:
        c = self.c
        self.add_twins(observation + action, c.hidden, c.learning_rate)
        self.add_gaussian(observation, action)
        self.value = mlp(observation, c.hidden, 1, "before" if c.layer_norm else "none")
        self.value_optimiser = adam(c.learning_rate, self.value)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.actor_optimiser, self.total)

    def learn(self, s: Tensor, a: Tensor, r: Tensor, s_next: Tensor, terminal: Tensor) -> None:
        c = self.c
        with torch.no_grad():
            target = torch.min(*values(self.target_critic, s, a))
        z = ((target - self.value(s).squeeze(1)) / c.temperature).clamp(max=c.largest_exponent)
        largest = z.detach().max().clamp(min=-1)
        value_loss = (torch.exp(z - largest) - z * torch.exp(-largest) - torch.exp(-largest)).mean()
        self.descend("value_loss", self.value_optimiser, value_loss)

        with torch.no_grad():
            v, y = self.value(s).squeeze(1), r + c.discount * (1 - terminal) * self.value(s_next).squeeze(1)
        weight = torch.exp(c.beta * (target - v)).clamp(max=xql.MAX_WEIGHT)
        log_prob = self.gaussian(torch.tanh(self.actor(s))).log_prob(a).sum(1)
        self.descend("actor_loss", self.actor_optimiser, -(weight * log_prob).mean())
        self.schedule.step()

        critic_loss = sum(functional.huber_loss(q, y, delta=xql.HUBER) for q in values(self.critic, s, a))
        self.descend("critic_loss", self.critic_optimiser, critic_loss)
        polyak(self.target_critic, self.critic, c.polyak)


class AWAC(Plain):
    def build(self, observation: int, action: int) -> None:
        self.add_twins(observation + action, self.c.hidden, self.c.learning_rate)
        self.add_gaussian(observation, action)

    def drawn(self, name: str, s: Tensor, like: Tensor) -> Tensor:
        policy = self.gaussian(self.actor(s))
        return (policy.loc + policy.scale * self.normal(name, like)).clamp(-1, 1)

    def learn(self, s: Tensor, a: Tensor, r: Tensor, s_next: Tensor, terminal: Tensor) -> None:
        c = self.c
        with torch.no_grad():
            q_next = torch.min(*values(self.target_critic, s_next, self.drawn("next_action", s_next, a)))
            y = r + c.discount * (1 - terminal) * q_next
        self.step_critic(s, a, y)

        with torch.no_grad():
            v = torch.min(*values(self.critic, s, self.drawn("policy_action", s, a)))
            advantage = torch.min(*values(self.critic, s, a)) - v
            weight = torch.exp(advantage / c.temperature).clamp(max=awac.MAX_WEIGHT)
        log_prob = self.gaussian(self.actor(s)).log_prob(a).sum(1)
        self.descend("actor_loss", self.actor_optimiser, -(weight * log_prob).mean())
        polyak(self.target_critic, self.critic, c.polyak)


class TD3BC(Plain):
    def build(self, observation: int, action: int) -> None:
        self.add_twins(observation + action, self.c.hidden, self.c.learning_rate)
        self.add_deterministic(observation, action)

    def learn(self, s: Tensor, a: Tensor, r: Tensor, s_next: Tensor, terminal: Tensor) -> None:
        c = self.c
        with torch.no_grad():
            q_next = torch.min(*values(self.target_critic, s_next, self.smoothed(s_next, a)))
            y = r + c.discount * (1 - terminal) * q_next
        self.step_critic(s, a, y)
        if self.count % 2 == 1:
            pi = self.actor(s)
            q = self.critic[0](torch.cat([s, pi], 1))
            actor_loss = -c.alpha / q.abs().mean().detach() * q.mean() + functional.mse_loss(pi, a)
            self.descend("actor_loss", self.actor_optimiser, actor_loss)
            polyak(self.target_critic, self.critic, c.polyak)
            polyak(self.target_actor, self.actor, c.polyak)


class ReBRAC(Plain):
    def build(self, observation: int, action: int) -> None:
        norm = "after" if self.c.layer_norm else "none"
        self.add_twins(observation + action, self.c.hidden, self.c.critic_learning_rate, norm)
        self.add_deterministic(observation, action)

    def learn(self, s: Tensor, a: Tensor, r: Tensor, s_next: Tensor, terminal: Tensor, following: Tensor) -> None:
        c = self.c
        with torch.no_grad():
            a_next = self.smoothed(s_next, a)
            penalty = ((a_next - following) ** 2).sum(1)
            q_next = torch.min(*values(self.target_critic, s_next, a_next)) - c.critic_penalty * penalty
            y = r + c.discount * (1 - terminal) * q_next
        self.step_critic(s, a, y)
        if self.count % 2 == 0:
            polyak(self.target_actor, self.actor, c.polyak)
            pi = self.actor(s)
            q = torch.min(*values(self.critic, s, pi))
            actor_loss = (c.actor_penalty * ((pi - a) ** 2).sum(1) - q / q.abs().mean().detach()).mean()
            self.descend("actor_loss", self.actor_optimiser, actor_loss)
            polyak(self.target_critic, self.critic, c.polyak)


class EnsembleLinear(nn.Module):
    """The same layer of N networks as one batched product."""

    def __init__(self, inputs: int, outputs: int, members: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class Ensemble(nn.Module):
    """N critics."""

    def __init__(self, inputs: int, hidden: tuple[int, ...], members: int) -> None:
        super().__init__()
        sizes, layers = [inputs, *hidden, 1], list[nn.Module]()
        for fan_in, fan_out in pairwise(sizes):
            layers += [EnsembleLinear(fan_in, fan_out, members), nn.ReLU()]
        self.members, self.layers = members, nn.Sequential(*layers[:-1])

    def forward(self, s: Tensor, a: Tensor) -> Tensor:
        """(N, batch) for s (batch, observation) and a of (batch, action) or (N, batch, action)."""
        s, a = s.expand(self.members, -1, -1), a.expand(self.members, -1, -1)
        return self.layers(torch.cat([s, a], -1)).squeeze(-1)


class SACN(Plain):
    """SAC-N and, where the config has a diversity, EDAC."""

    def build(self, observation: int, action: int) -> None:
        c = self.c
        self.critic = Ensemble(observation + action, c.hidden, c.critics)
        self.target_critic = copy.deepcopy(self.critic)
        self.actor = mlp(observation, c.hidden, 2 * action)
        self.log_alpha = nn.Parameter(torch.zeros(1))
        self.critic_optimiser = adam(c.learning_rate, self.critic)
        self.actor_optimiser = adam(c.learning_rate, self.actor)
        self.alpha_optimiser = adam(c.learning_rate, self.log_alpha)
        self.diversity, self.target_entropy = getattr(c, "diversity", 0.0), -action

    def drawn(self, name: str, s: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.actor(s).chunk(2, 1)
        return squashed(mean, log_std.clamp(*self.c.log_std_range), self.normal(name, like), 1e-6)

    def learn(self, s: Tensor, a: Tensor, r: Tensor, s_next: Tensor, terminal: Tensor) -> None:
        c = self.c
        with torch.no_grad():
            _, log_prob = self.drawn("alpha_action", s, a)
        alpha_loss = (-self.log_alpha * (log_prob + self.target_entropy)).mean()
        self.descend("temperature_loss", self.alpha_optimiser, alpha_loss)
        alpha = self.log_alpha.exp().detach()

        action, log_prob = self.drawn("actor_action", s, a)
        actor_loss = (alpha * log_prob - self.critic(s, action).min(0).values).mean()
        self.descend("actor_loss", self.actor_optimiser, actor_loss)

        with torch.no_grad():
            a_next, log_prob = self.drawn("next_action", s_next, a)
            q_next = self.target_critic(s_next, a_next).min(0).values - alpha * log_prob
            y = r + c.discount * (1 - terminal) * q_next
        self.descend("critic_loss", self.critic_optimiser, self.critic_loss(s, a, y))
        polyak(self.target_critic, self.critic, c.polyak)

    def critic_loss(self, s: Tensor, a: Tensor, y: Tensor) -> Tensor:
        if self.diversity == 0:
            return ((self.critic(s, a) - y) ** 2).mean(1).sum()
        members = self.c.critics
        a = a.repeat(members, 1, 1).requires_grad_(True)
        q = self.critic(s, a)
        (slope,) = torch.autograd.grad(q.sum(), a, create_graph=True)
        slope = slope / (slope.norm(dim=2, keepdim=True) + 1e-10)
        cosines = slope.transpose(0, 1) @ slope.permute(1, 2, 0)  # (batch, N, N)
        others = (1 - torch.eye(members, dtype=s.dtype)) * cosines
        similarity = others.sum((1, 2)).mean() / (members - 1)
        return ((q - y) ** 2).mean(1).sum() + self.diversity * similarity


class CQL(Plain):
    """Without a learned factor and with one action in the target.

    CORL passes each state as often through the policy as it draws actions there; here it goes through once.
    """

    def build(self, observation: int, action: int) -> None:
        c = self.c
        self.add_twins(observation + action, c.critic_hidden or c.hidden, c.learning_rate)
        self.actor = mlp(observation, c.hidden, 2 * action)
        self.log_std_scale, self.log_std_shift = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(-1.0))
        self.log_alpha = nn.Parameter(torch.zeros(1))
        affine = self.log_std_scale, self.log_std_shift
        self.actor_optimiser = adam(c.actor_learning_rate, self.actor, *affine)
        self.alpha_optimiser = adam(c.actor_learning_rate, self.log_alpha)
        self.target_entropy = -action

    def heads(self, s: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.actor(s).chunk(2, 1)
        return mean, (self.log_std_scale * log_std + self.log_std_shift).clamp(*self.c.log_std_range)

    def several(self, name: str, s: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """So many actions (batch, n, action) as ``like`` has, and their log-densities."""
        mean, log_std = self.heads(s)
        return squashed(mean.unsqueeze(1), log_std.unsqueeze(1), self.normal(name, like))

    def learn(self, s: Tensor, a: Tensor, r: Tensor, s_next: Tensor, terminal: Tensor) -> None:
        c = self.c
        action, log_prob = squashed(*self.heads(s), self.normal("action", a))
        alpha_loss = -(self.log_alpha * (log_prob + self.target_entropy).detach()).mean()
        alpha = self.log_alpha.exp().detach()
        actor_loss = (alpha * log_prob - torch.min(*values(self.critic, s, action))).mean()
        with torch.no_grad():
            a_next, _ = self.several("target_action", s_next, a.unsqueeze(1))
            y = r + c.discount * (1 - terminal) * torch.min(*values(self.target_critic, s_next, a_next[:, 0]))
        critic_loss = self.critic_loss(s, a, y, s_next)

        self.descend("temperature_loss", self.alpha_optimiser, alpha_loss)
        self.descend("actor_loss", self.actor_optimiser, actor_loss)
        self.descend("critic_loss", self.critic_optimiser, critic_loss)
        polyak(self.target_critic, self.critic, c.polyak)

    def critic_loss(self, s: Tensor, a: Tensor, y: Tensor, s_next: Tensor) -> Tensor:
        n = self.c.sampled_actions
        like = a.unsqueeze(1).expand(-1, n, -1).contiguous()
        with torch.no_grad():
            uniform = self.uniform("uniform", like)
            present, present_density = self.several("present", s, like)
            following, following_density = self.several("next", s_next, like)
        density = -a.shape[1] * math.log(2)
        repeated = s.repeat_interleave(n, 0)
        total = torch.zeros((), dtype=s.dtype)
        for network, q in zip(self.critic, values(self.critic, s, a), strict=True):
            sampled = [
                network(torch.cat([repeated, actions.flatten(0, 1)], 1)).view(-1, n)
                for actions in (uniform, following, present)
            ]
            densities = density, following_density, present_density
            shifted = [q_sampled - own for q_sampled, own in zip(sampled, densities, strict=True)]
            gap = torch.logsumexp(torch.cat(shifted, 1), 1) - q
            total = total + functional.mse_loss(q, y) + self.c.conservatism * gap.mean()
        return total


RIVALS: dict[str, type[Plain]] = {
    "awac": AWAC,
    "bc": BC,
    "cql": CQL,
    "dt": DT,
    "edac": SACN,
    "iql": IQL,
    "rebrac": ReBRAC,
    "rvs": RvS,
    "sac_n": SACN,
    "td3_bc": TD3BC,
    "xql": XQL,
}
