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

    def ensemble(self, when: str, network: str) -> dict[str, torch.Tensor]:
        """Parameters of an ensemble that was recorded as one, with a seed axis of one."""
        start = f"{when}/{network}/"
        found = {key.removeprefix(start): value for key, value in self.arrays.items() if key.startswith(start)}
        return {key.replace("/", "."): torch.from_numpy(value)[None] for key, value in found.items()}

    def squashed_gaussian(self, when: str) -> dict[str, torch.Tensor]:
        """Parameters of a policy whose heads were recorded apart: both become the output layer of one network."""
        network = self.parameters(when, "actor_trunk")
        heads = [self.parameters(when, f"actor_{head}") for head in ("mean", "log_std")]
        last = len(network) // 2
        for part in ("weight", "bias"):
            network[f"layer{last}.{part}"] = torch.cat([head[f"layer0.{part}"] for head in heads], -1)
        return network

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
            members = [m.T if m.dim() == 2 else m[None] for m in members]
            stacked = torch.stack(members) if len(networks) > 1 else members[0]
            found[name.replace("/", ".")] = stacked[None].contiguous()
        return found

    def batch(self, step: int) -> Batch:
        return Batch(**self._at("batch", step), noise=self._at("noise", step))

    def _at(self, kind: str, step: int) -> dict[str, torch.Tensor]:
        """The arrays of a kind at one step, by name, with a seed axis of one."""
        return {
            key.removeprefix(f"{kind}/"): torch.from_numpy(value[step])[None]
            for key, value in self.arrays.items()
            if key.startswith(f"{kind}/")
        }

    def metric(self, name: str) -> np.ndarray:
        return self.arrays[f"metrics/{name}"]


def load(algorithm, network: str, parameters: dict[str, torch.Tensor]) -> None:
    own = algorithm.networks[network]
    assert own.keys() == parameters.keys()
    for name, value in own.items():
        value.copy_(parameters[name])


def check_weights(algorithm, network: str, parameters: dict[str, torch.Tensor], atol: float = 1e-4) -> None:
    for name, value in algorithm.networks[network].items():
        torch.testing.assert_close(
            value, parameters[name], rtol=0, atol=atol, msg=lambda m, n=name: f"{network} {n}: {m}"
        )
