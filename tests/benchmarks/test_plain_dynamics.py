"""The rival of benchmarks/dynamics.py is the same ensemble: same weights and rows, same loss and predictions."""

import importlib.util
from pathlib import Path

import torch

from offbench.dynamics.fitting import DynamicsConfig

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "_plain_dynamics.py"
SPEC = importlib.util.spec_from_file_location("plain_dynamics", FILE)
plain = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(plain)


def test_the_rival_has_our_loss_and_our_predictions() -> None:
    config = DynamicsConfig(members=3, hidden=(8, 8, 8, 8))
    rival = plain.PlainEnsemble(3, 2, config).double()
    network = config.network(3, 2)
    parameters = network.initialise([0], "dynamics")
    for layer, (weight, bias) in enumerate(zip(rival.weights, rival.biases, strict=True)):
        parameters[f"layer{layer}.weight"] = weight.detach().unsqueeze(0)
        parameters[f"layer{layer}.bias"] = bias.detach().unsqueeze(0)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 6, 5, dtype=torch.float64, generator=generator)
    y = torch.randn(3, 6, 4, dtype=torch.float64, generator=generator)
    decay = sum(0.5 * rate * (weight**2).sum() for rate, weight in zip(config.weight_decay, rival.weights, strict=True))
    torch.testing.assert_close(network.losses(parameters, x.unsqueeze(0), y.unsqueeze(0))[0] + decay, rival.loss(x, y))
    heads = network.heads(parameters, x.unsqueeze(0))
    for ours, theirs in zip(heads, rival(x), strict=True):
        torch.testing.assert_close(ours[0], theirs)
