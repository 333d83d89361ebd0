"""D4RL's names, arrays and loaders; the loaders against slow loops written from the words of the specification."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbench import d4rl
from offbench.catalog.cards import cards
from offbench.d4rl.files import dataset_file
from offbench.d4rl.registry import card_of, register, task_of
from offbench.environments.single import make_environment
from offbench.environments.task import task
from offbench.errors import DataError, OffbenchError, UnknownNameError
from offbench.formats.d4rl_rows import qlearning_rows
from offbench.formats.hdf5 import read_hdf5

EXAMPLES = settings(max_examples=150, deadline=None)
Dataset = dict[str, np.ndarray]


# -------------------------------------------------------------------- slow references


def slow_qlearning(data: Dataset, limit: int | None, terminate_on_end: bool = False) -> Dataset:
    """Row after row: i = 0 .. N - 2, next_obs = observations[i + 1], done = terminals[i], time-outs dropped."""
    kept: list[tuple[Any, ...]] = []
    clock = 0
    for i in range(len(data["rewards"]) - 1):
        timed_out = bool(data["timeouts"][i]) if "timeouts" in data else clock == limit - 1
        terminal = bool(data["terminals"][i])
        if timed_out and not terminate_on_end:
            clock = 0
        else:
            kept.append(
                (data["observations"][i], data["actions"][i], data["observations"][i + 1], data["rewards"][i], terminal)
            )
            clock = 1 if timed_out or terminal else clock + 1
    names = ("observations", "actions", "next_observations", "rewards", "terminals")
    columns = {name: np.array([row[k] for row in kept]) for k, name in enumerate(names)}
    return {name: column.astype(bool if name == "terminals" else np.float32) for name, column in columns.items()}


def slow_sequences(data: Dataset, limit: int | None) -> Iterator[Dataset]:
    """Every row is kept; cut at a terminal or a time-out; the unfinished tail is dropped."""
    start, clock = 0, 0
    for i in range(len(data["rewards"])):
        timed_out = bool(data["timeouts"][i]) if "timeouts" in data else clock == limit - 1
        clock += 1
        if timed_out or data["terminals"][i]:
            yield {name: np.array([column[k] for k in range(start, i + 1)]) for name, column in data.items()}
            start, clock = i + 1, 1


def assert_same(got: Dataset, expected: Dataset) -> None:
    assert got.keys() == expected.keys()
    for name in expected:
        if len(expected[name]) or len(got[name]):  # an empty list of rows has lost its shape
            assert got[name].dtype == expected[name].dtype, name
            np.testing.assert_array_equal(got[name], expected[name], err_msg=name)


def slices(shared: Path) -> list[Path]:
    found = sorted((shared / "real" / "d4rl_slices").glob("*.hdf5"))
    assert len(found) == 10
    return found


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    rows = draw(st.integers(1, 40))
    ends = st.lists(st.sampled_from([False, False, False, True]), min_size=rows, max_size=rows)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    data = {
        "observations": rng.standard_normal((rows, 2)).astype(dtype),
        "actions": rng.standard_normal((rows, 1)).astype(dtype),
        "rewards": rng.standard_normal(rows).astype(dtype),
        "terminals": np.array(draw(ends)).astype(draw(st.sampled_from([bool, float]))),
    }
    if draw(st.booleans()):
        data["timeouts"] = np.array(draw(ends))  # also together with a terminal
    return data


# -------------------------------------------------------------------- loaders


@EXAMPLES
@given(datasets(), st.integers(1, 12), st.booleans())
def test_qlearning_dataset_is_the_loop(data: Dataset, limit: int, terminate_on_end: bool):
    env = SimpleNamespace(_max_episode_steps=limit)
    got = d4rl.qlearning_dataset(env, data, terminate_on_end=terminate_on_end)
    assert_same(got, slow_qlearning(data, limit, terminate_on_end))
    assert got["observations"].shape[1:] == (2,)


@EXAMPLES
@given(datasets(), st.integers(1, 12))
def test_sequence_dataset_is_the_loop(data: Dataset, limit: int):
    env = SimpleNamespace(_max_episode_steps=limit)
    got, expected = list(d4rl.sequence_dataset(env, data)), list(slow_sequences(data, limit))
    assert len(got) == len(expected)
    for mine, slow in zip(got, expected, strict=True):
        assert_same(mine, slow)


def test_loaders_on_the_published_slices(shared: Path):
    for path in slices(shared):
        data = d4rl.read_arrays(path)
        arrays = {name: column for name, column in data.items() if not name.startswith("metadata")}
        for timeouts in (True, False):
            chosen = {name: column for name, column in arrays.items() if timeouts or name != "timeouts"}
            env = SimpleNamespace(_max_episode_steps=100)
            got = d4rl.qlearning_dataset(env, chosen)
            assert_same(got, slow_qlearning(chosen, 100))
            for mine, slow in zip(d4rl.sequence_dataset(env, chosen), slow_sequences(chosen, 100), strict=True):
                assert_same(mine, slow)


def test_what_the_words_say_of_the_slices(shared: Path):
    folder = shared / "real" / "d4rl_slices"
    cheetah = d4rl.read_arrays(folder / "halfcheetah_medium-v2.hdf5")
    loaded = d4rl.qlearning_dataset(None, cheetah)
    # 2,000 rows in two episodes that time out: each loses its last row, and the last row of all is one of them.
    assert len(loaded["rewards"]) == 1998
    assert {name: column.dtype.name for name, column in loaded.items()} == {
        **dict.fromkeys(("observations", "actions", "next_observations", "rewards"), "float32"),
        "terminals": "bool",
    }
    hopper = d4rl.read_arrays(folder / "hopper_medium-v2.hdf5")
    loaded = d4rl.qlearning_dataset(None, hopper)
    assert (len(loaded["rewards"]), int(loaded["terminals"].sum())) == (910, 1)
    # Behind a terminal stands the next episode's first observation, not the stored one.
    np.testing.assert_array_equal(loaded["next_observations"][469], hopper["observations"][470])
    assert (loaded["next_observations"][469] != hopper["next_observations"][469]).any()
    lengths = [len(episode["rewards"]) for episode in d4rl.sequence_dataset(None, hopper)]
    assert lengths == [470, 441]
    assert not any(name.startswith("metadata") for episode in d4rl.sequence_dataset(None, hopper) for name in episode)


def test_terminate_on_end_keeps_timeouts_and_sets_no_terminal(shared: Path):
    data = d4rl.read_arrays(shared / "real" / "d4rl_slices" / "halfcheetah_medium-v2.hdf5")
    loaded = d4rl.qlearning_dataset(None, data, terminate_on_end=True)
    assert len(loaded["rewards"]) == 1999
    assert not loaded["terminals"].any()


def test_loaders_ask_the_environment_for_what_they_lack():
    data = {name: np.zeros((4, 1)) for name in ("observations", "actions")} | {
        name: np.zeros(4) for name in ("rewards", "terminals")
    }
    asked = []
    env = SimpleNamespace(_max_episode_steps=2, get_dataset=lambda **kwargs: asked.append(kwargs) or data)
    assert len(d4rl.qlearning_dataset(env, h5path="x")["rewards"]) == 2
    assert len(list(d4rl.sequence_dataset(env, h5path="y"))) == 3
    assert asked == [{"h5path": "x"}, {"h5path": "y"}]
    with pytest.raises(OffbenchError, match="no timeouts and the environment no _max_episode_steps"):
        d4rl.qlearning_dataset(None, data)


# -------------------------------------------------------------------- arrays


def test_trajectories_become_the_arrays_of_their_file(shared: Path):
    for path in slices(shared):
        read, arrays = read_hdf5(path), d4rl.read_arrays(path)
        back = d4rl.as_arrays(read)
        assert set(back) == {name for name in arrays if not name.startswith("metadata")}, path.stem
        for name, column in back.items():
            expected = arrays[name].astype(column.dtype)  # float64 and flags of other types were converted
            np.testing.assert_array_equal(column, expected, err_msg=f"{path.stem} {name}")
            if arrays[name].dtype in (np.float32, bool):
                assert column.dtype == arrays[name].dtype
        # The loader reaches the same rows through either.
        loaded = d4rl.qlearning_dataset(None, back)
        np.testing.assert_array_equal(loaded["rewards"], read.rewards[qlearning_rows(read)])


def test_as_arrays_needs_actions_and_rewards(shared: Path):
    from offbench.data.supervision import hide_rewards

    read = read_hdf5(slices(shared)[0])
    with pytest.raises(DataError, match="lacks one of them"):
        d4rl.as_arrays(hide_rewards(read))


def test_read_arrays_gives_every_value_in_its_own_dtype(shared: Path):
    path = shared / "real" / "d4rl_slices" / "hopper_medium_replay-v1.hdf5"
    arrays = d4rl.read_arrays(path)
    assert arrays["rewards"].shape == (49,)  # (49, 1) in the file
    with h5py.File(path) as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        assert set(arrays) == set(names)
        for name in names:
            assert np.asarray(arrays[name]).dtype == file[name].dtype
            np.testing.assert_array_equal(np.ravel(arrays[name]), np.ravel(file[name][()]))
    assert arrays["metadata/algorithm"] == b"SAC"
    assert arrays["metadata/iteration"] == 300


def test_files_that_are_no_d4rl_files(tmp_path: Path):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["observations"], file["actions"] = np.zeros((3, 2)), np.zeros((3, 1))
        file["rewards"] = np.zeros(3)
    with pytest.raises(DataError, match="has no terminals"):
        d4rl.read_arrays(tmp_path / "x.hdf5")
    with h5py.File(tmp_path / "x.hdf5", "a") as file:
        file["terminals"] = np.zeros((3, 2))
    with pytest.raises(DataError, match=r"terminals of .* has shape \(3, 2\); \(3,\) would be right"):
        d4rl.read_arrays(tmp_path / "x.hdf5")
    with h5py.File(tmp_path / "x.hdf5", "a") as file:
        del file["terminals"]
        file["terminals"], file["timeouts"] = np.zeros((3, 1)), np.zeros(2)
    with pytest.raises(DataError, match=r"timeouts of .* has shape \(2,\); it should begin with \(3,\)"):
        d4rl.read_arrays(tmp_path / "x.hdf5")
    with h5py.File(tmp_path / "y.hdf5", "w") as file:
        for name in ("observations", "actions", "rewards", "terminals"):
            file[name] = "text"
    with pytest.raises(DataError, match=r"actions of .* has shape \(\)"):
        d4rl.read_arrays(tmp_path / "y.hdf5")
    with h5py.File(tmp_path / "x.hdf5", "a") as file:
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(DataError, match="is a link"):
        d4rl.read_arrays(tmp_path / "x.hdf5")
    with pytest.raises(DataError, match="does not exist"):
        d4rl.read_arrays(tmp_path / "z.hdf5")


# -------------------------------------------------------------------- environments


def test_every_name_of_d4rl_is_registered():
    names = {each.removeprefix("d4rl/") for each in cards() if each.startswith("d4rl/")}
    assert {"hopper-medium-v2", "halfcheetah-medium-replay-v0", "antmaze-umaze-v0"} <= names
    assert set(d4rl.names()) == names
    assert names <= gymnasium.registry.keys()
    assert register() == []  # once is enough
    for name in names:
        assert task_of(name).low.mean < task_of(name).high.mean


@pytest.fixture
def hopper() -> Iterator[Any]:
    env = gymnasium.make("hopper-medium-v2")
    yield env
    env.close()


def test_an_environment_is_the_task_with_its_dataset(hopper: Any, shared: Path):
    assert (hopper.ref_min_score, hopper.ref_max_score) == (-20.272305, 3234.3)
    assert hopper.get_normalized_score(3234.3) == 1.0
    assert hopper.get_normalized_score(np.array([-20.272305, 1607.0138475])).tolist() == pytest.approx([0, 0.5])
    assert d4rl.get_normalized_score("hopper-medium-v2", 3234.3) == 1.0
    assert d4rl.reverse_normalized_score("hopper-medium-v2", 0.5) == pytest.approx(1607.0138475)
    assert hopper.dataset_url.endswith("hopper_medium-v2.hdf5")
    data = hopper.get_dataset(h5path=shared / "real" / "d4rl_slices" / "hopper_medium-v2.hdf5")
    assert data["observations"].shape == (911, *hopper.observation_space.shape)
    assert data["metadata/policy/fc0/weight"].shape == (256, 11)
    with pytest.raises(DataError, match=r"observations of .* \(17,\) a row; \(11,\) would be right for hopper-medium"):
        hopper.get_dataset(h5path=shared / "real" / "d4rl_slices" / "halfcheetah_medium-v2.hdf5")


def test_an_environment_steps_like_its_task(hopper: Any):
    twin = make_environment(task("hopper-d4rl"))
    for seed in (3, 4):
        np.testing.assert_array_equal(hopper.reset(seed=seed)[0], twin.reset(seed=seed)[0])
        for action in np.random.default_rng(0).uniform(-1, 1, (5, 3)):
            mine, theirs = hopper.step(action), twin.step(action)
            np.testing.assert_array_equal(mine[0], theirs[0])
            assert mine[1:4] == theirs[1:4]
    assert hopper._max_episode_steps == 1000
    assert hopper.model.nq == 6  # names of the simulator reach through
    assert not hasattr(hopper, "no_such_name")
    assert hopper.unwrapped is hopper


def test_an_episode_ends_by_the_clock():
    env = gymnasium.make("maze2d-umaze-v1")
    env.reset(seed=0)
    steps = [env.step(np.zeros(2, np.float32))[2:4] for _ in range(300)]
    assert steps[:-1] == [(False, False)] * 299
    assert steps[-1] == (False, True)
    env.close()


@pytest.mark.parametrize(
    ("name", "observation", "action", "limit"),
    [("antmaze-umaze-v2", 29, 8, 700), ("pen-human-v1", 45, 24, 100), ("maze2d-large-v1", 4, 2, 800)],
)
def test_other_families_have_d4rls_shapes(name: str, observation: int, action: int, limit: int):
    env: Any = gymnasium.make(name)
    assert (env.observation_space.shape, env.action_space.shape) == ((observation,), (action,))
    assert env.reset(seed=0)[0].shape == (observation,)
    assert env.step(env.action_space.sample())[0].shape == (observation,)
    assert env._max_episode_steps == limit
    env.close()


def test_unknown_names_list_the_nearest():
    with pytest.raises(UnknownNameError, match=r"nearest: .*hopper-medium-v2"):
        d4rl.get_normalized_score("hopper-mdium-v2", 1.0)


def test_a_folder_of_d4rl_files_comes_first_and_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OFFBENCH_OFFLINE", "1")
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("D4RL_DATASET_DIR", "")
    card = card_of("hopper-medium-v2")
    with pytest.raises(OffbenchError, match="OFFBENCH_OFFLINE"):
        dataset_file(card)
    d4rl.set_dataset_path(tmp_path)
    (tmp_path / card.files[0].name).write_bytes(b"something else")
    with pytest.raises(OffbenchError, match="is not the published file"):
        dataset_file(card)
    unknown = card.files[0].model_copy(update={"size": None, "sha256": None, "md5": None})
    unchecked = card.model_copy(update={"files": (unknown,)})
    assert dataset_file(unchecked) == tmp_path / card.files[0].name


def test_the_cache_feeds_get_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hopper: Any, shared: Path):
    from offbench.catalog import store

    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path))
    monkeypatch.delenv("D4RL_DATASET_DIR", raising=False)
    place = store.source_paths(card_of("hopper-medium-v2"))[0]
    place.parent.mkdir(parents=True)
    place.write_bytes((shared / "real" / "d4rl_slices" / "hopper_medium-v2.hdf5").read_bytes())
    assert len(d4rl.qlearning_dataset(hopper)["rewards"]) == 910
