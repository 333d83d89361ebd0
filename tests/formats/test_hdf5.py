"""Reading D4RL-style HDF5: the published files, round trips, how episodes are cut, and every broken file."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trajectory_strategies import Episode, episode_lists, keys, pack, unpack

from offbench.data.trajectories import Trajectories
from offbench.errors import DataError
from offbench.formats.hdf5 import read_hdf5

EXAMPLES = settings(max_examples=60, deadline=None)


def rows(count: int = 6, **changes: Any) -> dict[str, Any]:
    """The columns of a sound file: two episodes of three steps, a terminal and a time-out; None leaves a column out."""
    observations = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    columns = {
        "observations": observations,
        "next_observations": observations + 2,
        "actions": np.full((count, 1), 0.5, dtype=np.float32),
        "rewards": np.arange(count, dtype=np.float32),
        "terminals": np.arange(count) == 2,
        "timeouts": np.arange(count) == count - 1,
    } | changes
    return {name: column for name, column in columns.items() if column is not None}


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            file.create_dataset(name, data=column, **(options if np.ndim(column) else {}))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.hdf5"


# -------------------------------------------------------------------- the published files

# rows, lengths, returns to 0.1, and what the file lacks
PUBLISHED: dict[str, tuple[int, list[int], list[float], list[str]]] = {
    "hopper_medium-v2": (911, [470, 441], [1465.2, 1412.7], []),
    "hopper_medium_replay-v1": (49, [40, 9], [42.0, 6.2], []),
    "halfcheetah_medium-v2": (2000, [1000, 1000], [4669.5, 4880.0], []),
    "halfcheetah_medium_replay-v1": (2000, [1000, 1000], [-291.9, -316.7], []),
    "pen-human-v1": (400, [200, 200], [377.2, 9849.3], ["next_observations", "metadata"]),
    "pen-expert-v1": (200, [100, 100], [46.3, 2759.0], ["next_observations"]),
    "door-human-v1": (600, [300, 300], [520.4, 230.2], ["next_observations", "metadata"]),
    "hammer-human-v1": (936, [537, 399], [5695.4, 2585.6], ["next_observations", "metadata"]),
    "antmaze-umaze-v0": (1402, [701, 701], [0.0, 0.0], ["next_observations", "metadata"]),
    "antmaze-large-play-v0": (1998, [999, 999], [0.0, 0.0], ["next_observations", "metadata"]),
}


def by_hand(path: Path) -> list[Episode]:
    """The episodes of a file whose rows are walked one by one."""
    with h5py.File(path) as file:
        data = {name: file[name][:] for name in ("observations", "actions", "rewards", "terminals", "timeouts")}
        following = file["next_observations"][:] if "next_observations" in file else None
        infos = {name: file["infos"][name][:] for name in file.get("infos", ())}
    episodes, start = [], 0
    for row in range(len(data["rewards"])):
        if data["terminals"][row] or data["timeouts"][row]:
            steps = slice(start, row + 1)
            final = data["observations"][row] if following is None else following[row]
            episodes.append(
                Episode(
                    observations=np.vstack([data["observations"][steps], final[None]]).astype(np.float32),
                    end="terminated" if data["terminals"][row] else "truncated",
                    actions=data["actions"][steps].astype(np.float32),
                    rewards=data["rewards"][steps].astype(np.float32).reshape(-1),
                    final=following is not None,
                    extras={name: column[steps] for name, column in infos.items()},
                )
            )
            start = row + 1
    assert start == len(data["rewards"])
    return episodes


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_slices_load(shared: Path, name: str) -> None:
    count, lengths, returns, lacking = PUBLISHED[name]
    path = shared / "real" / "d4rl_slices" / f"{name}.hdf5"
    trajectories = read_hdf5(path)
    assert trajectories.steps == count
    assert trajectories.lengths.tolist() == lengths
    np.testing.assert_allclose(trajectories.returns, returns, atol=0.05)
    assert keys(unpack(trajectories)) == keys(by_hand(path))
    notes = trajectories.provenance.notes
    assert [note for note in notes if note.startswith("the file has no")] == (
        [f"the file has no {', '.join(lacking)}"] if lacking else []
    )
    assert any("repeats the one before" in note for note in notes) == ("next_observations" in lacking)
    assert any("float64 in the file" in note for note in notes) == ("replay" in name or "antmaze" in name)
    assert not any("not the next row's" in note or "no end" in note or "both terminal" in note for note in notes)
    assert trajectories.provenance.dataset == str(path)


def test_every_published_slice_is_covered(shared: Path) -> None:
    assert {path.stem for path in (shared / "real" / "d4rl_slices").glob("*.hdf5")} == PUBLISHED.keys()


def test_metadata_become_notes_and_infos_extras(shared: Path) -> None:
    trajectories = read_hdf5(shared / "real" / "d4rl_slices" / "hopper_medium-v2.hdf5")
    policy = "the file also holds a policy, with which offbench data regenerate records"
    notes = ("the file says: algorithm 'SAC', iteration 400", policy)
    assert trajectories.provenance.notes == notes
    assert {n: (c.dtype.name, c.shape) for n, c in trajectories.extras.items()} == {
        "action_log_probs": ("float32", (911,)),
        "qpos": ("float64", (911, 6)),
        "qvel": ("float64", (911, 6)),
    }


def test_the_pendulum_replay_loads(shared: Path) -> None:
    path = shared / "real" / "d3rlpy_pendulum_replay.hdf5"
    trajectories = read_hdf5(path, action_range=(np.array([-2.0]), np.array([2.0])))
    assert (len(trajectories), trajectories.steps) == (500, 99_500)
    assert set(trajectories.lengths) == {199}
    assert trajectories.truncations.sum() == 500
    assert trajectories.returns.mean() == pytest.approx(-180.5, abs=0.05)
    assert keys(unpack(trajectories)) == keys(by_hand(path))
    assert trajectories.provenance.notes[0] == "the file has no next_observations, infos, metadata"


# -------------------------------------------------------------------- round trips


def as_d4rl(episodes: list[Episode], like: Episode) -> dict[str, Any]:
    """The columns of a D4RL file with these episodes."""
    packed = pack(episodes, like)
    columns = {
        "observations": np.concatenate([e.observations[:-1] for e in episodes]),
        "next_observations": np.concatenate([e.observations[1:] for e in episodes]),
        "actions": packed.actions,
        "rewards": packed.rewards,
        "terminals": packed.terminations,
        "timeouts": packed.truncations,
    } | {f"infos/{name}": column for name, column in packed.extras.items()}
    return {name: column for name, column in columns.items() if column is not None}


def read_back(columns: dict[str, Any], **options: Any) -> Trajectories:
    with tempfile.TemporaryDirectory() as folder:
        return read_hdf5(write(Path(folder) / "x.hdf5", columns), **options)


FLAGS = st.sampled_from(["bool", "uint8", "int64", "float32", "float64", ">f8"])


@EXAMPLES
@given(episode_lists(least=1, d4rl=True), FLAGS, st.booleans(), st.booleans())
def test_what_is_written_is_read(
    drawn: tuple[list[Episode], Episode], flag: str, column_vectors: bool, swapped: bool
) -> None:
    columns = as_d4rl(*drawn)
    for name in ("terminals", "timeouts"):
        columns[name] = columns[name].astype(flag)
    if column_vectors:
        columns |= {n: columns[n][:, None] for n in ("rewards", "terminals", "timeouts") if n in columns}
    if swapped:
        columns = {name: column.astype(column.dtype.newbyteorder(">")) for name, column in columns.items()}
    trajectories = read_back(columns)
    assert trajectories.digest == pack(*drawn).digest
    assert all(column.dtype.isnative for column in trajectories.columns().values())


@EXAMPLES
@given(episode_lists(least=1, d4rl=True))
def test_without_next_observations_the_last_one_repeats(drawn: tuple[list[Episode], Episode]) -> None:
    columns = as_d4rl(*drawn)
    del columns["next_observations"]
    expected = [
        replace(e, observations=np.concatenate([e.observations[:-1], e.observations[-2:-1]]), final=False)
        for e in drawn[0]
    ]
    assert keys(unpack(read_back(columns))) == keys(expected)


@EXAMPLES
@given(episode_lists(least=1, d4rl=True))
def test_without_timeouts_next_observations_tell_where_episodes_end(drawn: tuple[list[Episode], Episode]) -> None:
    columns = as_d4rl(*drawn)
    del columns["timeouts"]
    expected = [replace(e, end="cut") if e.end == "truncated" else e for e in drawn[0]]
    assert keys(unpack(read_back(columns))) == keys(expected)


@EXAMPLES
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 8))
def test_a_limit_cuts_as_d4rl_counts(terminals: list[bool], limit: int) -> None:
    ends, step = [], 0
    for row, terminal in enumerate(terminals):
        step += 1
        if terminal or step == limit:
            ends.append((row + 1, terminal))
            step = 0
    if step:
        ends.append((len(terminals), None))
    columns = rows(len(terminals), terminals=np.array(terminals), timeouts=None, next_observations=None)
    trajectories = read_back(columns, episode_limit=limit)
    assert trajectories.offsets.tolist() == [0, *(end for end, _ in ends)]
    assert np.flatnonzero(trajectories.terminations).tolist() == [end - 1 for end, how in ends if how is True]
    assert np.flatnonzero(trajectories.truncations).tolist() == [end - 1 for end, how in ends if how is False]
    assert f"without timeouts, episodes end at terminals, after {limit} steps" in trajectories.provenance.notes


# -------------------------------------------------------------------- ends and notes


def test_episodes_end_at_terminals_only_where_nothing_else_is_known(path: Path) -> None:
    trajectories = read_hdf5(write(path, rows(timeouts=None, next_observations=None)))
    assert trajectories.lengths.tolist() == [3, 3]
    assert not trajectories.truncations.any()
    assert trajectories.provenance.notes == (
        "the file has no timeouts, next_observations, infos, metadata",
        "without timeouts, episodes end at terminals only",
        "the last 3 steps have no end; they are kept as an episode that was cut off",
        "the last observation of each episode was not recorded and repeats the one before",
    )


def test_a_file_that_says_nothing_of_ends_needs_a_limit(path: Path) -> None:
    write(path, rows(timeouts=None, next_observations=None, terminals=None))
    with pytest.raises(
        DataError, match=r"nothing in .* says where its episodes end; give their length as episode_limit"
    ):
        read_hdf5(path)
    assert read_hdf5(path, episode_limit=2).lengths.tolist() == [2, 2, 2]
    with pytest.raises(DataError, match="the episode limit must be at least one step, not 0"):
        read_hdf5(path, episode_limit=0)


def test_a_row_with_both_flags_is_a_termination(path: Path) -> None:
    trajectories = read_hdf5(write(path, rows(timeouts=np.isin(np.arange(6), [2, 5]))))
    assert np.flatnonzero(trajectories.terminations).tolist() == [2]
    assert np.flatnonzero(trajectories.truncations).tolist() == [5]
    assert "1 rows are both terminal and timed out; they count as terminated" in trajectories.provenance.notes


def test_rows_that_do_not_continue_are_noted_where_timeouts_rule(path: Path) -> None:
    following = rows()["next_observations"]
    following[0] += 1
    following[4] = np.nan
    trajectories = read_hdf5(write(path, rows(next_observations=following)))
    assert trajectories.lengths.tolist() == [3, 3]
    assert any(
        note.startswith("2 rows inside episodes have a next observation") for note in trajectories.provenance.notes
    )


@pytest.mark.parametrize(
    ("size", "shift", "cut"), [(1.0, 5e-7, False), (1.0, 4e-6, True), (1e6, 0.5, False), (1e6, 4, True)]
)
def test_the_tolerance_is_relative_above_one(path: Path, size: float, shift: float, cut: bool) -> None:
    observations = np.full((6, 1), size)
    following = observations.copy()
    following[1] += shift
    changed = rows(observations=observations.astype("f4"), next_observations=following.astype("f4"), timeouts=None)
    assert read_hdf5(write(path, changed)).lengths.tolist() == ([2, 1, 3] if cut else [3, 3])


def test_absent_actions_and_rewards_stay_absent(path: Path) -> None:
    trajectories = read_hdf5(write(path, rows(actions=None, rewards=None)))
    assert trajectories.actions is None
    assert trajectories.rewards is None
    assert "the file has no actions, rewards, infos, metadata" in trajectories.provenance.notes


def test_whole_numbers_stay_except_in_rewards(path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(6, 2, 2)
    columns = rows(observations=pixels, next_observations=pixels + 4, actions=np.arange(6), rewards=np.arange(6))
    trajectories = read_hdf5(write(path, columns))
    dtypes = [trajectories.observations.dtype, trajectories.actions.dtype, trajectories.rewards.dtype]
    assert dtypes == [np.uint8, np.int64, np.float32]
    assert "rewards are int64 in the file and float32 here" in trajectories.provenance.notes


def test_nested_infos_and_texts_and_unknown_names(path: Path) -> None:
    texts = {"metadata/algorithm": np.bytes_("S\x1b[1mAC"), "metadata/long": "of variable length"}
    columns = rows() | texts | {"infos/a/b": np.arange(6), "metadata/weights": np.ones(3)}
    trajectories = read_hdf5(write(path, columns | {"extra": np.ones(2), "metadata/seed": 7}))
    assert trajectories.extras["a/b"].tolist() == list(range(6))
    assert trajectories.provenance.notes == (
        r"the file says: algorithm 'S\x1b[1mAC', seed 7",
        "not read: 'metadata/long' (a text of variable length), 'extra'",
    )


def test_a_range_of_actions_is_checked(path: Path) -> None:
    write(path, rows())
    assert read_hdf5(path, (np.zeros(1), np.ones(1))).action_range[1].tolist() == [1.0]
    with pytest.raises(DataError, match=r"action 0 of .* is \[0.5\], outside the declared range \[0.0\] to \[0.25\]"):
        read_hdf5(path, (np.zeros(1), np.full(1, 0.25)))


def test_a_million_rows_are_read_without_a_loop(path: Path) -> None:
    count = 1_000_000
    rng = np.random.default_rng(0)
    observations = rng.standard_normal((count, 11), dtype=np.float32)
    ends = np.arange(count) % 500 == 499
    columns = {
        "observations": observations,
        "next_observations": np.roll(observations, -1, axis=0),
        "actions": rng.random((count, 3), dtype=np.float32),
        "rewards": rng.random(count, dtype=np.float32),
        "terminals": ends,
        "timeouts": ends & False,
    }
    write(path, columns)
    start = time.perf_counter()
    trajectories = read_hdf5(path)
    assert time.perf_counter() - start < 3  # 0.3 s on two cores; a loop over rows takes 5 s and more
    assert len(trajectories) == 2000


# -------------------------------------------------------------------- broken files

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no observations": (rows(observations=None), "has no observations; a D4RL-style file has a dataset of that name"),
    "no rows": ({n: c[:0] for n, c in rows().items()}, "has no rows; at least one step is needed"),
    "short actions": (rows(actions=np.zeros((5, 1))), "actions of .* has 5 rows; 6 would be right, as in observations"),
    "long terminals": (rows(terminals=np.zeros(7)), "terminals of .* has 7 rows; 6 would be right"),
    "next shape": (rows(next_observations=np.zeros((6, 3))), r"next_observations of .* has shape \(6, 3\); \(6, 2\)"),
    "reward shape": (rows(rewards=np.zeros((6, 2))), r"rewards of .* has shape \(6, 2\); one number a row"),
    "flag value": (rows(terminals=np.arange(6)), "terminals of .* is 2 in row 2; only 0 and 1 are flags"),
    "flag nan": (rows(timeouts=np.full(6, np.nan)), "timeouts of .* is nan in row 0; only 0 and 1 are flags"),
    "flag half": (rows(timeouts=np.full(6, 0.5)), "timeouts of .* is 0.5 in row 0"),
    "nan rewards": (rows(rewards=np.full(6, np.nan)), "rewards of .* has NaN or infinite values in 6 rows, first"),
    "infinite": (rows(observations=np.full((6, 2), np.inf)), "observations of .* has NaN or infinite values"),
    "too large": (rows(rewards=np.full(6, 1e300)), "rewards of .* has NaN or infinite values in 6 rows"),
    "text": (rows(actions=np.array([b"a"] * 6)), "'actions' of .* has dtype .S1; numbers or bools of up to 8 bytes"),
    "texts": (rows(actions=["a"] * 6), "'actions' of .* has dtype object; numbers"),
    "compound": (rows(rewards=np.zeros(6, dtype=[("a", "f4")])), "'rewards' of .* has dtype .*; numbers or bools"),
    "complex": (rows(rewards=np.zeros(6, dtype=complex)), "'rewards' of .* has dtype complex128"),
    "quadruple": (rows(rewards=np.zeros(6, dtype=np.longdouble)), "'rewards' of .* has dtype float128"),
    "scalar": (rows(rewards=1.0), "'rewards' of .* is a single value; an array with a row a step"),
    "null": (rows(rewards=h5py.Empty("f4")), "'rewards' of .* is a single value"),
    "group": (rows(observations=None) | {"observations/image": np.ones(6)}, "'observations' of .* is not a dataset"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_columns_are_refused(path: Path, name: str) -> None:
    columns, sentence = WRONG[name]
    with pytest.raises(DataError, match=sentence):
        read_hdf5(write(path, columns))


def test_what_is_no_hdf5_file_is_refused(tmp_path: Path, path: Path) -> None:
    with pytest.raises(DataError, match=r"data.hdf5 does not exist; give the path of a D4RL-style HDF5 file"):
        read_hdf5(str(path))
    with pytest.raises(DataError, match="is not a file; give the path"):
        read_hdf5(tmp_path)
    for content in (b"", b"observations,actions\n1,2\n", bytes(5000)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"data.hdf5 is not an HDF5 file; give the path"):
            read_hdf5(path)


def test_truncated_files_are_refused(path: Path) -> None:
    whole = write(path, rows(2000), compression="gzip").read_bytes()
    sizes = [8, 9, 50, 96, 800, 2048, len(whole) - 1, *np.linspace(100, len(whole) - 1, 40).astype(int)]
    for size in sizes:
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"is truncated or damaged, so fetch or write it anew|not an HDF5 file"):
            read_hdf5(path)


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12))
@settings(max_examples=300, deadline=None)
def test_damaged_files_are_refused_or_valid(changes: list[tuple[float, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "x.hdf5", rows() | {"infos/q": np.ones(6), "metadata/algorithm": np.bytes_("SAC")})
        content = bytearray(path.read_bytes())
        for place, value in changes:
            content[int(place * len(content))] = value
        path.write_bytes(content)
        try:
            steps = read_hdf5(path).steps
        except DataError:
            return
        assert steps >= 1


def linked(path: Path, link: Any, name: str = "observations") -> Path:
    write(path, {n: c for n, c in (rows() | {"infos/q": np.ones(6)}).items() if n != name})
    with h5py.File(path, "r+") as file:
        file[name] = link
    return path


@pytest.mark.parametrize("name", ["observations", "infos", "infos/secret", "metadata", "unknown"])
def test_links_are_not_followed(tmp_path: Path, path: Path, name: str) -> None:
    write(tmp_path / "secret.hdf5", rows())
    for link in (h5py.ExternalLink(str(tmp_path / "secret.hdf5"), "/observations"), h5py.SoftLink("/actions")):
        with pytest.raises(DataError, match=f"'{name}' of .* is a link; only data that the file itself holds are read"):
            read_hdf5(linked(path, link, name) if name != "infos" else infos_link(path, link))


def infos_link(path: Path, link: Any) -> Path:
    write(path, rows())
    with h5py.File(path, "r+") as file:
        file["infos"] = link
    return path


def test_data_in_other_files_are_not_read(tmp_path: Path, path: Path) -> None:
    secret = write(tmp_path / "secret.hdf5", rows())
    layout = h5py.VirtualLayout((6, 2), "f4")
    layout[:] = h5py.VirtualSource(secret, "observations", (6, 2))
    write(path, rows(observations=None))
    with h5py.File(path, "r+") as file:
        file.create_virtual_dataset("observations", layout)
    with pytest.raises(DataError, match=r"'observations' of .* has its data in other files; only data that the file"):
        read_hdf5(path)
    write(path, rows(rewards=None))
    with h5py.File(path, "r+") as file:
        file.create_dataset("rewards", (6,), "f4", external=[(str(secret), 0, 24)])
    with pytest.raises(DataError, match=r"'rewards' of .* has its data in other files"):
        read_hdf5(path)


def test_a_group_that_contains_itself_is_refused(path: Path) -> None:
    write(path, rows() | {"infos/a/q": np.ones(6)})
    with h5py.File(path, "r+") as file:
        file["infos/a/again"] = file["infos"]
    with pytest.raises(DataError, match=r"group 'infos/a/again/' of .* is contained in itself or twice"):
        read_hdf5(path)


@pytest.mark.parametrize(
    "options",
    [{"chunks": (1024, 2)}, {"chunks": (1024, 2), "compression": "gzip"}, {"chunks": (2**26, 2), "shape": (6, 2)}],
)
def test_absurd_shapes_take_no_memory(path: Path, options: dict[str, Any]) -> None:
    write(path, rows(observations=None))
    with h5py.File(path, "r+") as file:
        file.create_dataset("observations", **({"shape": (10**12, 2)} | options), maxshape=(None, 2), dtype="f4")
    with pytest.raises(DataError, match=r"'observations' of .* declares shape .* but the file holds only 0 for it"):
        read_hdf5(path)


def test_more_data_than_memory_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, rows())
    monkeypatch.setattr("offbench.formats.foreign.available_memory", lambda: 64)
    with pytest.raises(DataError, match="holds 156 bytes of data, more than the 64 bytes of memory free here"):
        read_hdf5(path)


def test_constant_columns_that_compress_well_are_read(path: Path) -> None:
    zeros = np.zeros(5_000_000, dtype=np.float64)
    columns = {"observations": zeros.astype(np.int8), "rewards": zeros, "terminals": zeros}
    trajectories = read_hdf5(write(path, columns, compression="gzip", compression_opts=9, chunks=(1_000_000,)))
    assert path.stat().st_size < 200_000
    assert trajectories.steps == 5_000_000


def test_infos_that_cannot_ride_along_are_left_out_and_named(path: Path) -> None:
    infos = {"short": np.zeros((3, 2)), "gap": np.full(6, np.nan), "text": np.array([b"a"] * 6), "one": np.float64(1)}
    sound = {"infos/qpos": np.ones((6, 2)), "costs": np.arange(6)}
    loaded = read_hdf5(write(path, rows() | {f"infos/{name}": column for name, column in infos.items()} | sound))
    assert loaded.extras.keys() == {"qpos", "costs"}
    (note,) = [note for note in loaded.provenance.notes if note.startswith("not read: ")]
    for name in infos:
        assert name in note
    assert "'gap' (NaN or infinite in 6 rows)" in note


def test_what_float32_would_make_constant_is_named(path: Path) -> None:
    observations = np.stack([np.arange(6.0), 1.7e9 + np.arange(6) / 10], 1)
    loaded = read_hdf5(write(path, rows(observations=observations, next_observations=None)))
    assert any(
        note.startswith("observations change in column 1 by less than float32") for note in loaded.provenance.notes
    )
    moving = read_hdf5(write(path, rows(observations=observations - [0, 1.7e9], next_observations=None)))
    assert not any("by less than float32" in note for note in moving.provenance.notes)
