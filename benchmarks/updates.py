"""Updates a second of several seeds at once, method by method, against a plain implementation of one seed.

The rivals are the methods as single-file implementations write them (_plain.py): one nn.Module a network, an optimiser
after the other, one seed, ``.item()`` for the log. Both have the same default configuration and are timed in turns,
several times, because machines are noisy; the ratio is that of the medians, and the range is that of the rounds. A
rival has a process of its own, so that our settings of the allocator do not help it. Shapes are hopper's (11
observations, 3 actions).

IQL is looked at more closely: "eager" is without a compiler, "mixed" with the hidden layers' products in bfloat16, all
else in float32. The arithmetic limit is what the machine's own matrix products, measured in the same run at the sizes
of this update, would allow if nothing else took any time: rate (operations a second) / operations that one update of
one seed needs.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from _plain import RIVALS, Plain

from offbench.algorithms import registry
from offbench.algorithms.base import Sizes, View
from offbench.algorithms.iql import IQLConfig
from offbench.basis.compiler import keep_memory
from offbench.data.trajectories import Trajectories
from offbench.training.compilation import update_step
from offbench.training.execution import Cost, group_size, state_bytes
from offbench.training.group import Group
from offbench.training.views import completed, make_view

OBSERVATION, ACTION, TOTAL = 11, 3, 1_000_000
SECONDS = 1.5  # that one measurement takes, or longer where two updates do
HIDDEN, BATCH = IQLConfig().hidden[0], IQLConfig().batch_size


def data(steps: int = 100_000) -> Trajectories:
    """Random episodes of hopper's shapes."""
    generator = torch.Generator().manual_seed(0)
    ends = torch.zeros(steps, dtype=torch.bool)
    ends[999::1000] = True
    return Trajectories(
        observations=torch.randn(steps + steps // 1000, OBSERVATION, generator=generator).numpy(),
        offsets=torch.arange(0, steps + 1, 1000).numpy(),
        terminations=torch.zeros(steps, dtype=torch.bool).numpy(),
        truncations=ends.numpy(),
        actions=torch.randn(steps, ACTION, generator=generator).tanh().numpy(),
        rewards=torch.randn(steps, generator=generator).numpy(),
    )


def prepared(name: str) -> tuple[Any, View]:
    """The method's default configuration and the data as it sees them."""
    found, trajectories = registry.algorithm(name), data()
    config = completed(found.Config(), trajectories, None)
    return config, make_view(found, config, trajectories)


class Ours:
    """``seeds`` seeds, grouped and compiled as training does it."""

    def __init__(self, name: str, seeds: int, compiled: bool, mixed: bool = False) -> None:
        found, (config, view), sizes = registry.algorithm(name), prepared(name), Sizes(OBSERVATION, ACTION)
        step = update_step(found, compiled)
        self.config, self.seeds, self.done, self.period = config, seeds, 0, found.period
        self.together = group_size(
            Cost(0.0, state_bytes(found(config, sizes, [0], TOTAL)), TOTAL), seeds, compiled, "cpu", workers=1
        )
        parts = [list(range(first, first + self.together)) for first in range(0, seeds, self.together)]
        self.groups = [Group(found(config, sizes, part, TOTAL, mixed_precision=mixed), view, step) for part in parts]
        self.first = seconds(lambda: self.advance(2))
        again = seconds(lambda: self.advance(2))
        # Even, for methods of two kinds of updates; at most as many as training makes of one group before the next.
        self.updates = 2 * max(1, min(50, round(SECONDS / again)))

    def advance(self, updates: int) -> None:
        """``updates`` updates of every seed."""
        for group in self.groups:
            group.advance(self.done, self.done + updates)
        self.done += updates

    def rate(self) -> float:
        """Updates of single seeds a second."""
        return self.updates * self.seeds / seconds(lambda: self.advance(self.updates))


class Rival:
    """The plain implementation in another process, which waits until it is asked for its rate."""

    def __init__(self, name: str) -> None:
        command = [sys.executable, __file__, "--plain", name]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.rate()  # the first updates are slower

    def rate(self) -> float:
        """Updates a second."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print("rate", file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def __enter__(self) -> "Rival":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()  # closes its input, at which it ends


def run_plain(name: str) -> None:
    """Print a rate for each line of input; the body of a `Rival`'s process."""
    rival: Plain = RIVALS[name](*prepared(name), TOTAL)
    for _ in sys.stdin:
        start, updates = time.perf_counter(), 0
        while time.perf_counter() < start + SECONDS or updates % 2:
            rival.update()
            updates += 1
        print(updates / (time.perf_counter() - start), flush=True)


def seconds(work: Callable[[], object]) -> float:
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


def compare_iql(seeds: int, rounds: int) -> None:
    """Time IQL in several ways and print medians, ratios and the arithmetic limit."""
    with Rival("iql") as rival:
        runners = {
            "offbench, eager": Ours("iql", seeds, compiled=False),
            "offbench": Ours("iql", seeds, compiled=True),
            "offbench, mixed": Ours("iql", seeds, compiled=True, mixed=True),
        }
        rates: dict[str, list[float]] = {"plain, one seed": []} | {name: [] for name in runners}
        for _ in range(rounds):
            rates["plain, one seed"].append(rival.rate())
            for name, runner in runners.items():
                rates[name].append(runner.rate())
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


def compare(names: list[str], seeds: int, rounds: int) -> None:
    """Print a line for each method: rates, ratio of their medians, and the lowest and highest ratio of a round."""
    print(f"\n{seeds} seeds in default configurations, hopper shapes, {torch.get_num_threads()} threads;")
    print("updates of one seed a second; seeds that are updated together; seconds to compile and make two updates")
    columns = f"{'plain':>8} {'offbench':>8} {'ratio':>6} {'range':>12} {'together':>8} {'compiling':>9}"
    print(f"{'method':8} {'batch':>5} {'networks':22} {columns}")
    for name in names:
        torch.compiler.reset()  # as in a process that trains this method alone
        with Rival(name) as rival:
            ours = Ours(name, seeds, compiled=True)
            pairs = [(rival.rate(), ours.rate()) for _ in range(rounds)]
        plain, own = (statistics.median(rates) for rates in zip(*pairs, strict=True))
        ratios = [b / a for a, b in pairs]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        figures = f"{plain:8.1f} {own:8.1f} {own / plain:6.2f} {spread:>12} {ours.together:8} {ours.first:9.0f}"
        print(f"{name:8} {ours.config.batch_size:5} {networks(ours.config):22} {figures}", flush=True)


def networks(config: Any) -> str:
    """Sizes of the hidden layers, with the number of critics where a method lets one choose it."""
    if hasattr(config, "embedding"):
        return f"{config.layers} blocks, {config.context} x {config.embedding}"
    critics = f", {config.critics} critics" if hasattr(config, "critics") else ""
    return "-".join(map(str, config.hidden)) + critics


@contextmanager
def nothing_compiled() -> Iterator[None]:
    """Compile as if for the first time, whatever was compiled before."""
    torch.compiler.reset()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--algorithms", nargs="+", choices=RIVALS, help="only these, and no closer look at IQL")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3, help="of the table; the closer look at IQL has 2 rounds + 1")
    parser.add_argument("--plain", choices=RIVALS, help="be the rival: print a rate for each line of input")
    arguments = parser.parse_args()
    if arguments.plain:
        return run_plain(arguments.plain)
    keep_memory()
    if not arguments.algorithms:
        with nothing_compiled():
            compare_iql(arguments.seeds, 2 * arguments.rounds + 1)
    with nothing_compiled():
        compare(arguments.algorithms or sorted(RIVALS), arguments.seeds, arguments.rounds)


if __name__ == "__main__":
    main()
