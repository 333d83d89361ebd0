"""Fitting inverse dynamics: what is learned, what is held out, which parameters are kept, what a seed depends on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from inverse_cases import moves, partly

from offbench.data.supervision import hide_actions
from offbench.errors import DataError, OffbenchError
from offbench.labelling import inverse_fitting
from offbench.labelling.inverse_dynamics import Windows
from offbench.labelling.inverse_fitting import InverseDynamicsConfig, Known, _Fitting, _parted, _Validation, fit, fitted
from offbench.labelling.relabelled import GIVEN, joined
from offbench.labelling.store import path_of, read

SMALL = InverseDynamicsConfig(hidden=(32, 32), batch_size=64, updates=60, validate_every=20, learning_rate=3e-3)


def known(dtype=torch.float32, **options) -> Known:
    whole = joined(partly(**options))
    return Known(whole, np.array(whole.extras[GIVEN]), dtype=dtype)


def test_it_learns_which_action_led_from_state_to_state() -> None:
    data = known(episodes=60)
    made = fit(data, replace(SMALL, updates=400, validate_every=50, dropout=0.0), [0])
    network = SMALL.network(2, 2)
    labels = network.label(made.parameters, Windows(data.trajectories, 1, "cpu"), data.trajectories.steps)
    whole = moves(episodes=60)
    split = hide_actions(whole, 0.5, 1.0)
    hidden = np.isin(whole.returns, split.action_free.returns)
    true = np.concatenate([whole[~hidden].actions, whole[hidden].actions])
    proxies = data.scaling.to_environment(labels.actions[0].numpy())
    errors = np.abs(proxies - true)[~data.given]
    assert errors.mean() < 0.2 * np.abs(true - true.mean(0)).mean()


def test_a_seed_is_the_same_alone_and_beside_others() -> None:
    data, config = known(torch.float64), replace(SMALL, members=2)
    together = fit(data, config, [3, 5, 8])
    for row, seed in enumerate((3, 5, 8)):
        alone = fit(data, config, [seed])
        torch.testing.assert_close(alone.losses, together.losses[row : row + 1])
        for name, value in alone.parameters.items():
            torch.testing.assert_close(together.parameters[name][row : row + 1], value, rtol=0, atol=1e-9)


def test_members_and_seeds_differ() -> None:
    made = fit(known(), replace(SMALL, members=2), [0, 1])
    assert len(set(made.losses.flatten().tolist())) == 4


def test_whole_episodes_are_held_out_and_no_hidden_action_is_seen() -> None:
    data = known(episodes=40)
    for seed in range(5):
        part = _parted(data, SMALL, seed)
        own, other = (set((steps // 10).tolist()) for steps in part)
        assert len(other) == 2  # a tenth of twenty labelled ones
        assert len(own) == 18
        assert not own & other
        assert data.given[np.concatenate(part)].all()
    assert len({tuple(_parted(data, SMALL, seed).held_out) for seed in range(5)}) > 1


def test_steps_without_a_recorded_next_observation_are_left_out() -> None:
    data = partly()
    lost = np.zeros(len(data.labelled), dtype=bool)
    lost[::2] = True
    whole = joined(replace(data, labelled=replace(data.labelled, final_observations=~lost)))
    part = _parted(Known(whole, np.array(whole.extras[GIVEN])), SMALL, 0)
    used = np.sort(np.concatenate(part))
    last = whole.offsets[1:] - 1
    assert set(last[: len(lost)][lost]) & set(used.tolist()) == set()
    assert set(last[: len(lost)][~lost]) <= set(used.tolist())


def test_what_stands_for_hidden_actions_changes_nothing() -> None:
    data = known(torch.float64)
    other = np.where(data.given[:, None], data.trajectories.actions, 3.0).astype(np.float32)
    changed = replace(data, trajectories=replace(data.trajectories, actions=other))
    one, two = fit(data, SMALL, [0]), fit(changed, SMALL, [0])
    assert torch.equal(one.losses, two.losses)


def test_the_best_parameters_are_kept_and_not_the_last() -> None:
    data = known(torch.float64)
    fitting = _Fitting(data, replace(SMALL, members=2), [0, 1])
    parts = [_parted(data, SMALL, seed) for seed in (0, 1)]
    validation = _Validation(fitting, [part.held_out for part in parts])
    validation.look()
    first = {name: value.clone() for name, value in fitting.trained.items()}
    before = validation.lowest.clone()
    fitting.trained["layer2.bias"][0, 1] += 100.0  # one member of one seed gets worse
    rows = torch.from_numpy(parts[1].fitted_to)[None, None, :].expand(2, 2, -1)
    mine = {name: value.clone() for name, value in fitting.trained.items()}
    for _ in range(30):
        fitting.descend(rows)
    for name, value in fitting.trained.items():
        value[0] = mine[name][0]  # only the second seed has learned
    validation.look()
    assert torch.equal(validation.lowest[0], before[0])
    assert (validation.lowest[1] < before[1]).all()
    for name, value in validation.best.items():
        if name in first:
            assert torch.equal(value[0], first[name][0])
            assert torch.equal(value[1], fitting.trained[name][1])


def test_the_loss_of_what_is_held_out_is_its_mean_whatever_others_hold_out() -> None:
    data = known(torch.float64)
    fitting = _Fitting(data, SMALL, [0, 1])
    held = [np.arange(3), np.arange(20, 31)]
    found = _Validation(fitting, held).losses()
    for row, steps in enumerate(held):
        rows = torch.from_numpy(np.stack([steps, steps]))[:, None]
        losses = fitting.network.losses(fitting.parameters, fitting.windows.at(rows), fitting.actions[rows])
        torch.testing.assert_close(found[row], losses[row].mean(-1))


def test_units_are_dropped_with_their_probability_and_others_in_each_update() -> None:
    fitting = _Fitting(known(), replace(SMALL, dropout=0.25), [0, 1])
    one = fitting.mask(64)
    assert one.shape == (2, 1, 2, 64, 32)
    assert one.unique().tolist() == [0.0, pytest.approx(1 / 0.75)]
    assert float((one == 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    fitting.adam.count.add_(1)
    assert not torch.equal(one, fitting.mask(64))
    assert _Fitting(known(), replace(SMALL, dropout=0.0), [0]).mask(64) is None


def clipped() -> Known:
    """`known`, in which most actions lie at their bounds, as where a controller is clipped."""
    whole = moves(episodes=40)
    actions = np.clip(3 * (whole.actions - 1) + 1, -2, 4).astype(np.float32)
    rows = whole.sources
    observations = whole.observations.copy()
    observations[rows + 1] = 0.9 * observations[rows] + actions
    return Known(replace(whole, actions=actions, observations=observations), np.ones(whole.steps, dtype=bool))


def test_actions_at_their_bounds_are_told_of_and_a_gaussian_density_says_them_better() -> None:
    data, said, errors = clipped(), [], {}
    config = replace(SMALL, updates=300, validate_every=50, dropout=0.0)
    for density in ("squashed", "gaussian"):
        made = fit(data, replace(config, density=density), [0], said.append)
        network = replace(config, density=density).network(2, 2)
        windows = Windows(data.trajectories, 1, "cpu")
        found = network.label(made.parameters, windows, data.trajectories.steps).actions[0]
        errors[density] = float((found - data.scaled_actions()).abs().mean())
    assert errors["gaussian"] < 0.7 * errors["squashed"]
    told = [line for line in said if "lie at their bounds" in line]
    assert len(told) == 1
    assert told[0].startswith("inverse dynamics: 67% of the numbers in the actions lie at their bounds")


def test_models_are_fitted_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    data, said = known(), []
    one = fitted(data, SMALL, [0, 1], said.append)
    monkeypatch.setattr(inverse_fitting, "fit", None)
    again = fitted(data, SMALL, [1], said.append)
    assert said[-1] == f"inverse dynamics: seeds 1 lie in {tmp_path / 'labelling' / 'inverse-dynamics'}"
    for name, value in again.parameters.items():
        assert torch.equal(value, one.parameters[name][1:])
    assert len(list((tmp_path / "labelling" / "inverse-dynamics").glob("*.safetensors"))) == 2


def test_a_damaged_file_and_other_facts_are_no_model(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    path = path_of("some model", ["facts"], 0)
    assert path != path_of("some model", ["others"], 0)
    assert path != path_of("some model", ["facts"], 1)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no tensors")
    assert read(path) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"past": -1}, "past of inverse dynamics must be at least 0, not -1"),
        ({"members": 0}, "members of inverse dynamics must be at least 1, not 0"),
        ({"hidden": ()}, "at least one hidden layer"),
        ({"dropout": 1.0}, r"dropout of inverse dynamics must lie in \[0, 1\), not 1.0"),
        ({"hold_out": 0.0}, r"hold_out of inverse dynamics must lie in \(0, 1\)"),
        ({"learning_rate": 0.0}, r"learning_rate of inverse dynamics must lie in \(0, 1\]"),
    ],
)
def test_hyperparameters_that_cannot_be(changes, words) -> None:
    with pytest.raises(OffbenchError, match=words):
        replace(SMALL, **changes)


def test_one_labelled_episode_is_too_few() -> None:
    with pytest.raises(DataError, match=r"at least two episodes with actions.* and moves\S* has 1; a larger share"):
        fit(known(labelled=0.05), SMALL, [0])


def test_a_loss_that_is_not_finite_is_told() -> None:
    data = known(torch.float64)
    wrong = data.trajectories.observations.astype(np.float64)
    wrong[0] = 1e300  # whose square is infinite
    with (
        np.errstate(all="ignore"),
        pytest.raises(OffbenchError, match="the hold-out loss of inverse dynamics is not finite"),
    ):
        fit(replace(data, trajectories=replace(data.trajectories, observations=wrong)), SMALL, [0])
