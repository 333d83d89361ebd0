from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbench.data.trajectories import Trajectories
from offbench.errors import DataError
from offbench.formats.d4rl_policy import StoredPolicy, read_policy
from offbench.formats.hdf5 import read_hdf5
from offbench.formats.writers import write_d4rl

OBSERVATION, HIDDEN, ACTION = 3, 5, 2


def write_sample(path: Path) -> Path:
    """A file that holds a policy of two hidden layers, as D4RL writes it, beside a row of data."""
    rng = np.random.default_rng(0)
    sizes = {"fc0": (HIDDEN, OBSERVATION), "fc1": (HIDDEN, HIDDEN)}
    sizes |= dict.fromkeys(("last_fc", "last_fc_log_std"), (ACTION, HIDDEN))
    with h5py.File(path, "w") as file:
        file["observations"] = np.zeros((1, OBSERVATION), np.float32)
        policy = file.create_group("metadata/policy")
        for name, shape in sizes.items():
            policy.create_dataset(f"{name}/weight", data=rng.normal(size=shape).astype(np.float32), compression="gzip")
            policy.create_dataset(f"{name}/bias", data=rng.normal(size=shape[0]).astype(np.float32))
        policy["nonlinearity"], policy["output_distribution"] = np.bytes_("relu"), np.bytes_("tanh_gaussian")
        file["metadata/algorithm"], file["metadata/iteration"] = np.bytes_("SAC"), np.int32(200)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_sample(tmp_path / "policy.hdf5")


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    return write_sample(tmp_path_factory.mktemp("sample") / "policy.hdf5").read_bytes()


def change(path: Path, name: str, value: object) -> None:
    """Put a value, or with None nothing, in the place of a member of the policy."""
    with h5py.File(path, "r+") as file:
        if name in file["metadata/policy"]:
            del file[f"metadata/policy/{name}"]
        if value is not None:
            file[f"metadata/policy/{name}"] = value


def test_layers_come_in_their_order_with_inputs_first(path):
    policy = read_policy(path)
    with h5py.File(path) as file:
        stored = file["metadata/policy"]
        for layer, name in zip((*policy.hidden, policy.mean, policy.log_std), stored, strict=False):
            assert np.array_equal(layer[0], stored[name]["weight"][()].T)
            assert np.array_equal(layer[1], stored[name]["bias"])
    assert [layer[0].shape for layer in policy.hidden] == [(OBSERVATION, HIDDEN), (HIDDEN, HIDDEN)]
    assert (policy.observation_size, policy.action_size) == (OBSERVATION, ACTION)
    assert policy.origin == "SAC, iteration 200"


def test_many_layers_act_in_the_order_of_their_numbers(path):
    with h5py.File(path, "r+") as file:
        for number in range(2, 12):
            file[f"metadata/policy/fc{number}/weight"] = np.eye(HIDDEN, dtype=np.float32)
            file[f"metadata/policy/fc{number}/bias"] = np.full(HIDDEN, number, np.float32)
    assert [layer[1][0] for layer in read_policy(path).hidden[2:]] == list(range(2, 12))


def test_what_the_metadata_say_of_the_origin_may_be_missing(path):
    with h5py.File(path, "r+") as file:
        del file["metadata/algorithm"]
    assert read_policy(path).origin == "iteration 200"
    with h5py.File(path, "r+") as file:
        del file["metadata/iteration"]
    assert read_policy(path).origin == ""


def test_a_policy_written_as_metadata_is_read_again(path, tmp_path):
    policy = read_policy(path)
    data = Trajectories(
        observations=np.zeros((2, OBSERVATION), np.float32),
        offsets=np.array([0, 1]),
        terminations=np.zeros(1, bool),
        truncations=np.ones(1, bool),
        actions=np.zeros((1, ACTION), np.float32),
        rewards=np.zeros(1, np.float32),
    )
    texts = {"algorithm": "SAC", "remark": "1 ± 2", "empty": ""}
    write_d4rl(data, tmp_path / "again.hdf5", {**policy.metadata(), **texts, "iteration": 200})
    assert any("remark '1 ± 2'" in note for note in read_hdf5(tmp_path / "again.hdf5").provenance.notes)
    again = read_policy(tmp_path / "again.hdf5")
    for one, other in zip(layers(policy), layers(again), strict=True):
        assert np.array_equal(one, other)
    assert again.origin == policy.origin


def layers(policy: StoredPolicy) -> list[np.ndarray]:
    return [array for layer in (*policy.hidden, policy.mean, policy.log_std) for array in layer]


@pytest.mark.parametrize(
    ("name", "observation", "action", "origin"),
    [("halfcheetah_medium-v2", 17, 6, "SAC, iteration 200"), ("hopper_medium-v2", 11, 3, "SAC, iteration 400")],
)
def test_published_policies(shared, name, observation, action, origin):
    policy = read_policy(shared / "real" / "d4rl_slices" / f"{name}.hdf5")
    assert [layer[0].shape for layer in policy.hidden] == [(observation, 256), (256, 256)]
    assert (policy.observation_size, policy.action_size, policy.origin) == (observation, action, origin)


def test_published_files_without_such_a_policy(shared):
    folder = shared / "real" / "d4rl_slices"
    with pytest.raises(DataError, match="has nonlinearity 'tanh' and output_distribution 'gaussian'; only those of"):
        read_policy(folder / "pen-expert-v1.hdf5")
    with pytest.raises(DataError, match=r"holds no policy \(metadata/policy\)"):
        read_policy(folder / "hopper_medium_replay-v1.hdf5")


# -------------------------------------------------------------------- what cannot be used

NAN = np.full((ACTION, HIDDEN), np.nan, np.float32)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("nonlinearity", None, "has nonlinearity None and output_distribution 'tanh_gaussian'"),
        ("nonlinearity", np.bytes_("x" * 100), "nonlinearity of .* is no text of a fixed length of up to 64 bytes"),
        ("nonlinearity", "relu", "nonlinearity of .* is no text of a fixed length"),
        ("nonlinearity", 3, "nonlinearity of .* is no text of a fixed length"),
        ("last_fc", None, "has the members"),
        ("fc0", None, "without a gap"),
        ("layer_norm", np.zeros(3), "has the members"),
        ("fc1/bias", None, r"metadata/policy/fc1 of .* has the members \['weight'\]; weight and bias are right"),
        ("fc1", np.zeros(3), r"metadata/policy/fc1 of .* has the members \[\]; weight and bias are right"),
        ("fc1/bias", np.zeros(4, np.float32), r"has weight \(5, 5\) and bias \(4,\); \(out, in\) and \(out,\)"),
        ("fc1/weight", np.zeros((5, 4), np.float32), "metadata/policy/fc1 of .* takes 4 numbers and is given 5"),
        ("fc1/weight", np.zeros((5, 0), np.float32), "would be right"),
        ("fc1/weight", np.zeros((5, 5), np.int32), "dtype int32; floating-point numbers"),
        ("fc1/weight", np.zeros((5, 20_000), np.float32), "at most 16,384 units a layer"),
        ("fc1/weight", np.bytes_("abc"), "has dtype"),
        ("last_fc/weight", NAN, "metadata/policy/last_fc of .* holds numbers that are not finite"),
        ("last_fc/weight", np.full((ACTION, HIDDEN), 1e300), "holds numbers that are not finite"),
        ("fc1/weight", h5py.SoftLink("/metadata/policy/fc0/weight"), "is a link"),
        ("fc1", h5py.ExternalLink("other.hdf5", "/fc1"), "is a link"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_policy_that_cannot_be_used_is_refused(path, name, value, sentence):
    change(path, name, value)
    with pytest.raises(DataError, match=sentence):
        read_policy(path)


def test_heads_of_different_sizes_are_refused(path):
    change(path, "last_fc_log_std/weight", np.zeros((ACTION + 1, HIDDEN), np.float32))
    change(path, "last_fc_log_std/bias", np.zeros(ACTION + 1, np.float32))
    with pytest.raises(DataError, match="gives 2 means and 3 standard deviations"):
        read_policy(path)


def test_weights_that_are_only_declared_take_no_memory(path):
    change(path, "fc0/weight", None)
    with h5py.File(path, "r+") as file:
        file["metadata/policy/fc0"].create_dataset("weight", (2**40, 3), "f4", chunks=(2**20, 3), compression="gzip")
    with pytest.raises(DataError, match="but the file holds only"):
        read_policy(path)


def test_what_is_no_such_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_policy(tmp_path / "missing.hdf5")
    (tmp_path / "text.hdf5").write_text("no HDF5")
    with pytest.raises(DataError, match="is not an HDF5 file"):
        read_policy(tmp_path / "text.hdf5")
    with h5py.File(tmp_path / "flat.hdf5", "w") as file:
        file["metadata"] = np.zeros(3)
    with pytest.raises(DataError, match="holds no policy"):
        read_policy(tmp_path / "flat.hdf5")


@settings(max_examples=150, deadline=2000)
@given(
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_a_damaged_file_gives_a_finite_policy_or_a_data_error(content, tmp_path_factory, changes, kept):
    damaged = bytearray(content)
    for place, byte in changes:
        damaged[int(place * len(damaged))] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.hdf5"
    path.write_bytes(bytes(damaged[: int(kept * len(damaged))]))
    try:
        policy = read_policy(path)
    except DataError:
        return
    assert all(np.isfinite(array).all() for array in layers(policy))
