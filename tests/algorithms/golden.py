"""Replays of reference traces: start from recorded weights, feed recorded batches, compare losses and final weights."""

import json
from pathlib import Path

import numpy as np
import torch

from offbench.data.transitions import Batch

FOLDER = Path(__file__).resolve().parents[1] / "golden"


class Trace:
    """One recorded run; weights of k networks stack into an ensemble, and (out, in) becomes (in, out)."""

    def __init__(self, name: str) -> None:
        self.arrays = dict(np.load(FOLDER / f"{name}.npz", allow_pickle=False))
        self.config = json.loads(str(self.arrays["config"]))
        self.steps = len(self.arrays["batch/observations"])

    def parameters(self, when: str, *networks: str) -> dict[str, torch.Tensor]:
        """Parameters with a seed axis of one; several networks become members of an ensemble."""
        names = [
            key.removeprefix(f"{when}/{networks[0]}/")
            for key in self.arrays
            if key.startswith(f"{when}/{networks[0]}/")
        ]
        found = {}
        for name in names:
            members = [torch.from_numpy(self.arrays[f"{when}/{network}/{name}"]) for network in networks]
            members = [m.T for m in members] if name.endswith("weight") else [m[None] for m in members]
            stacked = torch.stack(members) if len(networks) > 1 else members[0]
            found[name.replace("/", ".")] = stacked[None].contiguous()
        return found

    def batch(self, step: int) -> Batch:
        return Batch(*(torch.from_numpy(self.arrays[f"batch/{field}"][step])[None] for field in Batch._fields))

    def metric(self, name: str) -> np.ndarray:
        return self.arrays[f"metrics/{name}"]


def load(algorithm, network: str, parameters: dict[str, torch.Tensor]) -> None:
    own = algorithm.networks[network]
    assert own.keys() == parameters.keys()
    for name, value in own.items():
        value.copy_(parameters[name])


def check_weights(algorithm, network: str, parameters: dict[str, torch.Tensor]) -> None:
    for name, value in algorithm.networks[network].items():
        torch.testing.assert_close(
            value, parameters[name], rtol=0, atol=1e-4, msg=lambda m, n=name: f"{network} {n}: {m}"
        )
