"""What a machine allows of an update: its matrix products alone, and on a GPU its launches and its bytes alone.

The products are counted as an update makes them, operation by operation, and timed at their sizes: one seed at a time
on a CPU, by the faster of the libraries that torch has for each, and all seeds in a batch on a GPU.
"""

import math
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from _hopper import ACTION, OBSERVATION, TOTAL, prepared
from torch.utils._python_dispatch import TorchDispatchMode

from offbench.algorithms import registry
from offbench.algorithms.base import Sizes
from offbench.basis.replay import Replayed
from offbench.training.group import Group

Product = tuple[int, int, int, int]  # products in a batch, rows, inner size, columns


class Products(TorchDispatchMode):
    """Counts the matrix products that are made meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[Product] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.partition(".")[0]
        if name in ("mm", "bmm"):
            self._add(args[0].shape, args[1].shape)
        elif name in ("addmm", "baddbmm"):
            self._add(args[1].shape, args[2].shape)
        elif name.startswith("_scaled_dot_product"):
            # Scores and their weighted sum; backwards scores again, and the gradient of either factor of both.
            first = 1 if "backward" in name else 0
            *many, rows, size = args[first].shape
            columns, count = args[first + 1].shape[-2], math.prod(many)
            across, back = (count, rows, size, columns), (count, rows, columns, size)
            self.found += Counter({across: 1, back: 1} if first == 0 else {across: 2, back: 3})
        return func(*args, **(kwargs or {}))

    def _add(self, one: torch.Size, other: torch.Size) -> None:
        self.found[math.prod(one[:-2]), one[-2], one[-1], other[-1]] += 1


def group(name: str, seeds: int, device: str) -> Group:
    """Freshly initialised seeds in one group, which update eagerly."""
    found, (config, view) = registry.algorithm(name), prepared(name, device)
    return Group(found(config, Sizes(OBSERVATION, ACTION), range(seeds), TOTAL, device), view, found.step)


def products(name: str) -> dict[Product, float]:
    """The products of one update of one seed, with how often it makes each, on average over its kinds of updates."""
    eager = group(name, 1, "cpu")
    period = eager.algorithm.period
    with Products() as counted:
        eager.advance(0, period)
    return {product: count / period for product, count in counted.found.items()}


def operations(found: dict[Product, float]) -> float:
    """Floating-point operations of the products."""
    return sum(2 * math.prod(product) * count for product, count in found.items())


class Alone:
    """The products of updates of ``seeds`` seeds and nothing else, timed like a contender; see `_contenders`."""

    def __init__(self, name: str, seeds: int, device: str) -> None:
        self.multiple, together = 1, seeds if device != "cpu" else 1
        self.groups = seeds // together
        period = registry.algorithm(name).period
        self.made: list[tuple[Callable[[], object], int]] = []
        for (batch, m, k, n), count in products(name).items():
            b = batch * together
            shapes = (b, m, k), (b, k, n), (b, m, n)
            one, other, out = (torch.rand(shape, device=device) for shape in shapes)
            fastest = min(ways(one, other, out), key=lambda way: _processor_seconds(way)) if device == "cpu" else None
            self.made.append((fastest or partial(torch.bmm, one, other, out=out), round(count * period)))
        self.period, self.work = period, Replayed(self._products)
        self.argument = torch.zeros(1, device=device)

    def _products(self, _: torch.Tensor) -> None:
        """Those of as many updates as there are kinds of them."""
        for made, count in self.made:
            for _ in range(count):
                made()

    def advance(self, updates: int) -> None:
        for _ in range(self.groups * max(1, updates // self.period)):
            self.work(self.argument)


def ways(one: torch.Tensor, other: torch.Tensor, out: torch.Tensor) -> list[Callable[[], object]]:
    """The products of two stacks on a CPU by either library that torch has, or their transposes; machines differ."""
    transposes = torch.empty(out.mT.shape)
    found: list[Callable[[], object]] = [
        partial(torch.bmm, one, other, out=out),
        partial(torch.bmm, other.mT, one.mT, out=transposes),
    ]
    if torch.backends.mkldnn.is_available():
        linear = torch.ops.mkldnn._linear_pointwise
        turned = [weight.t().contiguous() for weight in other]
        pairs = list(zip(one, turned, strict=True))
        found.append(lambda: [linear(x, weight, None, "none", [], "") for x, weight in pairs])
    return found


def _processor_seconds(work: Callable[[], object]) -> float:
    """The least that a few calls took of the processor."""
    times = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(10):
            work()
        times.append(time.process_time() - start)
    return min(times)


def on_gpu(name: str, seeds: int, update: Callable[[], object]) -> dict[str, float]:
    """What else bounds a recorded update of all seeds: launches and bytes, with the time that each take by themselves.

    Kernels are counted in ``update``. Every parameter and its moments are read and written once, at the rate of copying
    a gigabyte.
    """
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        update()
        torch.cuda.synchronize()
    kernels = sum(event.device_type == torch.autograd.DeviceType.CUDA for event in seen.events())
    state = group(name, seeds, "cuda").algorithm.state().values()
    moved = 2 * sum(value.nelement() * value.element_size() for value in state)
    one, other = (torch.zeros(2**28, device="cuda") for _ in range(2))
    small = torch.zeros(1, device="cuda")
    empty = Replayed(lambda argument: [small.add_(argument) for _ in range(1000)] and None)
    return {
        "launches": kernels,
        "launch_seconds": kernels * _seconds(lambda: empty(small)) / 1000,
        "bytes": moved,
        "bytes_seconds": moved * _seconds(lambda: other.copy_(one)) / (2 * one.nelement() * one.element_size()),
    }


def _seconds(work: Callable[[], object]) -> float:
    """The least of several times that work takes on the GPU."""
    times = []
    for _ in range(10):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1000)
    return min(times)
