"""The checks of an `Algorithm`: each builds it on a toy problem and says in one sentence what it does wrong.

The order is that of ``CHECKS``; one whose ``needs`` failed is left out, for it would fail for the same reason.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import safetensors.torch
import torch

from offbench.algorithms.base import Algorithm
from offbench.basis.compiler import compiler
from offbench.conformance import generators
from offbench.conformance.bootstrapping import terminations, truncations
from offbench.conformance.check import BrokenError, Check, NotCheckedError, require
from offbench.conformance.device import device
from offbench.conformance.subject import Subject, coming_batch, difference, seed_of
from offbench.conformance.toys import ACTION, OBSERVATION, best_actions, toy
from offbench.errors import OffbenchError
from offbench.training.compilation import Step, update_step
from offbench.training.export import TOLERANCE, largest_difference, need_libraries, to_onnx
from offbench.training.group import BLOCK


def shapes(subject: Subject) -> None:
    """Metrics have a number a seed, actions a row an observation, and the state leads with the seed axis."""
    g = subject.group([0, 1, 2])
    algorithm, given = g.algorithm, set[str]()
    for phase in range(algorithm.period):
        algorithm.phase = phase
        values = algorithm.update(coming_batch(g))
        given |= set(values)
        for name, value in values.items():
            require(
                tuple(value.shape) == (3,),
                f"update gives the metric {name} in the shape {tuple(value.shape)} for three seeds; (3,) would be "
                "right: average over everything but the seed axis",
            )
            require(not value.requires_grad, f"the metric {name} carries a gradient; detach it")
            require(
                bool(value.isfinite().all()), f"update gives the metric {name} as {told(value)}, not a finite number"
            )
        algorithm.count.add_(1)
    missing = [name for name in algorithm.metrics if name not in given]
    require(not missing, f"metrics names {missing}, which update never gives; it gives {sorted(given)}")
    _check_actions(algorithm)
    for name, value in algorithm.state().items():
        require(
            value.dim() == 0 or len(value) == 3,
            f"state() holds {name} in the shape {tuple(value.shape)} for three seeds; its first axis must be the seeds",
        )
        require(not value.requires_grad, f"state() holds {name} with a gradient; detach it")
        require(bool(value.isfinite().all()), f"state() holds {told(value)} in {name} after {algorithm.period} updates")


def _check_actions(algorithm: Algorithm) -> None:
    observations = torch.randn(3, 7, OBSERVATION, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    before = {name: value.clone() for name, value in algorithm.state().items()}
    with torch.no_grad():
        actions, again = algorithm.act(observations), algorithm.act(observations)
        parts = torch.cat([algorithm.act(observations[:, i : i + 1]) for i in range(7)], 1)
    require(
        tuple(actions.shape) == (3, 7, ACTION),
        f"act gives actions of the shape {tuple(actions.shape)} for 3 seeds, 7 observations and {ACTION} action "
        f"dimensions; (3, 7, {ACTION}) would be right",
    )
    require(
        bool(actions.isfinite().all()),
        f"act gives {told(actions)} for {int((~actions.isfinite()).any(-1).sum())} of 21 ordinary observations",
    )
    require(torch.equal(actions, again), "act gives different actions for the same observations; it must not sample")
    require(difference(before, algorithm.state()) == 0, "act changes the state; only update may")
    far = float((actions - parts).abs().max())
    require(
        far < 1e-8,
        f"the action for an observation differs by {far:.2g} when others are asked for with it; act must treat each "
        "observation by itself",
    )


def told(value: torch.Tensor) -> str:
    """What is not finite in a tensor, in a word."""
    return "NaN" if bool(value.isnan().any()) else "infinity"


def determinism(subject: Subject) -> None:
    """A seed decides a run: no clock, no generator; and another seed makes another run."""
    states, drew = [], False
    for trial in (1, 2):
        with generators.seeded(trial):
            made = subject.group([3])
            before = generators.states()
            made.advance(0, 10)
            drew |= generators.states() != before
        states.append(made.algorithm.state())
    equal = difference(*states) == 0
    require(
        equal or not drew,
        "update draws from a global generator, so that a run is not decided by its seed; ask for random numbers in "
        "noise() and take them from batch.noise",
    )
    require(
        equal,
        "two runs with the same seed differ; an update must be a function of state and batch alone: no clock, no "
        "generator, no memory that was never set",
    )
    require(
        difference(subject.group([3]).algorithm.state(), subject.group([4]).algorithm.state()) > 0,
        "two seeds begin with the same parameters; draw them for each of the seeds (MLP.initialise does)",
    )


def grouping(subject: Subject) -> None:
    """A seed trains alike alone and within a group."""
    alone, together = subject.group([3]), subject.group([0, 1, 2, 3, 4])
    own, grouped = alone.algorithm.state(), seed_of(together.algorithm.state(), 3)
    # Whole episodes that were played in fitted models differ by the rounding of products of other sizes.
    played = {name for name in own if name.startswith("imagination/")}
    far, further = (
        difference({name: own[name] for name in names}, {name: grouped[name] for name in names})
        for names in (own.keys() - played, played)
    )
    require(
        far == 0 and further < 1e-8,
        "seed 3 begins with other parameters in a group of five than alone; draw them from the seed",
    )
    alone.advance(0, 30)
    together.advance(0, 30)
    far = difference(alone.algorithm.state(), seed_of(together.algorithm.state(), 3))
    require(
        far < 1e-8,
        f"seed 3 alone and in a group of five differ by {far:.2g} after 30 updates; nothing may be averaged, "
        "normalised or clipped over the seed axis",
    )


def saving(subject: Subject) -> None:
    """The state survives a file, and a policy acts from it as before."""
    trained, fresh = subject.trained([0, 1], 20).algorithm, subject.trained([0, 1], 3).algorithm
    content = safetensors.torch.save({name: value.contiguous() for name, value in trained.state().items()})
    fresh.restore(safetensors.torch.load(content))
    require(difference(trained.state(), fresh.state()) == 0, "state() after restore() is not what was restored")
    observations = torch.randn(2, 7, OBSERVATION, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        far = float((trained.act(observations) - fresh.act(observations)).abs().max())
    require(
        far == 0,
        f"actions differ by {far:.2g} once the state was saved and restored; act uses something that state() lacks",
    )


def resuming(subject: Subject) -> None:
    """An interrupted run goes on exactly, from one block of indices into the next."""
    stop, end = BLOCK - 7, BLOCK + 8
    whole, second = subject.trained([0, 1], stop), subject.group([0, 1])
    second.algorithm.restore({name: value.clone() for name, value in whole.algorithm.state().items()})
    whole.advance(stop, end)
    second.advance(stop, end)
    far = difference(whole.algorithm.state(), second.algorithm.state())
    require(
        far == 0,
        f"a run that was interrupted and restored differs by {far:.2g} from one that was not; updates depend on "
        "something that state() lacks (register networks with add(), or extend state() and keep its tensors in place)",
    )


def extremes(subject: Subject) -> None:
    """States and rewards in the thousands leave parameters and metrics finite."""
    g = subject.trained([0], 50, data=toy(scale=1e3), dtype=torch.float32, normalise_states=False)
    for name, value in g.algorithm.state().items():
        require(
            bool(value.isfinite().all()),
            f"{name} is not finite after 50 updates on states and rewards in the thousands; bound exponents and logs",
        )
    require(bool(g.totals.isfinite().all()), "metrics are not finite on states and rewards in the thousands")


def learning(subject: Subject) -> None:
    """It finds the best actions of the toy problem, to within half of what doing nothing misses them by."""
    rates: dict[str, Any] = {name: 3e-3 for name in subject.fields if name.endswith("learning_rate")}
    g = subject.group([0, 1], toy(60, 5), torch.float32, batch_size=64, **rates)
    observations = np.random.default_rng(1).normal(size=(500, OBSERVATION)).astype(np.float32)
    best = best_actions(observations)
    states = torch.from_numpy(np.asarray(g.data.scaling.states(observations))).expand(2, -1, -1)
    missed: list[float] = []
    for updates in range(0, subject.steps, 100):
        g.advance(updates, min(updates + 100, subject.steps))
        with torch.no_grad():
            error = np.abs(g.data.scaling.to_environment(g.algorithm.act(states).numpy()) - best)
        missed.append(float(error.mean() / np.abs(best).mean()))
        if missed[-1] < 0.5:
            return
    raise BrokenError(
        f"it does not learn: after {subject.steps:,} updates its actions miss the best ones by "
        f"{100 * min(missed):.0f}% of what actions of zero do, where 50% would pass (states drawn at random, rewards "
        "-4 |a - best(s)|^2, actions of the data best(s) + N(0, 0.3^2))"
    )


def compiling(subject: Subject) -> None:
    """A compiled update does what the eager one does."""
    if compiler() is None:
        raise NotCheckedError("there is no C++ compiler, so nothing is compiled")
    compiled_equals_eager(subject, update_step(subject.algorithm, compiled=True), 200)


def compiled_equals_eager(subject: Subject, step: Step, updates: int) -> None:
    """Eager updates and those by another ``step`` lead to the same state and metrics.

    Raises:
        BrokenError: they do not, or the update is no single graph.
    """
    eager, other = subject.trained([0, 1], updates), subject.group([0, 1], step=step)
    try:
        other.advance(0, updates)
    except torch._dynamo.exc.TorchDynamoException as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise BrokenError(
            f"update cannot be compiled as one graph: {lines[0] if lines else type(error).__name__}; it must not look "
            "at numbers (.item(), if on a tensor) or call what torch does not know"
        ) from error
    far = difference(eager.algorithm.state(), other.algorithm.state())
    require(
        far < 1e-8,
        f"compiled and eager updates differ by {far:.2g} after {updates}; an update must not depend on Python values "
        "that change, nor on anything that happens once, when it is traced",
    )
    require(float((eager.totals - other.totals).abs().max()) < 1e-6, "compiled and eager updates give other metrics")


def exporting(subject: Subject) -> None:
    """The policy as an ONNX graph acts as it does here."""
    try:
        need_libraries()
    except OffbenchError as error:
        raise NotCheckedError(str(error)) from error
    g = subject.trained([3], 20, dtype=torch.float32)
    try:
        content = to_onnx(g.algorithm, g.data.scaling)
    except OffbenchError as error:
        raise BrokenError(str(error)) from error
    far = largest_difference(content, g.algorithm, g.data.scaling)
    require(far < TOLERANCE, f"the policy as an ONNX graph acts otherwise, by {far:.2g} of the actions' range")


CHECKS = (
    Check("shapes", shapes),
    Check("determinism", determinism, ("shapes",)),
    Check("seed grouping", grouping, ("determinism",)),
    Check("save and load", saving, ("determinism",)),
    Check("resume", resuming, ("save and load",)),
    Check("terminations", terminations, ("determinism",)),
    Check("truncations", truncations, ("terminations",)),
    Check("extreme inputs", extremes, ("shapes",)),
    Check("learning", learning, ("shapes", "extreme inputs")),
    Check("device", device, ("determinism",)),
    # Compiling takes longer than all else, which is mended first.
    Check("compiled equals eager", compiling, ("determinism", "terminations", "truncations", "device")),
    Check("ONNX", exporting, ("shapes",)),
)
