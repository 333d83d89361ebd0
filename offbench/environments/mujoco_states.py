"""Many MuJoCo states of one model, stepped by threads: the physics under the batched simulators.

Each state keeps what MuJoCo carries from step to step, the solver's warm start included, so trajectories are equal bit
for bit to those of a single environment. ``mujoco.batch`` does so in compiled code. It came with MuJoCo 4.0, and it
computes no contact forces after a step, as Gymnasium does for Ant; there Python's threads step one MjData a state
(``mj_step`` releases Python's lock), at 60% to 90% of the speed. ``mujoco.rollout`` loses the warm start between calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cached_property
from typing import Any, Protocol

import mujoco as _mujoco
import numpy as np

from offbench.basis.cores import default_workers
from offbench.basis.shapes import Array
from offbench.errors import OffbenchError

# MuJoCo is an extension module without type stubs.
mujoco: Any = _mujoco

# A Python thread with fewer states than these costs more in waking than it steps.
STATES_PER_THREAD = 4


class MujocoStates(Protocol):
    """A fixed number of states of one model.

    Attributes:
        count: number of states.
        values: arrays (states, ...) float64 by the name of MjData's attribute, as they were after the last call that
            changed a state. ``qpos`` and ``qvel`` are always there.
    """

    count: int
    values: dict[str, Array]

    def copy_from(self, index: int, source: Any) -> None:
        """Make one state equal to an MjData of the same model, the solver's warm start included."""
        ...

    def advance(self, indices: Array, controls: Array, frame_skip: int, velocities: Array | None = None) -> None:
        """Take ``frame_skip`` physics steps from the states ``indices`` (int) under ``controls`` (states, controls).

        With ``velocities`` (states, nv) the states are first set to these, as Gymnasium's ``set_state`` does.
        """
        ...

    def read(self, name: str) -> Array:
        """(states, ...) float64, a copy of what MjData calls ``name`` and carries from step to step."""
        ...

    def close(self) -> None:
        """Stop the threads."""
        ...


Stepping = Callable[[Any, Any, int], None]  # (MjModel, MjData, number of steps), as mj_step is called


def make_states(
    model: Any,
    count: int,
    watch: Sequence[str] = (),
    threads: int | None = None,
    step: Stepping | None = None,
) -> MujocoStates:
    """States of a model, by the fastest means that is exact.

    Args:
        model: MjModel.
        count: number of states.
        watch: attributes of MjData to be had in ``values`` beside ``qpos`` and ``qvel``.
        threads: how many step, None for one a core that this process may use; their number changes no result.
        step: what steps in place of ``mj_step``, if anything.

    Raises:
        OffbenchError: count or threads < 1.
    """
    if count < 1 or (threads is not None and threads < 1):
        raise OffbenchError(f"{count} states on {threads} threads cannot be stepped; at least one each is right")
    threads = threads or default_workers()
    if "cfrc_ext" not in watch and has_batch() and step is None:
        return CompiledStates(model, count, watch, threads)
    return ThreadedStates(model, count, watch, threads, step)


def has_batch() -> bool:
    """Whether the installed MuJoCo has ``mujoco.batch``."""
    return int(mujoco.__version__.split(".")[0]) >= 4


class CompiledStates:
    """`MujocoStates` in ``mujoco.batch``; contact forces cannot be watched."""

    def __init__(self, model: Any, count: int, watch: Sequence[str], threads: int) -> None:
        from mujoco.batch import Batch

        self.count = count
        self._model = model
        self._batch = Batch(model, count, min(threads, count))
        names = ("qpos", "qvel", *watch)
        # Live views; ``values`` is apart from them, because those of derived attributes are wrong until a first step.
        self._views = {name: self._batch.bind(name) for name in names}
        self._controls, self._velocities = self._batch.bind("ctrl"), self._batch.bind("qvel")
        self.values = {name: np.zeros(view.shape) for name, view in self._views.items()}

    def copy_from(self, index: int, source: Any) -> None:
        """Make one state equal to an MjData of the same model, the solver's warm start included."""
        mujoco.mj_getState(self._model, source, self._batch.state[index], mujoco.mjtState.mjSTATE_INTEGRATION)
        for name, value in self.values.items():
            value[index] = getattr(source, name)

    def advance(self, indices: Array, controls: Array, frame_skip: int, velocities: Array | None = None) -> None:
        """Step the states ``indices``; see `MujocoStates.advance`."""
        if velocities is not None:
            self._velocities[indices] = velocities[indices]
            self._batch.forward(indices)
        self._controls[indices] = controls[indices]
        self._batch.step(indices, frame_skip)
        for name, value in self.values.items():
            value[indices] = self._views[name][indices]

    def read(self, name: str) -> Array:
        """A copy of what MjData calls ``name``; see `MujocoStates.read`."""
        if name not in self._views:
            self._views[name] = self._batch.bind(name)
        return np.array(self._views[name])

    def close(self) -> None:
        """Nothing to stop: the threads end with the object."""


class ThreadedStates:
    """`MujocoStates` as one MjData a state, stepped by Python's threads."""

    def __init__(
        self, model: Any, count: int, watch: Sequence[str], threads: int, step: Stepping | None = None
    ) -> None:
        self.count = count
        self._model, self._threads, self._step = model, threads, step or mujoco.mj_step
        self._states = [mujoco.MjData(model) for _ in range(count)]
        names = ("qpos", "qvel", *watch)
        self.values = {name: np.zeros((count, *getattr(self._states[0], name).shape)) for name in names}
        # Views into MuJoCo's memory and into ours, looked up once: attribute access costs more than the copy.
        self._controls = [state.ctrl for state in self._states]
        self._velocities = [state.qvel for state in self._states]
        self._copies = [
            [(self.values[name][i], getattr(state, name)) for name in names] for i, state in enumerate(self._states)
        ]

    def copy_from(self, index: int, source: Any) -> None:
        """Make one state equal to an MjData of the same model, the solver's warm start included."""
        mujoco.mj_copyData(self._states[index], self._model, source)
        self._read(index)

    def advance(self, indices: Array, controls: Array, frame_skip: int, velocities: Array | None = None) -> None:
        """Step the states ``indices``; see `MujocoStates.advance`."""
        model, step = self._model, self._step
        # MuJoCo computes contact forces only on demand; Gymnasium demands them after each step.
        forces = mujoco.mj_rnePostConstraint if "cfrc_ext" in self.values else None

        def work(i: int) -> None:
            state = self._states[i]
            if velocities is not None:
                self._velocities[i][:] = velocities[i]
                mujoco.mj_forward(model, state)
            self._controls[i][:] = controls[i]
            step(model, state, frame_skip)
            if forces is not None:
                forces(model, state)
            self._read(i)

        self.run(indices, work)

    def run(self, indices: Array, work: Callable[[int], None]) -> None:
        """Call ``work`` with each of ``indices`` once, spread over threads; it may touch that state and its row only.

        Whatever ``work`` raises is raised here, after all threads have stopped.
        """
        # Threads take one state at a time, so none waits long for another; taking from a deque is atomic.
        queue = deque(indices.tolist())

        def drain() -> None:
            while True:
                try:
                    i = queue.popleft()
                except IndexError:
                    return
                work(i)

        helpers = min(self._threads, len(queue) // STATES_PER_THREAD) - 1
        if helpers < 1:
            drain()
            return
        futures = [self._pool.submit(drain) for _ in range(helpers)]
        try:
            drain()
        finally:
            wait(futures)
        for future in futures:
            future.result()

    def read(self, name: str) -> Array:
        """A copy of what MjData calls ``name``; see `MujocoStates.read`."""
        return np.stack([getattr(state, name) for state in self._states])

    def close(self) -> None:
        """Stop the threads; the next call would start them again."""
        if "_pool" in self.__dict__:
            self._pool.shutdown()
            del self._pool

    def _read(self, index: int) -> None:
        """Bring the row ``index`` of ``values`` up to date."""
        for target, source in self._copies[index]:
            target[...] = source

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._threads - 1, thread_name_prefix="mujoco")
