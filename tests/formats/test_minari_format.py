"""Reading Minari datasets that minari itself wrote, in all its formats, and broken ones."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import numpy as np
import pytest
from gymnasium import spaces

from offbench.errors import DataError, OffbenchError
from offbench.formats.minari_format import read_minari

minari = pytest.importorskip("minari")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
from minari.data_collector import EpisodeBuffer  # noqa: E402

FORMATS = ["hdf5", "arrow", "parquet"]
BOX = spaces.Box(-5, 5, (2,), np.float32)
ACTIONS = spaces.Box(-1, 1, (1,), np.float32)


@pytest.fixture(autouse=True)
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return tmp_path


def episode(steps: int, seed: int = 0, end: str = "truncations", **changes: Any) -> EpisodeBuffer:
    rng = np.random.default_rng(seed)
    last = np.arange(steps) == steps - 1
    columns = {
        "observations": rng.uniform(-1, 1, (steps + 1, 2)).astype(np.float32),
        "actions": rng.uniform(-1, 1, (steps, 1)).astype(np.float32),
        "rewards": rng.random(steps).tolist(),
        "terminations": last if end == "terminations" else last & False,
        "truncations": last if end == "truncations" else last & False,
        "infos": {"qpos": rng.random((steps + 1, 3)), "deep": {"er": np.arange(steps + 1)}},
    } | changes
    return EpisodeBuffer(**columns)


def write(buffers: list[EpisodeBuffer], storage: str = "hdf5", **spaces_given: Any) -> Path:
    given = {"observation_space": BOX, "action_space": ACTIONS} | spaces_given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # minari wants an author and much else
        dataset = minari.create_dataset_from_buffers("test/some-v0", buffers, data_format=storage, **given)
    return Path(dataset.storage.data_path).parent


def change_metadata(folder: Path, **changes: Any) -> Path:
    path = folder / "data" / "metadata.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))
    return folder


# -------------------------------------------------------------------- sound datasets


@pytest.mark.parametrize("storage", FORMATS)
def test_every_format_holds_the_same(storage: str) -> None:
    buffers = [episode(7, 1), episode(4, 2, "terminations"), episode(1, 3, "cut")]
    folder = write(buffers, storage)
    trajectories = read_minari(folder)
    assert trajectories.lengths.tolist() == [7, 4, 1]
    assert np.array_equal(trajectories.observations, np.concatenate([b.observations for b in buffers]))
    assert np.array_equal(trajectories.actions, np.concatenate([b.actions for b in buffers]))
    assert np.array_equal(trajectories.rewards, np.concatenate([b.rewards for b in buffers]).astype(np.float32))
    assert np.flatnonzero(trajectories.truncations).tolist() == [6]
    assert np.flatnonzero(trajectories.terminations).tolist() == [10]
    assert trajectories.final_observations.all()
    assert np.array_equal(trajectories.extras["qpos"], np.concatenate([b.infos["qpos"][:-1] for b in buffers]))
    assert trajectories.extras["deep/er"].tolist() == [*range(7), *range(4), 0]
    assert [bound.tolist() for bound in trajectories.action_range] == [[-1], [1]]
    assert trajectories.provenance.dataset == "test/some-v0"
    assert trajectories.provenance.task is None
    assert read_minari(folder / "data").digest == trajectories.digest
    assert read_minari(minari.load_dataset("test/some-v0")).digest == trajectories.digest


def test_the_environment_is_named(tmp_path: Path) -> None:
    pendulum = gym.make("Pendulum-v1")
    box = pendulum.observation_space
    buffers = [episode(3, observations=np.zeros((4, 3), np.float32))]
    folder = write(buffers, env=pendulum, observation_space=box, action_space=pendulum.action_space)
    trajectories = read_minari(folder)
    assert trajectories.provenance.notes[0] == "recorded in Pendulum-v1"
    assert [bound.tolist() for bound in trajectories.action_range] == [[-2], [2]]


MAZE = spaces.Dict(dict.fromkeys(("achieved_goal", "desired_goal", "observation"), BOX))


def maze_episode(steps: int) -> EpisodeBuffer:
    rows = np.arange(steps + 1, dtype=np.float32)[:, None] / 10
    first = {"achieved_goal": 1, "desired_goal": 2, "observation": 3}
    return episode(steps, observations={name: np.repeat(rows + value, 2, axis=1) for name, value in first.items()})


@pytest.mark.parametrize("storage", FORMATS)
def test_dictionaries_are_joined_as_asked(storage: str) -> None:
    folder = write([maze_episode(2), maze_episode(1)], storage, observation_space=MAZE)
    trajectories = read_minari(folder)
    assert np.floor(trajectories.observations).tolist() == [[3, 3, 2, 2]] * 5
    assert trajectories.extras["achieved_goal"][:, 0].tolist() == pytest.approx([1, 1.1, 1])
    assert "observations are observation, desired_goal, joined in this order" in trajectories.provenance.notes
    d4rl = read_minari(folder, observation=("achieved_goal", "observation"))
    assert np.floor(d4rl.observations).tolist() == [[1, 1, 3, 3]] * 5
    assert "desired_goal" in d4rl.extras
    with pytest.raises(DataError, match=r"has the observation entries \['achieved_goal', .*\], not \['goal'\]"):
        read_minari(folder, observation=("goal",))


def test_other_dictionaries_are_joined_whole_and_nested_ones_by_path() -> None:
    space = spaces.Dict({"b": spaces.Dict({"x": BOX, "n": spaces.Discrete(4)}), "a": BOX})
    steps = {"b": {"x": np.full((3, 2), 2, np.float32), "n": np.full(3, 3)}, "a": np.full((3, 2), 1, np.float32)}
    folder = write([episode(2, observations=steps)], observation_space=space)
    trajectories = read_minari(folder)
    assert trajectories.observations[0].tolist() in ([1, 1, 3, 2, 2], [1, 1, 2, 2, 3])
    assert read_minari(folder, observation=("b/n", "a")).observations[0].tolist() == [3, 1, 1]
    with pytest.raises(DataError, match=r"are one array, so that .'x'. cannot be chosen"):
        read_minari(rewritten(folder), observation=("x",))


def rewritten(folder: Path) -> Path:
    shutil.rmtree(folder)
    return write([episode(3)])


@pytest.mark.parametrize("storage", FORMATS)
def test_discrete_spaces_become_one_column(storage: str) -> None:
    buffer = episode(3, observations=np.arange(4), actions=np.array([2, 0, 1]))
    folder = write([buffer], storage, observation_space=spaces.Discrete(4), action_space=spaces.Discrete(3))
    trajectories = read_minari(folder)
    assert trajectories.observations.tolist() == [[0], [1], [2], [3]]
    assert trajectories.actions.tolist() == [[2], [0], [1]]
    assert trajectories.action_range is None


def test_floats_of_a_discrete_space_are_whole_numbers_and_those_of_a_box_stay() -> None:
    buffer = episode(3, observations=np.arange(4.0), actions=np.array([1.0, 0.0, 1.0]))
    folder = write([buffer], observation_space=spaces.Discrete(4), action_space=spaces.Discrete(2))
    trajectories = read_minari(folder)
    assert (trajectories.observations.dtype, trajectories.actions.dtype) == (np.int64, np.int64)
    assert trajectories.actions.tolist() == [[1], [0], [1]]
    shutil.rmtree(folder)
    box = spaces.Box(0, 1, (1,), np.float32)
    boxed = read_minari(write([episode(3, actions=np.array([[1.0], [0.0], [1.0]], np.float32))], action_space=box))
    assert boxed.actions.dtype == np.float32


def test_a_termination_inside_an_episode_stays_there() -> None:
    flags = np.array([False, True, False, False])
    trajectories = read_minari(write([episode(4, terminations=flags), episode(2, 5)]))
    assert trajectories.lengths.tolist() == [4, 2]
    assert trajectories.inner_terminations.tolist() == [1]


def test_time_outs_inside_an_episode_cut_it_and_lose_nothing() -> None:
    flags = np.array([False, True, False, False])
    buffer = episode(4, truncations=flags)
    trajectories = read_minari(write([buffer, episode(2, 5)]))
    assert trajectories.lengths.tolist() == [2, 2, 2]
    assert np.array_equal(trajectories.observations[[0, 1, 2, 3, 4, 5]], buffer.observations[[0, 1, 2, 2, 3, 4]])
    assert "1 time-outs stand inside an episode, which is cut there" in trajectories.provenance.notes


def test_an_episode_without_its_final_observation_does_not_block_the_others() -> None:
    short = episode(3, 1, observations=np.ones((3, 2), np.float32))
    trajectories = read_minari(write([episode(4), short]))
    assert trajectories.lengths.tolist() == [4, 3]
    assert trajectories.final_observations.tolist() == [True, False]
    assert np.array_equal(trajectories.observations[-1], trajectories.observations[-2])
    assert (
        "1 episodes have no final observation; their last one repeats the one before" in trajectories.provenance.notes
    )


def test_a_text_among_the_observations_is_left_out_and_named() -> None:
    space = spaces.Dict({"state": BOX, "mission": spaces.Text(9)})
    observations = {"state": np.ones((4, 2), np.float32), "mission": ["go"] * 4}
    trajectories = read_minari(write([episode(3, observations=observations)], observation_space=space))
    assert trajectories.observations.shape == (4, 2)
    assert any("observations/mission" in note for note in trajectories.provenance.notes)


def test_infos_that_no_column_can_hold_are_named() -> None:
    texts = episode(2, infos={"text": ["a", "b", "c"], "x": np.arange(3)})
    trajectories = read_minari(write([texts, episode(1, infos={"y": np.arange(2)})]))
    assert trajectories.extras == {}
    assert "not read, as they are no numbers or not in every episode: text, x, y" in trajectories.provenance.notes


def test_actions_outside_their_space_are_kept_without_a_range() -> None:
    trajectories = read_minari(write([episode(2, actions=np.array([[0.5], [3]], np.float32))]))
    assert trajectories.action_range is None
    assert "1 actions lie outside the action space" in trajectories.provenance.notes[-1]


STEPS = 140_000
BATCH = 32_768


def long_episode(storage: str, order: list[int]) -> Path:
    """A dataset whose first episode is written in batches in this order; minari's reader stops after 131,072 rows."""
    folder = write([episode(3, infos=None), episode(3, infos=None)], storage)
    rows = np.arange(STEPS + 1, dtype=np.float32)
    pairs = pa.FixedSizeListArray.from_arrays(np.repeat(rows, 2), 2)
    singles = pa.FixedSizeListArray.from_arrays(np.zeros(len(rows), np.float32), 1)
    flags = np.zeros(len(rows), dtype=bool)
    columns = {"observations": pairs, "actions": singles, "rewards": rows, "terminations": flags, "truncations": flags}
    whole = pa.table(columns)
    batches = [whole.slice(BATCH * number, BATCH) for number in order]
    place = folder / "data" / "0" / f"part-0.{storage}"
    opened = pa.ipc.new_file if storage == "arrow" else pq.ParquetWriter
    with opened(place, whole.schema) as writer:
        for batch in batches:
            writer.write_table(batch)
    return change_metadata(folder, total_steps=STEPS + 3)


@pytest.mark.parametrize("storage", ["arrow", "parquet"])
def test_long_episodes_are_whole_where_minari_cuts_them(storage: str) -> None:
    trajectories = read_minari(long_episode(storage, [0, 1, 2, 3, 4]))
    assert trajectories.lengths.tolist() == [STEPS, 3]
    assert np.array_equal(trajectories.observations[: STEPS + 1, 0], np.arange(STEPS + 1))
    assert np.array_equal(trajectories.rewards[:STEPS], np.arange(STEPS))
    assert len(minari.load_dataset("test/some-v0")[0].rewards) < STEPS  # when this fails, minari has mended it


@pytest.mark.parametrize("storage", ["arrow", "parquet"])
def test_batches_out_of_order_are_found(storage: str) -> None:
    with pytest.raises(DataError, match=r"the rows of .* are out of order .batches of 32768, 8929, 32768"):
        read_minari(long_episode(storage, [0, 4, 1, 2, 3]))
    shutil.rmtree(Path(minari.load_dataset("test/some-v0").storage.data_path).parent)
    with pytest.raises(DataError, match="out of order"):
        read_minari(long_episode(storage, [4, 0, 1, 2, 3]))


@pytest.mark.filterwarnings("ignore")
def test_what_the_data_collector_records_is_read() -> None:
    pytest.importorskip("jax", reason="minari's DataCollector needs jax (minari[create])")
    collector = minari.DataCollector(gym.make("Pendulum-v1", max_episode_steps=20), record_infos=True)
    returns = []
    for seed in range(3):
        collector.action_space.seed(seed)
        collector.reset(seed=seed)
        rewards, over = [], False
        while not over:
            _, reward, terminated, truncated, _ = collector.step(collector.action_space.sample())
            rewards.append(float(reward))
            over = terminated or truncated
        returns.append(sum(rewards))
    collector.create_dataset("pendulum/recorded-v0")
    trajectories = read_minari(minari.load_dataset("pendulum/recorded-v0"))
    assert trajectories.lengths.tolist() == [20, 20, 20]
    assert trajectories.returns == pytest.approx(returns, rel=1e-5)
    assert trajectories.truncations.sum() == 3


# -------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"total_steps": 6}, "has 5 steps, and its metadata promise 6; fetch it anew"),
        ({"total_episodes": 3}, "has no group episode_2, which the metadata promise"),
        ({"total_episodes": 1}, "has 3 steps, and its metadata promise 5"),
        ({"total_episodes": -1}, "both must be counts"),
        ({"total_steps": "many"}, "both must be counts"),
        ({"total_steps": None}, r"is no metadata of a Minari dataset, or damaged \(KeyError"),
        ({"total_steps": 10**400, "total_episodes": 10**399}, "has no group episode_2"),
        ({"total_episodes": 6}, "has more episodes than steps"),
        ({"total_episodes": 0, "total_steps": 0}, "has no episodes; at least one would be right"),
        ({"data_format": "zip"}, "has the data format 'zip'; hdf5, arrow and parquet are read"),
        (
            {"observation_space": '{"type": "Tuple", "subspaces": []}'},
            "the observation space of .* is or holds a tuple",
        ),
        ({"observation_space": '{"type": "Text"}'}, "the observation space of .* is or holds a text"),
        ({"observation_space": '{"type": "exec"}'}, "the observation space of .* is of the unknown kind 'exec'"),
        ({"observation_space": '{"type": "Box"}'}, "the observation space of .* is damaged .KeyError"),
        ({"observation_space": "["}, "is no metadata of a Minari dataset, or damaged"),
        ({"observation_space": "[" * 100_000}, "is no metadata of a Minari dataset, or damaged"),
        (
            {"observation_space": '{"type": "Box", "dtype": "uint8", "shape": [64, 64, 3]}'},
            "is or holds an image, which Minari keeps as JPEG",
        ),
        (
            {"observation_space": '{"type": "Box", "dtype": "float32", "shape": [3]}'},
            r"has shape \(4, 2\); \(3,\) a row",
        ),
        ({"action_space": '{"type": "Dict", "subspaces": {}}'}, "has a dictionary of actions"),
        (
            {"action_space": '{"type": "Box", "dtype": "float32", "shape": [1], "low": ["x"], "high": [1]}'},
            "the action space of .* is damaged",
        ),
    ],
)
def test_metadata_that_do_not_fit_are_refused(changes: dict[str, Any], sentence: str) -> None:
    folder = change_metadata(write([episode(3), episode(2)]), **changes)
    with pytest.raises(DataError, match=sentence):
        read_minari(folder)


def test_spaces_that_are_not_described_are_taken_from_the_data() -> None:
    folder = write([episode(3)])
    described = read_minari(folder)
    spec = {"id": "Evil-v0", "entry_point": "this:exit"}  # which minari's own loader would make
    change_metadata(folder, observation_space=None, action_space=None, env_spec=json.dumps(spec))
    plain = read_minari(folder)
    assert np.array_equal(plain.observations, described.observations)
    assert plain.action_range is None
    assert plain.provenance.notes[0] == "recorded in Evil-v0"


def test_folders_without_a_dataset_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder; give the folder of a Minari dataset"):
        read_minari(tmp_path / "absent")
    with pytest.raises(DataError, match=r"has no data/metadata.json; give the folder of a Minari dataset"):
        read_minari(tmp_path)


@pytest.mark.parametrize("name", ["actions", "rewards", "terminations", "observations"])
@pytest.mark.parametrize("change", ["absent", "short", "external"])
def test_columns_that_are_wrong_are_named(name: str, change: str, tmp_path: Path) -> None:
    folder = write([episode(3), episode(2)])
    with h5py.File(folder / "data" / "main_data.hdf5", "a") as file:
        group = file["episode_1"]
        column = group[name][:]
        del group[name]
        if change == "short":
            # Observations without the final one are of an episode whose end was not recorded.
            group[name] = column[: -2 if name == "observations" else -1]
        elif change == "external":
            group[name] = h5py.ExternalLink("other.hdf5", "/x")
    expected = {"absent": f"has no {name}", "short": "of episode 1 of .* has [1-3] rows", "external": "is a link"}[
        change
    ]
    with pytest.raises(DataError, match=expected):
        read_minari(folder)


@pytest.mark.parametrize("storage", FORMATS)
def test_truncated_and_missing_files_are_found(storage: str) -> None:
    folder = write([episode(300), episode(200)], storage)
    place = folder / "data" / ("main_data.hdf5" if storage == "hdf5" else f"1/part-0.{storage}")
    whole = place.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 20):
        place.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"damaged|is not an HDF5 file"):
            read_minari(folder)
    place.unlink()
    with pytest.raises(DataError, match=r"does not exist|has no part files of episode 1"):
        read_minari(folder)


def test_without_pyarrow_the_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write([episode(3)], "arrow")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(OffbenchError, match="holds arrow files; install pyarrow to read them"):
        read_minari(folder)
