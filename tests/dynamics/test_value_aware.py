"""Value-aware fitting: the losses in closed form, gradients of values, and what is refused."""

import dataclasses

import numpy as np
import pytest
import torch

from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions
from offbench.dynamics.fitting import DynamicsConfig, chosen, fit, rows_of
from offbench.dynamics.store import fitted, path_of
from offbench.dynamics.value_aware import value_error, value_gradients, value_losses
from offbench.errors import OffbenchError


def square(states):
    """V = -(x^2 + 0.1 y^2)."""
    return -(states[:, :1] ** 2 + 0.1 * states[:, 1:2] ** 2).T


def data(steps: int = 400, noise: float = 0.0, scale: float = 3.0, seed: int = 0) -> Trajectories:
    """x' is what an action says, n' is another number three times as wide; single steps."""
    rng = np.random.default_rng(seed)
    actions = rng.uniform(-1, 1, (steps, 2))
    pairs = np.zeros((steps, 2, 2))
    pairs[:, 1] = actions * [1, scale] + noise * rng.normal(size=(steps, 2))
    every = np.ones(steps, dtype=bool)
    return Trajectories(
        pairs.reshape(-1, 2).astype(np.float32), np.arange(steps + 1), ~every, every, actions.astype(np.float32),
        np.zeros(steps, np.float32), action_range=(-np.ones(2, np.float32), np.ones(2, np.float32)),
    )  # fmt: skip


def test_the_losses_are_those_of_the_paper() -> None:
    means, targets = torch.tensor([[[[1.0, 2.0, 5.0]]]]).double(), torch.tensor([[[[0.5, 4.0, 2.0]]]]).double()
    gradients = torch.tensor([[[[[2.0, 1.0], [0.0, 3.0]]]]]).double()  # two functions
    # e = (0.5, -2), reward error 3.
    expected = {"value_gradient": (1.0 + 4.0 + 0.0 + 36.0) / 4 + 9, "value_aware": ((1 - 2) ** 2 + 36) / 2 + 9}
    for loss, value in expected.items():
        assert float(value_losses(means, targets, gradients, loss)) == pytest.approx(value)


def test_errors_that_cancel_are_nothing_to_the_inner_product_alone() -> None:
    """With gradient (1, 1) it is 0 for every e_x = -e_n: the spurious minimum."""
    means = torch.tensor([[[[0.7, -0.7, 0.0]]]])
    gradients = torch.ones(1, 1, 1, 1, 2)
    assert float(value_losses(means, torch.zeros_like(means), gradients, "value_aware")) == 0
    assert float(value_losses(means, torch.zeros_like(means), gradients, "value_gradient")) == pytest.approx(0.49)


def test_a_rank_of_one_goes_to_what_matters() -> None:
    """A bottleneck of one number: the mean square error keeps n', which varies most, and value gradients keep x'."""
    x = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0)).double() * torch.tensor([1.0, 3.0])
    targets = torch.cat([x, torch.zeros(4000, 1)], -1)[None, None]
    only = {"n": x * torch.tensor([0.0, 1.0]), "x": x * torch.tensor([1.0, 0.0])}
    means = {name: torch.cat([kept, torch.zeros(4000, 1)], -1)[None, None] for name, kept in only.items()}
    square_errors = {name: float(((mean - targets) ** 2)[..., :2].sum(-1).mean()) for name, mean in means.items()}
    assert square_errors["n"] == pytest.approx(1, rel=0.1)
    assert square_errors["x"] == pytest.approx(9, rel=0.1)
    gradients = torch.tensor([1.0, 0.0]).double().expand(1, 1, 4000, 1, 2)
    assert float(value_losses(means["x"], targets, gradients, "value_gradient")) == 0
    assert float(value_losses(means["n"], targets, gradients, "value_gradient")) == pytest.approx(0.5, rel=0.1)


def test_gradients_are_those_at_the_next_states_in_a_learners_units() -> None:
    plain = value_gradients(square, Transitions(data(), dtype=torch.float64))
    states = torch.from_numpy(data().observations[1::2].astype(np.float64))
    torch.testing.assert_close(plain[:, 0], states * torch.tensor([-2.0, -0.2]))
    view = Transitions(data(), normalise_states=True, dtype=torch.float64)
    std = torch.from_numpy(np.asarray(view.scaling.std, np.float64))
    torch.testing.assert_close(value_gradients(square, view)[:, 0], plain[:, 0] * std, rtol=1e-5, atol=1e-6)
    with pytest.raises(OffbenchError, match="gradient is not finite"):
        value_gradients(lambda states: states.sqrt().T, Transitions(data()))


def test_the_value_error_of_a_linear_value_is_its_slope_times_the_bias() -> None:
    states = torch.randn(50, 1, generator=torch.Generator().manual_seed(0)).double()
    assert float(value_error(lambda s: (2.5 * s).T, states + 0.2, states)) == pytest.approx(2.5 * 0.2)


@pytest.mark.parametrize("loss", ["value_gradient", "value_aware"])
def test_what_has_no_value_is_not_fitted(loss) -> None:
    view = Transitions(data(2000))
    config = DynamicsConfig(
        members=2, elites=1, hidden=(16,), probabilistic=False, loss=loss, most_epochs=40, batch_size=64
    )
    made = fit(view, config, [0, 1], gradients=value_gradients(lambda s: s[:, :1].T, view))
    inputs, targets = rows_of(view)
    means, _ = config.network(2, 2).heads(made.parameters, inputs.expand(2, 2, -1, -1))
    errors = ((means - targets) ** 2).mean(-2)  # (seeds, members, numbers)
    assert float(errors[..., 0].max()) < 0.02 < 2 < float(errors[..., 1].min())
    assert (made.errors.diff(dim=1) >= 0).all()
    assert float(made.errors.max()) < 0.02


def test_gradients_go_with_the_loss() -> None:
    view = Transitions(data())
    gradients = value_gradients(square, view)
    small = DynamicsConfig(members=1, elites=1, hidden=(4,), probabilistic=False, loss="value_gradient", most_epochs=1)
    for changes, given, message in (
        ({}, None, "the loss value_gradient needs value gradients"),
        ({"loss": "likelihood"}, gradients, "the loss likelihood takes no value gradients"),
        ({"probabilistic": True}, gradients, "set probabilistic=False"),
        ({}, gradients[:-1], "of 399 transitions and not of all 400"),
    ):
        with pytest.raises(OffbenchError, match=message):
            fit(view, dataclasses.replace(small, **changes), [0], gradients=given)


def test_the_cache_tells_gradients_apart(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    view = Transitions(data())
    config = DynamicsConfig(members=1, elites=1, hidden=(4,), probabilistic=False, loss="value_aware", most_epochs=2)
    gradients = value_gradients(square, view)
    first = fitted(view, config, [0], gradients=gradients)
    again, other = fitted(view, config, [0], gradients=gradients), fitted(view, config, [0], gradients=2 * gradients)
    assert torch.equal(first.errors, again.errors)
    assert not torch.equal(first.errors, other.errors)
    assert len({path_of(view, config, 0, each) for each in (None, gradients, 2 * gradients)}) == 3


def test_of_fewer_members_at_most_as_many_are_elites() -> None:
    assert [(chosen("offlinerl-kit", (8,), 3, members).elites) for members in (1, 3, 7, 9)] == [1, 3, 5, 5]
    assert chosen("offlinerl-kit", (8,), 3) == dataclasses.replace(DynamicsConfig(), hidden=(8,), most_epochs=3)
