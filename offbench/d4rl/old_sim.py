"""mujoco-py's ``env.sim`` on today's MuJoCo: data, model, and the state that can be kept and put back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from offbench.basis.shapes import Array
from offbench.environments.mujoco_states import mujoco


class MjSimState(NamedTuple):
    """A state of the simulation: seconds, coordinates, velocities, activations, and what a user's callback keeps."""

    time: float
    qpos: Array
    qvel: Array
    act: Array | None = None
    udd_state: dict[str, Any] | None = None


class Simulation:
    """The simulation of one environment.

    Attributes:
        model: MjModel.
        data: MjData.
    """

    def __init__(self, model: Any, data: Any) -> None:
        self.model, self.data = model, data

    def get_state(self) -> MjSimState:
        """A copy of the state."""
        data = self.data
        return MjSimState(float(data.time), data.qpos.copy(), data.qvel.copy(), data.act.copy(), {})

    def set_state(self, state: MjSimState) -> None:
        """Put a state back; what follows from it is computed by `forward`."""
        self.data.time = state.time
        self.data.qpos[:], self.data.qvel[:] = np.ravel(state.qpos), np.ravel(state.qvel)
        if state.act is not None:
            self.data.act[:] = state.act

    def forward(self) -> None:
        """Compute what follows from the state."""
        mujoco.mj_forward(self.model, self.data)

    def step(self) -> None:
        """One step of physics."""
        mujoco.mj_step(self.model, self.data)

    def reset(self) -> None:
        """The state of the model's file."""
        mujoco.mj_resetData(self.model, self.data)
