"""Published preference labels: IPL files, pickles that are read without being run, and rows that become segments."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from offbench.data.trajectories import Trajectories
from offbench.errors import DataError
from offbench.formats import pickled_arrays
from offbench.formats.d4rl_rows import qlearning_rows
from offbench.formats.pickled_arrays import read_pickled_array
from offbench.formats.preference_files import read_ipl, read_labels, read_rows

NUMBERS = st.one_of(arrays.integer_dtypes(endianness="?"), arrays.floating_dtypes(endianness="?", sizes=(32, 64)))


def write(path: Path, thing: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(thing, protocol))
    return path


# -------------------------------------------------------------------- pickles of numbers


@given(
    st.one_of(NUMBERS, st.just(np.dtype(bool))).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0))
    ),
    st.sampled_from([2, 3, 4, 5]),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_arrays_come_back_as_pickle_gives_them(array: np.ndarray, protocol: int, fortran: bool) -> None:
    array = np.asfortranarray(array) if fortran else array
    with tempfile.TemporaryDirectory() as folder:
        found = read_pickled_array(write(Path(folder) / "x.pkl", array, protocol))
    assert found.shape == array.shape
    assert found.dtype == array.dtype.newbyteorder("=")
    assert np.array_equal(found, array, equal_nan=array.dtype.kind == "f")


@given(
    st.lists(st.one_of(st.integers(-(2**62), 2**62), st.floats(allow_nan=False)), min_size=1, max_size=3000),
    st.sampled_from([2, 3, 4, 5]),
)
@settings(max_examples=40, deadline=None)
def test_lists_come_back_as_arrays(numbers: list[float], protocol: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "x.pkl", numbers, protocol)
        assert np.array_equal(read_pickled_array(path), np.array(numbers))


def test_a_list_of_numpys_numbers_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "x.pkl", [np.int64(3), np.float32(0.5), np.int64(-1)])
    assert read_pickled_array(path).tolist() == [3, 0.5, -1]


class Call:
    """Pickles as a call of something."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.what = function, arguments

    def __reduce__(self) -> Any:
        return self.what


class Built(np.ndarray):
    """Pickles as an ndarray that is filled with whatever state it has."""

    state: Any

    def __reduce__(self) -> Any:
        return *np.zeros(0).__reduce__()[:2], self.state


def filled(*state: Any) -> np.ndarray:
    array = np.zeros(0).view(Built)
    array.state = state
    return array


INT = np.dtype("<i4")


@pytest.mark.parametrize(
    ("thing", "sentence"),
    [
        (
            Call(os.system, "touch run"),
            "a pickle with a call of posix.system; only an array or a list of numbers is read",
        ),
        (Call(eval, "open('run', 'w')"), "a call of builtins.eval"),
        ([1, Call(os.system, "touch run")], "a call of posix.system"),
        (np.array([{"a": 1}], dtype=object), "an array of dtype 'O8'"),
        (np.array(["left"]), "an array of dtype 'U4'"),
        (np.zeros(2, dtype=[("a", "i4")]), "an array of dtype 'V4'|a state that numpy does not write|of records"),
        (np.zeros(2, dtype="M8[s]"), "an array of dtype 'M8'"),
        ({"labels": [1]}, "the instruction EMPTY_DICT"),
        ("labels", "no array"),
        ([], "no array"),
        (["a"], "a list of something other than numbers"),
        ([[1, 2], [3, 4]], "a list of something other than numbers"),
        ([2**70], "a list of something other than numbers"),
        ([True], "a list of something other than numbers"),
        ((1, 2), "no array"),
        (filled(1, (10**12,), INT, False, b"1234"), "no pickle, or a damaged one .an array of shape"),
        (filled(1, (2**40, 2**40, 0), INT, False, b""), "no pickle, or a damaged one"),
        (filled(1, (-1, -1), INT, False, b"1234"), "an array of a shape that no array has"),
        (filled(1, (1.0,), INT, False, b"1234"), "an array of a shape that no array has"),
        (filled(1, (1,), INT, False, "text"), "an array of something other than numbers"),
        (filled(1, (2,), INT, False, [1, 2]), "an array of something other than numbers"),
        (filled(1, (1,), "i4", False, b"1234"), "an array of something other than numbers"),
        (filled(1, (2,), np.dtype(bool), False, b"\0\2"), "an array of bools holds a byte that is neither 0 nor 1"),
        (filled(2, (1,), INT, False, b"1234"), "a state that numpy does not write"),
    ],
)
def test_anything_but_numbers_is_refused_and_nothing_runs(
    tmp_path: Path, thing: Any, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=sentence):
        read_pickled_array(write(tmp_path / "x.pkl", thing))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is no pickle, or a damaged one"),
        (b"\x80\x04", "is no pickle, or a damaged one"),
        (b".", "more than one thing in it"),
        (b"K\x01K\x02.", "more than one thing in it"),
        (b"K\x01.K\x02.", "more than one thing in it"),
        (b"e.", "instruction APPENDS at byte 0 finds nothing to work on"),
        (b"a.", "instruction APPEND at byte 0 finds nothing to work on"),
        (b"K\x01e.", "instruction APPENDS at byte 2 finds nothing to work on"),
        (b"R.", "instruction REDUCE at byte 0 finds nothing to work on"),
        (b"b.", "instruction BUILD at byte 0 finds nothing to work on"),
        (b"h\x07.", "instruction BINGET at byte 0 finds nothing to work on"),
        (b"\x94.", "instruction MEMOIZE at byte 0 finds nothing to work on"),
        (b"\x93.", "instruction STACK_GLOBAL at byte 0 finds nothing to work on"),
        (b"K\x01K\x02\x93.", "a name that is no text"),
        (b"]]\x93)R.", "a name that is no text"),
        (b"cos\nsystem\n(S'touch run'\ntR.", "the instruction STRING"),
        (b"(ios\nsystem\n.", "the instruction INST"),
        (b"(K\x01K\x02(t.", "more than one thing in it"),
        (b"cos\nsystem\n.", "no array"),
        (b"P0\n.", "the instruction PERSID"),
        (b"]\x94(h\x00e.", "a list of something other than numbers"),
        (b"\x8e" + struct.pack("<Q", 2**62) + b"x.", "is no pickle, or a damaged one"),
        (b"\x8b" + struct.pack("<i", -5) + b"x.", "is no pickle, or a damaged one"),
        (b"I" + b"9" * 5000 + b"\n.", "is no pickle, or a damaged one|the instruction INT"),
        (b"\x82\x01.", "the instruction EXT1"),
        (b"\x97.", "the instruction NEXT_BUFFER"),
    ],
)
def test_odd_instructions_are_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        read_pickled_array(path)


def test_endless_pickles_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pickled_arrays._MOST_INSTRUCTIONS == 2_000_000
    monkeypatch.setattr(pickled_arrays, "_MOST_INSTRUCTIONS", 20_000)
    path = tmp_path / "x.pkl"
    path.write_bytes(b"]" * 21_000)
    with pytest.raises(DataError, match=r"more than 20,000 instructions"):
        read_pickled_array(path)
    path.write_bytes(bytes(17 * 2**20))
    with pytest.raises(DataError, match=r"has 17,825,792 bytes; a pickle of up to 16,777,216 is read"):
        read_pickled_array(path)
    with pytest.raises(DataError, match=r"does not exist; give the path of a pickled array"):
        read_pickled_array(tmp_path / "absent")


# -------------------------------------------------------------------- IPL


def ipl(path: Path, **changes: Any) -> Path:
    rng = np.random.default_rng(0)
    columns = {
        "obs_1": rng.random((3, 5, 2)),
        "obs_2": rng.random((3, 5, 2)),
        "action_1": rng.random((3, 5, 1)),
        "action_2": rng.random((3, 5, 1)),
        "label": np.array([0.0, 0.5, 1.0]),
    } | changes
    np.savez(path, **{name: column for name, column in columns.items() if column is not None})
    return path


def test_ipl_files_are_read(tmp_path: Path) -> None:
    preferences = read_ipl(ipl(tmp_path / "x.npz", seed=np.array(4)))
    assert (len(preferences), preferences.length) == (3, 5)
    assert preferences.labels.tolist() == [0, 0.5, 1]
    with np.load(tmp_path / "x.npz") as file:
        assert np.array_equal(preferences.second.observations, file["obs_2"].astype(np.float32))
        assert np.array_equal(preferences.first.actions, file["action_1"].astype(np.float32))
    assert "not read: 'seed'" in preferences.provenance.notes


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"label": None, "obs_2": None}, "has no obs_2, label; an IPL file of preferences has obs_1, obs_2, action_1"),
        ({"label": np.array([0, 1, -1])}, "labels of .* must be one number a pair, 0, 0.5 or 1"),
        ({"label": np.zeros((3, 2))}, "labels of .* must be one number a pair"),
        ({"obs_2": np.zeros((3, 4, 2))}, r"observations of .* have shapes \(3, 5, 2\) and \(3, 4, 2\)"),
        ({"action_1": np.full((3, 5, 1), 1e300)}, "actions of .* have NaN or infinite values"),
        ({"action_1": np.array([None])}, "'action_1' of .* holds Python objects, which can run code"),
    ],
)
def test_wrong_ipl_files_are_refused(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_ipl(ipl(tmp_path / "x.npz", **changes))


# -------------------------------------------------------------------- D4RL's rows


def qlearning_dataset(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """D4RL's loop, reduced to what decides on rows."""
    kept = [i for i in range(len(columns["rewards"]) - 1) if not columns["timeouts"][i]]
    return {name: column[kept] for name, column in columns.items()}


def dataset(lengths: list[int], ends: str, **changes: Any) -> tuple[Trajectories, dict[str, np.ndarray]]:
    """Trajectories whose observations count steps, and the same as D4RL's columns."""
    steps = sum(lengths)
    last = np.cumsum(lengths) - 1
    marks = np.array(list(ends))
    terminations, truncations = np.zeros(steps, dtype=bool), np.zeros(steps, dtype=bool)
    terminations[last[marks == "t"]] = True
    truncations[last[marks == "l"]] = True
    rows = np.arange(steps, dtype=np.float32)[:, None]
    observations = np.insert(rows, last + 1, rows[last], axis=0)
    columns = {
        "observations": observations,
        "offsets": np.concatenate([[0], last + 1]),
        "terminations": terminations,
        "truncations": truncations,
        "actions": rows,
        "rewards": rows[:, 0],
        "final_observations": np.zeros(len(lengths), dtype=bool),
    } | changes
    d4rl = {"observations": rows, "rewards": rows[:, 0], "terminals": terminations, "timeouts": truncations}
    return Trajectories(**columns), d4rl


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from("tlc")), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_rows_are_those_of_d4rls_loop(episodes: list[tuple[int, str]]) -> None:
    trajectories, d4rl = dataset([length for length, _ in episodes], "".join(end for _, end in episodes))
    rows = qlearning_rows(trajectories)
    assert np.array_equal(trajectories.rewards[rows], qlearning_dataset(d4rl)["rewards"])


# -------------------------------------------------------------------- folders of labels


def transformer_folder(folder: Path, first: Any, second: Any, labels: Any) -> Path:
    write(folder / "indices_num3", np.asarray(first, np.int32))
    write(folder / "indices_2_num3", np.asarray(second, np.int64))
    write(folder / "label_human", list(labels))
    return folder


def test_indices_count_rows_without_timeouts(tmp_path: Path) -> None:
    trajectories, d4rl = dataset([6, 6, 6, 4], "llll")
    transformer_folder(tmp_path, [0, 5, 10, 99], [7, 2, 16, 99], [0, 1, -1])  # more indices than labels, as published
    preferences = read_labels(tmp_path, trajectories, length=2)
    filtered = qlearning_dataset(d4rl)["rewards"]
    assert preferences.labels.tolist() == [0, 1, 0.5]
    assert preferences.first.rewards.tolist() == [filtered[i : i + 2].tolist() for i in (0, 5, 10)]
    assert preferences.second.rewards.tolist() == [filtered[i : i + 2].tolist() for i in (7, 2, 16)]
    assert preferences.first.starts.tolist() == [0, 6, 12]
    assert preferences.provenance.notes[-1] == "labels of label_human, segments of 2 steps"


def test_pairs_across_a_time_out_are_left_out_and_many_are_refused(tmp_path: Path) -> None:
    trajectories, _ = dataset([11] * 30, "l" * 30)
    first = np.arange(0, 290, 10)  # the first of 10 rows each
    transformer_folder(tmp_path, [*first[:-1], 288], first, [0] * 29)
    preferences = read_labels(tmp_path, trajectories, length=5)
    assert len(preferences) == 28
    assert preferences.provenance.notes[-1] == "1 of 29 pairs cross the end of an episode and are left out"
    transformer_folder(tmp_path, first + 6, first, [0] * 29)
    with pytest.raises(DataError, match=r"29 of 29 pairs of .* cross the end of an episode of .*made for"):
        read_labels(tmp_path, trajectories, length=5)
    transformer_folder(tmp_path, [299], [0], [1])
    with pytest.raises(DataError, match=r"points at row 303, and this dataset has 300 rows without its time-outs"):
        read_labels(tmp_path, trajectories, length=5)


def test_terminations_part_only_where_the_episode_ends(tmp_path: Path) -> None:
    """AntMaze marks steps at the goal as terminal and walks on; a fallen hopper is put back on its foot."""
    walks_on, _ = dataset([10, 10, 10, 9], "ttll")
    transformer_folder(tmp_path, [8], [0], [1])
    assert read_labels(tmp_path, walks_on, length=5).first.rewards.tolist() == [[8, 9, 10, 11, 12]]
    observations = walks_on.observations.copy()
    observations[[10, 21, 32, 42]] = -5
    reset, _ = dataset([10, 10, 10, 9], "ttll", observations=observations, final_observations=np.ones(4, dtype=bool))
    with pytest.raises(DataError, match=r"1 of 1 pairs of .* cross the end of an episode"):
        read_labels(tmp_path, reset, length=5)


def rlhf_folder(folder: Path, order: list[int], labels: Any, prefix: str = "human_label", key: str = "aa") -> Path:
    rest = f"_domain_d_env_e_num_4_len_2_{key}.pkl"
    write(folder / f"indices_1{rest}", np.array([0, 3, 6, 9])[order])
    write(folder / f"indices_2{rest}", np.array([1, 4, 7, 10])[order])
    write(folder / f"{prefix}{rest}", np.asarray(labels))
    return folder


def test_both_labellers_of_a_folder_are_joined_on_their_indices(tmp_path: Path) -> None:
    rlhf_folder(tmp_path, [0, 1, 2, 3], [0, 1, -1, 1])
    rlhf_folder(tmp_path, [3, 0, 1], [[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]], "fake_label", "bb")
    human, scripted = read_rows(tmp_path), read_rows(tmp_path, "scripted")
    assert (human.length, scripted.length) == (2, 2)
    assert human.labels.tolist() == [0, 1, 0.5, 1]
    assert scripted.labels.tolist() == [1, 0, 0.5]
    here, there = human.join(scripted)
    assert here.tolist() == [0, 1, 3]
    assert there.tolist() == [1, 2, 0]
    assert np.array_equal(human.first[here], scripted.first[there])
    with pytest.raises(DataError, match=r"has segments of 2 steps by its name, not 5"):
        read_rows(tmp_path, length=5)


def test_folders_that_are_incomplete_or_ambiguous_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*absent; give one with label_human"):
        read_rows(tmp_path / "absent")
    with pytest.raises(DataError, match=r"has 0 files of human labels .none.; name the one to read"):
        read_rows(tmp_path)
    with pytest.raises(DataError, match=r"the labeller must be one of human, scripted, not 'nobody'"):
        read_rows(tmp_path, "nobody")  # type: ignore[arg-type]
    write(tmp_path / "label_human", [1])
    with pytest.raises(DataError, match=r"has 0 files indices_num\*, which label_human needs"):
        read_rows(tmp_path)
    rlhf_folder(tmp_path, [0], [1])
    with pytest.raises(DataError, match=r"has 2 files of human labels .human_label_.*, label_human"):
        read_rows(tmp_path)
    assert len(read_rows(next(tmp_path.glob("human_label*"))).labels) == 1


@pytest.mark.parametrize(
    ("first", "labels", "sentence"),
    [
        (np.array([0]), [1, 0], "indices_num3 must hold at least 2 indices, one a label; it has shape .1,."),
        (np.array([0.0, 1.0]), [1, 0], "indices_num3 must hold at least 2 indices"),
        (np.array([-1, 1]), [1, 0], "indices_num3 has an index that is no row: -1 to 1"),
        (np.array([2**60, 1]), [1, 0], "indices_num3 has an index that is no row"),
        (np.array([0, 1]), [1, 2], "labels of .* must be one number a pair, 0, 1 or -1, or two shares"),
        (np.array([0, 1]), np.array([[1.0, 1.0], [0.0, 1.0]]), "has shares that are not 0, 0.5 or 1 with the sum 1"),
        (np.array([0, 1]), np.zeros(0), "has no labels; at least one would be right"),
    ],
)
def test_wrong_indices_and_labels_are_refused(tmp_path: Path, first: np.ndarray, labels: Any, sentence: str) -> None:
    write(tmp_path / "indices_num3", first)
    write(tmp_path / "indices_2_num3", np.array([3, 4]))
    write(tmp_path / "label_human", labels)
    with pytest.raises(DataError, match=sentence):
        read_rows(tmp_path)


def test_the_reader_agrees_with_pickle_on_the_published_files(shared: Path) -> None:
    folder = shared / "real" / "preferences"
    paths = sorted(
        p for kind in ("preference_transformer", "uni_rlhf") for p in (folder / kind).rglob("*") if p.is_file()
    )
    assert len(paths) == 24
    for path in paths:
        trusted = pickle.load(io.BytesIO(path.read_bytes()))
        assert np.array_equal(read_pickled_array(path), np.asarray(trusted))
