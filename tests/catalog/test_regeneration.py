from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from offbench.behaviours.tanh_gaussian import TanhGaussianPolicy
from offbench.catalog.loading import load
from offbench.catalog.regeneration import BATCH, Regeneration, check_log_probs, regenerate
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, OffbenchError
from offbench.formats import native
from offbench.formats.d4rl_policy import StoredPolicy, read_policy
from offbench.formats.hdf5 import read_hdf5
from offbench.formats.writers import write_d4rl

BOUNDS = np.array([-2.0], np.float32), np.array([2.0], np.float32)  # Pendulum's torque
LENGTH = 200  # of every episode of Pendulum


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))


def a_policy(seed: int = 0) -> StoredPolicy:
    rng = np.random.default_rng(seed)

    def layer(inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
        return (rng.normal(size=(inputs, outputs)) / np.sqrt(inputs)).astype(np.float32), np.zeros(outputs, np.float32)

    log_std = layer(16, 1)[0], np.full(1, -1, np.float32)  # small, so that tanh rounds no action to a bound
    return StoredPolicy((layer(3, 16),), layer(16, 1), log_std, "SAC, iteration 3")


def some_data(policy: StoredPolicy, episodes: int = 3) -> Trajectories:
    """Actions of the policy with their log-probabilities, at any observations."""
    rng = np.random.default_rng(1)
    steps = episodes * LENGTH
    observations = rng.normal(size=(steps + episodes, 3)).astype(np.float32)
    before = np.arange(steps) + np.repeat(np.arange(episodes), LENGTH)
    acting = TanhGaussianPolicy(policy.hidden, policy.mean, policy.log_std, *BOUNDS, seeds=range(steps))
    actions = acting.act(observations[before])
    ends = np.arange(1, steps + 1) % LENGTH == 0
    ends[-1] = False  # the file was cut there
    return Trajectories(
        observations=observations,
        offsets=np.arange(0, steps + 1, LENGTH),
        terminations=np.zeros(steps, bool),
        truncations=ends,
        actions=actions,
        rewards=rng.normal(size=steps).astype(np.float32),
        extras={"action_log_probs": acting.log_prob(observations[before], actions).astype(np.float32)},
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    policy = a_policy()
    write_d4rl(some_data(policy), tmp_path / "source.hdf5", {**policy.metadata(), "algorithm": "SAC", "iteration": 3})
    return tmp_path / "source.hdf5"


def made(source: Path, transitions: int = 1000, seed: int = 0) -> Regeneration:
    return regenerate(source, transitions, seed, task="pendulum")


# -------------------------------------------------------------------- the check


@pytest.mark.parametrize(("name", "rows", "action"), [("halfcheetah_medium-v2", 2000, 6), ("hopper_medium-v2", 911, 3)])
def test_published_log_probabilities_are_those_of_the_exact_formula(shared, name, rows, action):
    path = shared / "real" / "d4rl_slices" / f"{name}.hdf5"
    policy, data, ones = read_policy(path), read_hdf5(path), np.ones(action, np.float32)
    agreement = check_log_probs(policy, data, (-ones, ones))
    assert agreement.rows == rows
    assert agreement.usual < 1e-5
    assert agreement.largest < 2e-5
    # rlkit's older form adds 1e-6 to the slope of tanh, and is off by hundreds of times that.
    acting = TanhGaussianPolicy(policy.hidden, policy.mean, policy.log_std, -ones, ones)
    before = np.arange(data.steps) + np.repeat(np.arange(len(data)), data.lengths)
    slope = 1 - data.actions.astype(np.float64) ** 2
    older = acting.log_prob(data.observations[before], data.actions) - (np.log(slope + 1e-6) - np.log(slope)).sum(1)
    assert 3e-3 < np.abs(older - data.extras["action_log_probs"]).max() < 1e-2


def test_the_policy_of_other_data_is_refused(source):
    data = read_hdf5(source)
    with pytest.raises(DataError, match="did not make its data"):
        check_log_probs(a_policy(seed=1), data, BOUNDS)
    # Another iteration of the same one: all weights off by a hundredth.
    policy = a_policy()
    near = replace(policy, mean=(policy.mean[0] * np.float32(1.01), policy.mean[1]))
    with pytest.raises(DataError, match="did not make its data"):
        check_log_probs(near, data, BOUNDS)


def test_one_row_of_a_hundred_may_differ_and_no_more(source):
    data = read_hdf5(source)
    stored = data.extras["action_log_probs"].copy()
    stored[:5] += 0.1
    agreement = check_log_probs(a_policy(), replace(data, extras={"action_log_probs": stored}), BOUNDS)
    assert agreement.usual < 1e-4
    assert agreement.largest > 0.09
    stored[:12] += 0.1
    with pytest.raises(DataError, match="in 1% of 600 rows, the stored log-probability"):
        check_log_probs(a_policy(), replace(data, extras={"action_log_probs": stored}), BOUNDS)


def test_actions_that_tanh_rounded_to_the_bounds_are_left_out(source):
    data = read_hdf5(source)
    actions = data.actions.copy()
    actions[::2] = 2.0
    assert check_log_probs(a_policy(), replace(data, actions=actions), BOUNDS).rows == 300
    with pytest.raises(DataError, match=r"all actions of .* lie at the bounds"):
        check_log_probs(a_policy(), replace(data, actions=np.full_like(actions, -2)), BOUNDS)


def test_data_that_cannot_be_compared_are_refused(source):
    data = read_hdf5(source)
    with pytest.raises(DataError, match="has no infos/action_log_probs of one number a step"):
        check_log_probs(a_policy(), replace(data, extras={}), BOUNDS)
    with pytest.raises(DataError, match="takes observations of 3 numbers"):
        check_log_probs(a_policy(), replace(data, observations=data.observations[:, :2]), BOUNDS)


# -------------------------------------------------------------------- the episodes


@pytest.mark.parametrize(("transitions", "episodes"), [(1, 1), (200, 1), (201, 2), (BATCH * LENGTH + 1, BATCH + 1)])
def test_whole_episodes_reach_the_number_of_transitions(source, transitions, episodes):
    done = []
    found = regenerate(source, transitions, task="pendulum", progress=lambda now, whole: done.append((now, whole)))
    data = found.trajectories
    assert len(data) == episodes
    assert data.lengths.tolist() == [LENGTH] * episodes
    assert data.truncations[data.offsets[1:] - 1].all()
    assert done[-1] == (transitions, transitions)


def test_more_transitions_of_a_seed_begin_with_the_same_episodes(source):
    few, many = made(source, 1000).trajectories, made(source, BATCH * LENGTH + 1000).trajectories
    assert few.digest == many[:5].digest
    assert len({float(each.observations[0, 0]) for each in many}) == len(many)
    assert few.digest != made(source, 1000, seed=1).trajectories.digest


def test_actions_and_rewards_are_those_of_policy_and_simulator(source):
    found = made(source, 2000)
    data, policy = found.trajectories, found.policy
    # The log-probabilities are the policy's own, and their mean is minus the entropy, as far as 2,000 draws tell.
    assert check_log_probs(policy, data, BOUNDS).largest < 1e-4
    before = np.arange(data.steps) + np.repeat(np.arange(len(data)), data.lengths)
    acting = TanhGaussianPolicy(policy.hidden, policy.mean, policy.log_std, *BOUNDS)
    mean, std = acting.distribution(data.observations[before])
    noise = (np.arctanh(data.actions / 2.0) - mean) / std
    assert abs(noise.mean()) < 4 / np.sqrt(data.steps)
    assert noise.std() == pytest.approx(1, abs=0.07)
    cosine, sine, speed = data.observations[before].T
    cost = np.arctan2(sine, cosine) ** 2 + 0.1 * speed**2 + 0.001 * data.actions[:, 0] ** 2
    assert data.rewards == pytest.approx(-cost, abs=1e-3)


def test_what_the_file_holds_is_compared_by_its_complete_episodes(source):
    found = made(source)
    assert len(load(source)) == 3
    assert len(found.original) == 2
    assert found.agreement.rows == 600


def test_halfcheetah_earns_what_its_published_data_hold(shared, tmp_path):
    path = tmp_path / "halfcheetah_medium-v2.hdf5"
    path.write_bytes((shared / "real" / "d4rl_slices" / path.name).read_bytes())
    found = regenerate(path, 30_000)
    assert (found.task.name, found.card.id) == ("halfcheetah-d4rl", "d4rl/halfcheetah-medium-v2")
    assert found.trajectories.returns.mean() == pytest.approx(found.card.mean_return, rel=0.05)


# -------------------------------------------------------------------- the files


def test_a_saved_file_regenerates_itself(source, tmp_path):
    found = made(source)
    found.save(tmp_path / "again.hdf5")
    again = read_hdf5(tmp_path / "again.hdf5")
    assert replace(again, provenance=found.trajectories.provenance).digest == found.trajectories.digest
    notes = " ".join(again.provenance.notes)
    assert "stored in source.hdf5, sha256" in notes
    assert "from seed 0" in notes
    assert made(tmp_path / "again.hdf5").trajectories.digest == found.trajectories.digest
    with h5py.File(tmp_path / "again.hdf5") as file:
        assert file["metadata/policy/fc0/weight"].shape == (16, 3)


@pytest.mark.parametrize("name", ["again.offbench", "again.safetensors"])
def test_native_files_keep_the_provenance(source, tmp_path, name):
    found = made(source)
    found.save(tmp_path / name)
    again = native.load(tmp_path / name, verify=True)
    assert again.digest == found.trajectories.digest
    assert again.provenance.task == "pendulum"
    assert again.provenance.dataset == "source-regenerated"
    assert "Pendulum-v1 of gymnasium" in again.provenance.notes[1]


# -------------------------------------------------------------------- what cannot be used


def test_a_file_of_no_known_dataset_needs_a_task(source):
    with pytest.raises(OffbenchError, match=r"no dataset is known whose file is called source\.hdf5; name its task"):
        regenerate(source)


def test_a_task_of_other_sizes_is_refused(source):
    with pytest.raises(DataError, match="the task hopper-v4 has 11 and 3; name the task that the data come from"):
        regenerate(source, task="hopper-v4")


@pytest.mark.parametrize(("transitions", "seed"), [(0, 0), (1, -1)])
def test_numbers_that_are_too_small_are_refused(source, transitions, seed):
    with pytest.raises(OffbenchError, match="transitions must be at least 1 and the seed at least 0"):
        regenerate(source, transitions, seed, task="pendulum")


def test_datasets_that_are_no_single_d4rl_file_are_refused():
    with pytest.raises(OffbenchError, match="is no dataset of one D4RL file"):
        regenerate("offbench/pendulum/swingup-v0")
