"""Fitting: what is learned, when it stops, and that seeds do not touch each other."""

import dataclasses

import numpy as np
import pytest
import torch

from offbench.basis.compiler import compiler
from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions
from offbench.dynamics import fitting
from offbench.dynamics.fitting import PRESETS, DynamicsConfig, _Search, errors_of, fit, rows_of
from offbench.dynamics.store import fitted, path_of, read
from offbench.dynamics.value_aware import value_gradients
from offbench.errors import OffbenchError

SMALL = DynamicsConfig(members=3, elites=2, hidden=(32, 32), batch_size=64, most_epochs=4)
A, B = np.array([[0.9, 0.1], [-0.2, 0.8]]), np.array([[0.5], [-0.3]])


def linear_data(steps: int = 1500, noise: float = 0.05, seed: int = 0) -> Trajectories:
    """s' = A s + B a + noise, r = s_0 - a + noise, in episodes of 30 steps."""
    rng = np.random.default_rng(seed)
    states, actions = np.zeros((steps + steps // 30, 2)), rng.uniform(-1, 1, (steps, 1))
    rows = np.arange(steps) + np.arange(steps) // 30
    for step, row in enumerate(rows):
        if step % 30 == 0:
            states[row] = rng.normal(size=2)
        states[row + 1] = A @ states[row] + B @ actions[step] + noise * rng.normal(size=2)
    ends = np.arange(1, steps + 1) % 30 == 0
    return Trajectories(
        states.astype(np.float32),
        np.arange(0, steps + 1, 30),
        np.zeros(steps, dtype=bool),
        ends,
        actions.astype(np.float32),
        (states[rows, 0] - actions[:, 0] + noise * rng.normal(size=steps)).astype(np.float32),
        action_range=(-np.ones(1, np.float32), np.ones(1, np.float32)),
    )


def view(dtype=torch.float32, **options) -> Transitions:
    return Transitions(linear_data(**options), dtype=dtype)


def test_rows_are_states_actions_changes_and_rewards() -> None:
    data = linear_data(60)
    inputs, targets = rows_of(Transitions(data, dtype=torch.float64))
    assert inputs.shape == (60, 3)
    episode = data[1]
    np.testing.assert_allclose(inputs[30:, :2], episode.observations[:-1])
    np.testing.assert_allclose(targets[30:, :2], np.diff(episode.observations.astype(np.float64), axis=0))
    np.testing.assert_allclose(targets[30:, 2], episode.rewards)


def test_it_learns_a_linear_system_and_its_noise() -> None:
    config = dataclasses.replace(SMALL, most_epochs=60)
    made = fit(view(steps=3000), config, [0])
    network = config.network(2, 1)
    inputs, targets = rows_of(Transitions(linear_data(seed=1)))
    errors = errors_of(network, made.parameters, inputs.unsqueeze(0), targets.unsqueeze(0))
    # The noise, of variance 0.0025, is all that is left.
    assert float(errors[0, 0]) < 1.5 * 0.0025
    prediction = network.predict(made.parameters, inputs[None, :, :2], inputs[None, :, 2:])
    assert float(prediction.stds[0, 0].mean()) == pytest.approx(0.05, rel=0.3)


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler here")
@pytest.mark.parametrize("loss", ["likelihood", pytest.param("value_gradient", marks=pytest.mark.slow)])
def test_a_compiled_fit_is_the_same_to_rounding(loss) -> None:
    config = dataclasses.replace(SMALL, hidden=(8,), most_epochs=2, loss=loss, probabilistic=loss == "likelihood")
    data = view(torch.float64)
    gradients = None if loss == "likelihood" else value_gradients(lambda s: s[:, :1].T, data)
    eager, compiled = (fit(data, config, [0, 1], gradients=gradients, compile=how) for how in ("never", "always"))
    for name, value in eager.parameters.items():
        torch.testing.assert_close(compiled.parameters[name], value, rtol=1e-9, atol=1e-11)


def test_what_is_worth_compiling_depends_on_the_work_of_one_seed(monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(fitting, "compiled", lambda function, device: asked.append(function) or function)
    monkeypatch.setattr(fitting, "can_compile", lambda mode, device: True)
    fit(view(), SMALL, [0, 1])
    assert not asked
    # 6 operations a weight and sample, 1,200 samples, 4 epochs at most.
    weights = 3 * (3 * 32 + 32 * 32 + 32 * 6)
    monkeypatch.setattr(fitting, "WORTH_COMPILING", 6 * weights * 1200 * 4)
    fit(view(), SMALL, [0])
    assert len(asked) == 1


def test_members_are_ordered_by_their_error() -> None:
    made = fit(view(), SMALL, [0, 1])
    assert (made.errors.diff(dim=1) >= 0).all()
    assert made.epochs.tolist() == [4, 4]


def test_an_ensemble_of_several_seeds_is_that_of_each() -> None:
    config = dataclasses.replace(SMALL, most_epochs=30, improvement=0.1, patience=1)
    data = view(torch.float64, steps=600)
    together = fit(data, config, [3, 5, 8])
    assert len(set(together.epochs.tolist())) > 1  # they stop at different times
    for row, seed in enumerate((3, 5, 8)):
        alone = fit(data, config, [seed])
        assert alone.epochs.tolist() == [together.epochs[row]]
        for name, value in alone.parameters.items():
            torch.testing.assert_close(together.parameters[name][row : row + 1], value, rtol=0, atol=1e-8)


def heard(config: DynamicsConfig, errors) -> list[tuple[list[bool], float, bool]]:
    """(which members got better, the rate's factor, whether it goes on) after each epoch of one seed."""
    search, found = _Search(config, 1, torch.device("cpu"), torch.float64), []
    for each in errors:
        better = search.hear(torch.tensor([each], dtype=torch.float64))
        found.append((better[0].tolist(), float(search.rates), bool(search.running)))
        if not search.running:
            break
    return found


def test_it_stops_after_so_many_epochs_without_a_better_member() -> None:
    config = DynamicsConfig(members=2, patience=2)
    assert heard(config, [[1.0, 1.0], [0.995, 1.2], [0.98, 1.0], [0.979, 1.0], [0.975, 0.995], [0.1, 0.1]]) == [
        ([True, True], 1.0, True),
        ([False, False], 1.0, True),  # half a percent is no improvement
        ([True, False], 1.0, True),
        ([False, False], 1.0, True),
        ([False, False], 1.0, False),
    ]


def test_ravl_lowers_the_rate_once_and_makes_350_epochs() -> None:
    config = dataclasses.replace(PRESETS["ravl"], members=1, least_epochs=9, patience=2)
    found = heard(config, [[1.0]] * 20)
    assert [rate for _, rate, _ in found] == [1.0, 1.0] + [0.3] * 7
    assert [running for *_, running in found] == [True] * 8 + [False]
    assert (PRESETS["ravl"].least_epochs, PRESETS["ravl"].input_clip) == (350, 10.0)


def test_errors_that_are_not_finite_are_refused() -> None:
    with pytest.raises(OffbenchError, match="hold-out error is not finite"):
        heard(SMALL, [[1.0, float("nan"), 1.0]])
    with pytest.raises(OffbenchError, match="30 transitions are too few"):
        fit(view(steps=30), dataclasses.replace(SMALL, hold_out=0.01), [0])


# -------------------------------------------------------------------- the cache


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    return tmp_path


def test_it_is_fitted_once_for_data_config_and_seed(cache) -> None:
    data, lines = view(), list[str]()
    first = fitted(data, SMALL, [0], lines.append)
    assert any("epoch 4" in line for line in lines)
    lines.clear()
    both = fitted(data, SMALL, [1, 0], lines.append)
    assert lines[0].startswith("dynamics: seeds 0 lie in")
    for name, value in first.parameters.items():
        assert torch.equal(both.parameters[name][1:], value)
    assert torch.equal(both.errors[1:], first.errors)
    places = {path_of(data, SMALL, 0), path_of(data, SMALL, 1), path_of(view(steps=600), SMALL, 0)}
    places |= {path_of(data, dataclasses.replace(SMALL, elites=1), 0), path_of(view(torch.float64), SMALL, 0)}
    assert len(places) == 5


def test_a_damaged_file_is_fitted_anew(cache) -> None:
    data = view(steps=300)
    before = fitted(data, SMALL, [0])
    path = path_of(data, SMALL, 0)
    path.write_bytes(path.read_bytes()[:-100])
    assert read(path) is None
    assert torch.equal(fitted(data, SMALL, [0]).errors, before.errors)
