"""Fitting a dynamics ensemble, and an epoch of RAVL in it, against OfflineRL-Kit's manner of doing both.

The rival (_plain_dynamics.py, and _plain.py's EDAC for the updates) has one seed in one process, whose products use
all cores; its branches go through NumPy. Ours are as training has them: a process a core with one thread each, some
seeds in each. Both are timed in turns, several times; the ratio is of the medians of seeds a second, the range that of
the rounds. The epoch is 50,000 branches of 5 steps and 1,000 updates, shapes are halfcheetah's (17 observations, 6
actions), the networks those of the default configurations.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

OBSERVATION, ACTION, ROWS = 17, 6, 100_000
PARTS = ("fit", "epoch")


def columns() -> dict[str, Any]:
    """Random transitions, float32."""
    rng = np.random.default_rng(0)
    return {
        "observations": rng.normal(size=(ROWS, OBSERVATION)).astype(np.float32),
        "actions": np.tanh(rng.normal(size=(ROWS, ACTION))).astype(np.float32),
        "rewards": rng.normal(size=ROWS).astype(np.float32),
    }


def view() -> Any:
    """The same as a learner sees it: a hundred episodes that are cut off."""
    from offbench.data.trajectories import Trajectories
    from offbench.data.transitions import Transitions

    c, length = columns(), 1000
    firsts = c["observations"].reshape(-1, length, OBSERVATION)
    ends = np.zeros(ROWS, dtype=bool)
    ends[length - 1 :: length] = True
    observations = np.concatenate([firsts, firsts[:, :1]], 1).reshape(-1, OBSERVATION)
    offsets = np.arange(0, ROWS + 1, length)
    return Transitions(Trajectories(observations, offsets, np.zeros(ROWS, bool), ends, c["actions"], c["rewards"]))


def ours(seeds: list[int], updates: int) -> dict[str, Callable[[], object]]:
    """What is timed, of several seeds, after everything was compiled."""
    from dataclasses import replace

    from offbench.algorithms.base import Sizes
    from offbench.algorithms.ravl import RAVL, RAVLConfig
    from offbench.basis.compiler import compiler, keep_memory
    from offbench.dynamics.fitting import DynamicsConfig, fit
    from offbench.training.compilation import update_step
    from offbench.training.group import Group

    keep_memory()
    data = view()
    config = replace(DynamicsConfig(), most_epochs=1)
    algorithm = RAVL(RAVLConfig(termination="HalfCheetah"), Sizes(OBSERVATION, ACTION), seeds, 1_000_000)
    group = Group(algorithm, data, update_step(RAVL, compiled=compiler() is not None))
    group.advance(0, 2)
    done = [1000]

    def epoch() -> None:
        group.advance(done[0], done[0] + updates)
        done[0] += 1000

    def one_epoch() -> object:
        """Of a fit that is compiled, as one of this size is when it goes to its end."""
        return fit(data, config, seeds, compile="auto" if compiler() is None else "always")

    one_epoch()
    return {"fit": one_epoch, "epoch": epoch}


def rival(updates: int) -> dict[str, Callable[[], object]]:
    """The same work of one seed."""
    import torch
    from _plain import RIVALS
    from _plain_dynamics import PlainEnsemble

    from offbench.algorithms.edac import EDACConfig
    from offbench.algorithms.ravl import RAVLConfig
    from offbench.dynamics.fitting import DynamicsConfig

    c, config, dynamics = columns(), RAVLConfig(), DynamicsConfig()
    ensemble = PlainEnsemble(OBSERVATION, ACTION, dynamics)
    inputs = np.concatenate([c["observations"], c["actions"]], 1)
    targets = np.concatenate([np.roll(c["observations"], -1, 0) - c["observations"], c["rewards"][:, None]], 1)
    agent = RIVALS["edac"](
        EDACConfig(
            critics=config.critics, diversity=config.diversity, hidden=config.hidden, batch_size=config.batch_size
        ),
        view(),
    )
    rng, count = np.random.default_rng(0), config.rollout_count
    ring = [torch.zeros(count * config.rollout_length * config.rollouts_kept, width) for width in (17, 6, 1, 17, 1)]
    filled, real = [0], int(config.batch_size * config.real_ratio)

    def sample() -> list[Any]:
        imagined = torch.randint(filled[0], (config.batch_size - real,))
        own = agent.rows(torch.randint(ROWS, (real,)))
        synthetic = [part[imagined] for part in ring]
        synthetic = [part.squeeze(1) if part.shape[1] == 1 else part for part in synthetic]
        return [torch.cat(pair) for pair in zip(own[:5], synthetic, strict=True)]

    agent.sample = sample

    def epoch() -> None:
        states = c["observations"][rng.integers(ROWS, size=count)]
        for step in range(config.rollout_length):
            with torch.no_grad():
                s = torch.as_tensor(states)
                actions = agent.drawn("actor_action", s, torch.zeros(count, ACTION))[0].numpy()
            following, rewards = ensemble.step(states, actions, rng)
            place = slice(step * count, (step + 1) * count)
            new = (states, actions, rewards[:, None], following, np.zeros((count, 1), np.float32))
            for part, rows in zip(ring, new, strict=True):
                part[place] = torch.as_tensor(rows)
            states = following
        filled[0] = max(filled[0], config.rollout_length * count)
        for _ in range(updates):
            agent.update()

    steps = (ROWS - 1000) // dynamics.batch_size + 1
    return {"fit": lambda: ensemble.fit(inputs, targets, steps), "epoch": epoch}


class Process:
    """One that does what it is asked for and prints the seconds; its imports and compilation are not timed."""

    def __init__(self, threads: int, *arguments: str) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        command = [sys.executable, __file__, "--be", *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.hear()

    def ask(self, part: str) -> None:
        """Begin with ``part``."""
        assert self.process.stdin is not None
        print(part, file=self.process.stdin, flush=True)

    def hear(self) -> dict[str, float]:
        """Seconds and megabytes, once it is done."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a process of the benchmark ended; see its message above")
        answer: dict[str, float] = json.loads(line)
        return answer


def serve(work: dict[str, Callable[[], object]]) -> None:
    """Do what each line of the input names; the body of a `Process`."""
    print(json.dumps({"ready": 1}), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        work[line.strip()]()
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": time.perf_counter() - start, "megabytes": used}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="of each of our processes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=1000, help="of the epoch")
    parser.add_argument("--be", nargs="+", help="be a process: ours FIRST LAST, or rival")
    arguments = parser.parse_args()
    if arguments.be and arguments.be[0] == "rival":
        return serve(rival(arguments.updates))
    if arguments.be:
        return serve(ours(list(range(*map(int, arguments.be[1:]))), arguments.updates))

    from offbench.basis.cores import usable_cores

    cores, seeds = usable_cores(), arguments.seeds
    updates = ["--updates", str(arguments.updates)]
    own = [Process(1, "ours", str(core * seeds), str((core + 1) * seeds), *updates) for core in range(cores)]
    other = Process(cores, "rival", *updates)
    print(f"{cores} cores: ours {cores} processes of {seeds} seeds, one thread each; rival one seed, {cores} threads")
    print(f"{ROWS:,} transitions, one epoch of fitting; an epoch of RAVL with {arguments.updates:,} updates")
    for part in PARTS:
        pairs, memory = [], []
        for _ in range(arguments.rounds):
            other.ask(part)
            theirs = other.hear()
            for process in own:
                process.ask(part)
            answers = [process.hear() for process in own]
            pairs.append((theirs["seconds"], max(answer["seconds"] for answer in answers) / (cores * seeds)))
            memory.append((theirs["megabytes"], sum(answer["megabytes"] for answer in answers)))
        plain, ours_ = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratios = [one / two for one, two in pairs]
        print(
            f"{part:6} seconds a seed: rival {plain:.1f}, offbench {ours_:.1f}, ratio {plain / ours_:.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}); memory: rival {memory[-1][0]:,.0f} MB, offbench "
            f"{memory[-1][1]:,.0f} MB ({memory[-1][1] / (cores * seeds):,.0f} a seed)",
            flush=True,
        )
    for process in [*own, other]:
        process.process.communicate()


if __name__ == "__main__":
    main()
