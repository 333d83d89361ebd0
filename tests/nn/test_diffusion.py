"""Noise added in steps and taken out again: the betas, what is left of an action, and sampling."""

import math

import numpy as np
import torch

from offbench.nn.diffusion import Diffusion, NoiseNetwork, sinusoids


def test_betas_are_the_squared_cosines_by_hand() -> None:
    def left(time: float) -> float:
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    expected = [min(1 - left((k + 1) / 4) / left(k / 4), 0.999) for k in range(4)]
    np.testing.assert_allclose(Diffusion(4).betas, expected, rtol=1e-12)
    assert expected[3] == 0.999
    np.testing.assert_allclose(Diffusion(4).kept, np.cumprod(1 - np.array(expected)), rtol=1e-12)
    assert (Diffusion(50).betas.diff() >= 0).all()


def test_noise_added_step_by_step_has_the_marginal_of_noise_added_at_once() -> None:
    diffusion, generator = Diffusion(6), torch.Generator().manual_seed(0)
    actions = torch.full((1, 200_000, 1), 0.7, dtype=torch.float64)
    x = actions
    for k in range(6):
        noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        x = torch.sqrt(1 - diffusion.betas[k]) * x + torch.sqrt(diffusion.betas[k]) * noise
        noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        at_once = diffusion.noised(actions, torch.full(x.shape[:2], k), noise)
        for drawn in (x, at_once):
            assert abs(float(drawn.mean()) - math.sqrt(diffusion.kept[k]) * 0.7) < 0.01
            assert abs(float(drawn.var()) - float(1 - diffusion.kept[k])) < 0.01


def test_each_row_is_noised_to_its_own_step() -> None:
    diffusion = Diffusion(3)
    noised = diffusion.noised(torch.ones(1, 3, 2), torch.tensor([[0, 2, 1]]), torch.zeros(1, 3, 2))
    torch.testing.assert_close(noised[0, :, 0], diffusion.kept.sqrt()[[0, 2, 1]].float())


def test_with_the_exact_noise_of_one_point_samples_are_that_point() -> None:
    diffusion, point = Diffusion(10), torch.tensor([0.3, -0.9], dtype=torch.float64)

    def exact(actions, k):
        return (actions - diffusion.kept[k].sqrt() * point) / (1 - diffusion.kept[k]).sqrt()

    noise = torch.randn(2, 50, 10, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    samples = diffusion.sample(exact, noise)
    torch.testing.assert_close(samples, point.expand(2, 50, 2))


def test_with_the_exact_noise_of_two_points_samples_are_both() -> None:
    diffusion, points = Diffusion(20), torch.tensor([-0.8, 0.8], dtype=torch.float64)

    def exact(actions, k):
        kept, rest = diffusion.kept[k], 1 - diffusion.kept[k]
        far = actions - kept.sqrt() * points  # (seeds, batch, 2)
        mean = (torch.softmax(-(far**2) / (2 * rest), -1) * points).sum(-1, keepdim=True)
        return (actions - kept.sqrt() * mean) / rest.sqrt()

    noise = torch.randn(1, 2000, 20, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    samples = diffusion.sample(exact, noise)[0, :, 0]
    assert float((samples.abs() - 0.8).abs().max()) < 0.05
    assert 0.45 < float((samples > 0).double().mean()) < 0.55


def test_samples_stay_within_the_bounds() -> None:
    samples = Diffusion(5).sample(lambda actions, k: torch.full_like(actions, -50.0), torch.randn(1, 20, 5, 2))
    assert float(samples.abs().max()) <= 1


def network() -> tuple[NoiseNetwork, dict[str, torch.Tensor]]:
    made = NoiseNetwork(observation=3, action=2, steps=4, width=8, blocks=2)
    return made, made.initialise([0, 5], "noise")


def test_the_network_is_its_equation_in_numpy() -> None:
    made, parameters = network()
    rng = np.random.default_rng(0)
    a, s, k = rng.normal(size=(2, 6, 2)), rng.normal(size=(2, 6, 3)), rng.integers(4, size=(2, 6))
    found = made.at(parameters, torch.from_numpy(a), torch.from_numpy(s), torch.from_numpy(k))

    def mish(x):
        return x * np.tanh(np.log1p(np.exp(x)))

    p = {name: value[1].numpy() for name, value in parameters.items()}  # of the second seed

    def layer(name, x):
        return x @ p[f"{name}.weight"] + p[f"{name}.bias"]

    def normal(name, x):
        x = layer(name, x)
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return mish(x * p[f"{name}.scale"] + p[f"{name}.shift"])

    step = mish(layer("embed1", mish(layer("embed0", sinusoids(4, 8).numpy()))))[k[1]]
    x = layer("input", np.concatenate([a[1], s[1]], -1))
    for block in ("block0", "block1"):
        film = layer(f"{block}.of_step", step) + layer(f"{block}.of_state", mish(s[1]))
        inner = (1 + film[:, :8]) * normal(f"{block}.first", x) + film[:, 8:]
        x = x + normal(f"{block}.second", inner)
    np.testing.assert_allclose(found[1], layer("output", x), rtol=1e-10)


def test_a_seed_begins_alike_alone_and_beside_others() -> None:
    made, parameters = network()
    for name, value in made.initialise([5], "noise").items():
        assert torch.equal(value[0], parameters[name][1])
        assert name.endswith(("scale", "shift")) or not torch.equal(parameters[name][0], parameters[name][1])


def test_steps_are_embedded_as_sines_and_cosines() -> None:
    table = sinusoids(3, 6)
    rates = [1.0, 1e-2, 1e-4]
    np.testing.assert_allclose(table[2], [*np.sin(2 * np.array(rates)), *np.cos(2 * np.array(rates))], rtol=1e-12)
    assert sinusoids(3, 5).shape == (3, 5)
