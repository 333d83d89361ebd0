"""Updates a second of several seeds of IQL at once, against a plain implementation of one seed, in the same run.

The rival is IQL as single-file implementations write it: one nn.Module a network, three optimisers, one seed,
``.item()`` for the log. Shapes are hopper's (11 observations, 3 actions), batch 256, hidden layers 256-256. Both are
timed in turns, several times, because machines are noisy; the ratio is that of the medians. "eager" is without a
compiler, "mixed" with the hidden layers' products in bfloat16, all else in float32.

The arithmetic limit is what the machine's own matrix products, measured in the same run at the sizes of this update,
would allow if nothing else took any time: rate (operations a second) / operations that one update of one seed needs.
"""

import argparse
import copy
import statistics
import subprocess
import sys
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
        # Five arrays and five gathers, as replay buffers have them.
        self.arrays = [part.contiguous() for part in transitions.batch(torch.arange(len(transitions)))[:5]]
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
        rows = torch.randint(len(self.arrays[0]), (BATCH,))
        s, a, r, s_next, terminal = (array[rows] for array in self.arrays)
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

    def __init__(self, transitions: Transitions, seeds: int, compiled: bool, mixed: bool = False) -> None:
        config, sizes = IQLConfig(), Sizes(OBSERVATION, ACTION)
        step, compiled = update_step(IQL, "always" if compiled else "never", torch.device("cpu"))
        size = group_size(IQL(config, sizes, [0], 1_000_000), seeds, compiled)
        parts = [list(range(first, first + size)) for first in range(0, seeds, size)]
        self.groups = [
            Group(IQL(config, sizes, part, 1_000_000, mixed_precision=mixed), transitions, step) for part in parts
        ]
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


def rival_rate() -> float:
    """Updates a second of the plain implementation, in a process without our settings of the allocator."""
    command = [sys.executable, __file__, "--plain"]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def run_plain(updates: int = 200) -> None:
    """Print the rival's rate; the body of ``rival_rate``'s process."""
    rival = Plain(data())
    for _ in range(30):
        rival.update()
    print(updates / seconds(lambda: [rival.update() for _ in range(updates)]))


def compare(seeds: int, rounds: int) -> None:
    """Time all in turns and print medians, ratios and the arithmetic limit."""
    keep_memory()
    transitions = data()
    started = time.perf_counter()
    compiled = Ours(transitions, seeds, compiled=True)
    compiled.advance(20)
    compiling = time.perf_counter() - started
    runners = {
        "offbench, eager": Ours(transitions, seeds, compiled=False),
        "offbench": compiled,
        "offbench, mixed": Ours(transitions, seeds, compiled=True, mixed=True),
    }
    runners["offbench, mixed"].advance(20)
    rates: dict[str, list[float]] = {"plain, one seed": []} | {name: [] for name in runners}
    for _ in range(rounds):
        rates["plain, one seed"].append(rival_rate())
        for name, runner in runners.items():
            updates = 10 if "eager" in name else 40
            rates[name].append(updates * seeds / seconds(lambda r=runner, u=updates: r.advance(u)))
    median = {name: statistics.median(values) for name, values in rates.items()}
    plain = median["plain, one seed"]
    print(f"IQL, {seeds} seeds, hopper shapes, batch {BATCH}, {torch.get_num_threads()} threads")
    for name, values in rates.items():
        spread = f"({min(values):.0f} to {max(values):.0f})"
        ratio = f"{median[name] / plain:.2f} times the plain"
        print(f"  {name:16} {median[name]:5.0f} seed-updates a second {spread:12} {ratio}")
    flops = sum(2 * m * k * n * count for (m, k, n), count in operations().items())
    limit = arithmetic_seconds()
    rate = f"{flops / 1e6:.0f} MFLOP at {flops / limit / 1e9:.0f} GFLOP/s"
    print(f"  float32 limit    {1 / limit:5.0f} from {rate}, {1 / limit / plain:.2f} times the plain;", end=" ")
    print(f"offbench reaches {100 * median['offbench'] * limit:.0f}% of it")
    print(f"  compiling and the first 20 updates took {compiling:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--plain", action="store_true", help="only time the plain implementation and print its rate")
    arguments = parser.parse_args()
    if arguments.plain:
        run_plain()
    else:
        compare(arguments.seeds, arguments.rounds)


if __name__ == "__main__":
    main()
