"""Those whose updates are timed, each in a process of its own that waits until it is asked for a rate.

So no setting of one helps another, and their rounds can be taken in turns. On a CPU each has one thread on one core,
and its rate is that by processor time, which other work on the machine changes little; on a GPU it is by the clock.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

SECONDS = 1.5  # that one measurement takes, or longer where its shortest piece does
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}


class Contender:
    """One way of making updates, at several numbers of seeds."""

    def __init__(self, kind: str, algorithm: str, seeds: list[int], device: str, seconds: float, cache: str) -> None:
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
        if device == "cpu":
            environment |= ONE_THREAD | {"JAX_PLATFORMS": "cpu"}
        settings = {"kind": kind, "algorithm": algorithm, "seeds": seeds, "device": device, "seconds": seconds}
        command = [sys.executable, __file__, json.dumps(settings)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.kind, self.seeds = kind, seeds
        self.told: dict[str, Any] = self._answer()  # once all are compiled

    def rate(self, seeds: int) -> float:
        """Updates of single seeds a second."""
        assert self.process.stdin is not None
        print(seeds, file=self.process.stdin, flush=True)
        return float(self._answer()["rate"])

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the process of {self.kind} ended with exit code {self.process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        self.process.communicate()  # closes its input, at which it ends


class Ours:
    """``seeds`` seeds, grouped, compiled and replayed as training does it."""

    def __init__(self, name: str, seeds: int, device: str, compiled: bool = True, precision: str = "float32") -> None:
        from _hopper import ACTION, OBSERVATION, TOTAL, prepared

        from offbench.algorithms import registry
        from offbench.algorithms.base import Sizes
        from offbench.basis.compiler import keep_memory
        from offbench.training.compilation import update_step
        from offbench.training.execution import Cost, group_size, state_bytes
        from offbench.training.group import Group

        keep_memory()
        found, (config, view), sizes = registry.algorithm(name), prepared(name, device), Sizes(OBSERVATION, ACTION)
        step, self.done, self.multiple = update_step(found, compiled), 0, found.period
        cost = Cost(0.0, state_bytes(found(config, sizes, [0], TOTAL)), TOTAL)
        self.together = group_size(cost, seeds, compiled, device, workers=1)
        self.groups = [
            Group(
                found(config, sizes, range(first, first + self.together), TOTAL, device, mixed_precision=mixed),
                view,
                step,
                replay=compiled,
                coarse=precision == "tf32",
            )
            for mixed in [precision == "mixed"]
            for first in range(0, seeds, self.together)
        ]

    def advance(self, updates: int) -> None:
        """So many of every seed, in blocks as training makes them: a group after the other."""
        for group in self.groups:
            group.advance(self.done, self.done + updates)
        self.done += updates


class Loop:
    """A rival of one seed, update after update."""

    multiple = 2  # for methods of two kinds of updates

    def __init__(self, kind: str, name: str, device: str) -> None:
        import torch
        from _corl import STYLED
        from _hopper import TOTAL, prepared
        from _plain import RIVALS

        with torch.device(device):
            self.rival = (STYLED if kind == "corl" else RIVALS)[name](*prepared(name, device), TOTAL)

    def advance(self, updates: int) -> None:
        for _ in range(updates):
            self.rival.update()


def made(kind: str, name: str, seeds: int, device: str) -> Any:
    """The contender of that kind, which has ``advance(updates)`` and ``multiple``, what ``updates`` is one of."""
    if kind in ("plain", "corl"):
        return Loop(kind, name, device)
    if kind == "jax":
        from _hopper import TOTAL, prepared
        from _jax import Jitted

        return Jitted(*prepared(name), seeds, TOTAL)
    if kind == "products":
        from _limits import Alone

        return Alone(name, seeds, device)
    precision = {"offbench mixed": "mixed", "offbench tf32": "tf32"}.get(kind, "float32")
    return Ours(name, seeds, device, compiled=kind != "offbench eager", precision=precision)


def clock(device: str) -> Callable[[], float]:
    """Seconds of the processor, or of the clock once a GPU has done what it was given."""
    if device == "cpu":
        return time.process_time

    def synchronised() -> float:
        import torch

        torch.cuda.synchronize()
        return time.perf_counter()

    return synchronised


def limit_threads(device: str) -> None:
    """One thread on one core."""
    if device != "cpu":
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    import torch

    torch.set_num_threads(1)


def main(settings: dict[str, Any]) -> None:
    """Be the process of a `Contender`: tell once that all is compiled, then a rate for each line of input."""
    kind, name, device = settings["kind"], settings["algorithm"], settings["device"]
    limit_threads(device)
    now = clock(device)
    runners, updates = {}, {}
    told: dict[str, Any] = {"first_seconds": None, "together": {}}
    for seeds in settings["seeds"]:
        start = time.perf_counter()
        runner = runners[seeds] = made(kind, name, seeds, device)
        runner.advance(runner.multiple)
        told["first_seconds"] = told["first_seconds"] or time.perf_counter() - start
        told["together"][seeds] = getattr(runner, "together", 1)
        for _ in range(4):  # a GPU records after three of them
            runner.advance(runner.multiple)
        start = now()
        runner.advance(runner.multiple)
        pieces = max(1, round(settings["seconds"] / max(now() - start, 1e-6)))
        updates[seeds] = runner.multiple * pieces
    if device != "cpu" and kind == "offbench":
        from _limits import on_gpu

        told["gpu"] = {seeds: on_gpu(name, seeds, lambda r=r: r.advance(1)) for seeds, r in runners.items()}
    print(json.dumps(told), flush=True)
    for line in sys.stdin:
        seeds = int(line)
        start = now()
        runners[seeds].advance(updates[seeds])
        print(json.dumps({"rate": seeds * updates[seeds] / (now() - start)}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
