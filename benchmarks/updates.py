"""Updates a second of several seeds of IQL at once, against a plain implementation of one seed, in the same run.

The rival is IQL as single-file implementations write it: one nn.Module a network, three optimisers, one seed,
``.item()`` for the log. Shapes are hopper's (11 observations, 3 actions), batch 256, hidden layers 256-256. Both are
timed in turns, several times, because machines are noisy; the ratio is that of the medians.

The arithmetic limit is what the machine's own matrix products, measured in the same run at the sizes of this update,
would allow if nothing else took any time: rate (operations a second) / operations that one update of one seed needs.
"""

import argparse
import copy
import statistics
import time
from itertools import pairwise

import torch
from torch import nn

from offbench.algorithms.base import Sizes
from offbench.algorithms.iql import IQL, IQLConfig
from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions
from offbench.training.compilation import group_size, keep_memory, update_step
from offbench.training.group import Group

OBSERVATION, ACTION, HIDDEN, BATCH = 11, 3, 256, 256


def data(steps: int = 100_000) -> Transitions:
    """Random transitions of hopper's shapes."""
    generator = torch.Generator().manual_seed(0)
    ends = torch.zeros(steps, dtype=torch.bool)
    ends[999::1000] = True
    return Transitions(
        Trajectories(
            observations=torch.randn(steps + steps // 1000, OBSERVATION, generator=generator).numpy(),
            offsets=torch.arange(0, steps + 1, 1000).numpy(),
            terminations=torch.zeros(steps, dtype=torch.bool).numpy(),
            truncations=ends.numpy(),
            actions=torch.randn(steps, ACTION, generator=generator).tanh().numpy(),
            rewards=torch.randn(steps, generator=generator).numpy(),
        )
    )


def mlp(inputs: int, outputs: int) -> nn.Module:
    """Two hidden layers."""
    layers = [nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs)]
    return nn.Sequential(*layers)


class Plain:
    """One seed of IQL, one module a network."""

    def __init__(self, transitions: Transitions) -> None:
        self.data = transitions
        self.q1, self.q2 = mlp(OBSERVATION + ACTION, 1), mlp(OBSERVATION + ACTION, 1)
        self.targets = copy.deepcopy(self.q1), copy.deepcopy(self.q2)
        self.value, self.actor = mlp(OBSERVATION, 1), mlp(OBSERVATION, ACTION)
        self.log_std = nn.Parameter(torch.zeros(ACTION))
        self.q_optimiser = torch.optim.Adam([*self.q1.parameters(), *self.q2.parameters()], lr=3e-4)
        self.value_optimiser = torch.optim.Adam(self.value.parameters(), lr=3e-4)
        self.actor_optimiser = torch.optim.Adam([*self.actor.parameters(), self.log_std], lr=3e-4)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.actor_optimiser, 1_000_000)
        self.log: dict[str, float] = {}

    def update(self) -> None:
        """Sample and make one gradient step."""
        s, a, r, s_next, terminal = self.data.batch(torch.randint(len(self.data), (BATCH,)))
        with torch.no_grad():
            sa = torch.cat([s, a], 1)
            target = torch.min(self.targets[0](sa), self.targets[1](sa)).squeeze(1)
            next_value = self.value(s_next).squeeze(1)
        advantage = target - self.value(s).squeeze(1)
        value_loss = (torch.abs(0.7 - (advantage < 0).float()) * advantage**2).mean()
        self.log["value_loss"] = value_loss.item()
        self._step(self.value_optimiser, value_loss)

        y = r + 0.99 * (1 - terminal) * next_value
        sa = torch.cat([s, a], 1)
        critic_loss = sum(nn.functional.mse_loss(q(sa).squeeze(1), y) for q in (self.q1, self.q2)) / 2
        self.log["critic_loss"] = critic_loss.item()
        self._step(self.q_optimiser, critic_loss)
        for target_network, network in zip(self.targets, (self.q1, self.q2), strict=True):
            for old, new in zip(target_network.parameters(), network.parameters(), strict=True):
                old.data.copy_(0.995 * old.data + 0.005 * new.data)

        weight = torch.exp(3.0 * advantage.detach()).clamp(max=100.0)
        policy = torch.distributions.Normal(torch.tanh(self.actor(s)), self.log_std.clamp(-20, 2).exp())
        actor_loss = (weight * -policy.log_prob(a).sum(1)).mean()
        self.log["actor_loss"] = actor_loss.item()
        self._step(self.actor_optimiser, actor_loss)
        self.schedule.step()

    @staticmethod
    def _step(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


class Ours:
    """``seeds`` seeds, grouped and compiled as training does it."""

    def __init__(self, transitions: Transitions, seeds: int, compiled: bool) -> None:
        config, sizes = IQLConfig(), Sizes(OBSERVATION, ACTION)
        step, compiled = update_step(IQL, "always" if compiled else "never", torch.device("cpu"))
        size = group_size(IQL(config, sizes, [0], 1_000_000), seeds, compiled)
        parts = [list(range(first, first + size)) for first in range(0, seeds, size)]
        self.groups = [Group(IQL(config, sizes, part, 1_000_000), transitions, step) for part in parts]
        self.done = 0

    def advance(self, updates: int) -> None:
        """``updates`` updates of every seed."""
        for group in self.groups:
            group.advance(self.done, self.done + updates)
        self.done += updates


def seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def operations() -> dict[tuple[int, int, int], int]:
    """(rows, inner, columns) of every matrix product of one update of one seed, with how often it is made."""
    counts: dict[tuple[int, int, int], int] = {}

    def network(inputs: int, outputs: int, backward: bool) -> None:
        sizes = [inputs, HIDDEN, HIDDEN, outputs]
        for layer, (m, n) in enumerate(pairwise(sizes)):
            products = [(BATCH, m, n)]
            if backward:
                products.append((m, BATCH, n))  # the weight's gradient
                if layer > 0:
                    products.append((BATCH, n, m))  # the input's gradient
            for product in products:
                counts[product] = counts.get(product, 0) + 1

    for _ in range(2):
        network(OBSERVATION + ACTION, 1, backward=True)  # Q
        network(OBSERVATION + ACTION, 1, backward=False)  # target Q
    network(OBSERVATION, 1, backward=True)  # V(s)
    network(OBSERVATION, 1, backward=False)  # V(s')
    network(OBSERVATION, ACTION, backward=True)  # policy
    return counts


def arithmetic_seconds(repeats: int = 100) -> float:
    """Seconds that the matrix products of one update take when nothing else is done."""
    total = 0.0
    for (m, k, n), count in operations().items():
        a, b, out = torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)
        products = lambda a=a, b=b, out=out: [torch.mm(a, b, out=out) for _ in range(repeats)]  # noqa: E731
        times = [seconds(products) / repeats for _ in range(5)]
        total += count * min(times)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    keep_memory()
    transitions = data()
    rival, eager = Plain(transitions), Ours(transitions, arguments.seeds, compiled=False)
    started = time.perf_counter()
    ours = Ours(transitions, arguments.seeds, compiled=True)
    ours.advance(20)
    compiling = time.perf_counter() - started
    plain_updates, our_updates = 150, 40
    rates: dict[str, list[float]] = {"plain": [], "eager": [], "compiled": []}
    for _ in range(arguments.rounds):
        rates["plain"].append(plain_updates / seconds(lambda: [rival.update() for _ in range(plain_updates)]))
        rates["eager"].append(10 * arguments.seeds / seconds(lambda: eager.advance(10)))
        rates["compiled"].append(our_updates * arguments.seeds / seconds(lambda: ours.advance(our_updates)))
    median = {name: statistics.median(values) for name, values in rates.items()}
    flops = sum(2 * m * k * n * count for (m, k, n), count in operations().items())
    limit = arithmetic_seconds()
    print(f"IQL, {arguments.seeds} seeds, hopper shapes, batch {BATCH}, {torch.get_num_threads()} threads, float32")
    for name, label in (("plain", "plain, one seed"), ("eager", "offbench, eager"), ("compiled", "offbench, compiled")):
        spread = f"{min(rates[name]):.0f} to {max(rates[name]):.0f}"
        ratio = median[name] / median["plain"]
        print(f"  {label:20} {median[name]:6.0f} seed-updates a second ({spread}), {ratio:.2f} times the plain one")
    print(
        f"  arithmetic limit     {1 / limit:6.0f} ({flops / 1e6:.0f} MFLOP at {flops / limit / 1e9:.0f} GFLOP/s),",
        end="",
    )
    print(f" {1 / limit / median['plain']:.2f} times the plain one; reached {100 * median['compiled'] * limit:.0f}%")
    print(f"  compiling and the first 20 updates took {compiling:.0f} s")


if __name__ == "__main__":
    main()
