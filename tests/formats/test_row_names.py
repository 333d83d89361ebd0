"""Whatever a file calls its columns and the ends of its episodes, and in whatever format: the same Trajectories."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flag_names import WAYS, first_rows, named, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from row_files import write

from offbench.data.trajectories import Trajectories
from offbench.errors import DataError
from offbench.formats.row_names import FLAGS, NAMES, role
from offbench.formats.table import recognise


@st.composite
def whole_episodes(draw: st.DrawFn, inner: bool = False) -> Trajectories:
    """Walks of small steps from far starts, each ended by a termination or the clock, and one of either at least."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    lengths = draw(st.lists(st.integers(8, 20), min_size=3, max_size=6))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    walks = [rng.uniform(-50, 50, 3) + np.cumsum(rng.uniform(-0.1, 0.1, (n + 1, 3)), axis=0) for n in lengths]
    terminated = np.array([draw(st.booleans()) for _ in lengths])
    terminated[:2] = True, False
    terminations, truncations = np.zeros((2, offsets[-1]), dtype=bool)
    terminations[offsets[1:] - 1], truncations[offsets[1:] - 1] = terminated, ~terminated
    if inner:
        terminations[offsets[:-1] + 2] = True
    return Trajectories(
        observations=np.concatenate(walks).astype(np.float32),
        offsets=offsets,
        terminations=terminations,
        truncations=truncations,
        actions=rng.uniform(-1, 1, (offsets[-1], 2)).astype(np.float32),
        rewards=rng.standard_normal(offsets[-1]).astype(np.float32),
    )


def read(columns: dict[str, Any], suffix: str) -> Trajectories:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / f"x{suffix}", columns)
        return recognise(path).read(path)


@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("suffix", [".hdf5", ".npz"])
@pytest.mark.parametrize("way", WAYS)
@given(data=st.data())
def test_every_name_of_every_flag_gives_the_same_trajectories(way: str, suffix: str, data: st.DataObject) -> None:
    # "masks" alone cannot be told from OGBench's where an end is no termination, and says so by its ends.
    inner = data.draw(st.booleans()) and not way.startswith("done, which is either")
    trajectories = data.draw(whole_episodes(inner=inner))
    columns = named(WAYS[way](trajectories), lambda names: data.draw(st.sampled_from(names)))
    kind = data.draw(st.sampled_from(["bool", "uint8", "int64", "float32", "float64"]))
    columns = {n: c.astype(kind) if role(n) in FLAGS else c for n, c in columns.items()}
    assert read(columns, suffix).digest == trajectories.digest


def test_the_first_rows_alone_tell_where_episodes_begin() -> None:
    trajectories = whole()
    loaded = read(rows(trajectories) | {"is_first": first_rows(trajectories)}, ".npz")
    assert loaded.offsets.tolist() == trajectories.offsets.tolist()
    assert not loaded.terminations.any()
    assert loaded.truncations.sum() == len(trajectories) - 1  # the last one has nothing behind it


def whole() -> Trajectories:
    found: list[Trajectories] = []

    @settings(max_examples=1, deadline=None, database=None, derandomize=True)
    @given(whole_episodes())
    def draw(drawn: Trajectories) -> None:
        found.append(drawn)

    draw()
    return found[0]


STRANGE = ["episode_done", "is_terminal_state", "timeout_flag", "end", "resets", "first", "TimeLimit.truncated"]


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("suffix", [".hdf5", ".npz"])
def test_a_flag_of_another_name_is_refused_and_not_lost(name: str, suffix: str) -> None:
    t = whole()
    columns = rows(t) | {"terminals": t.terminations, name: t.truncations.astype(np.float32)}
    with pytest.raises(DataError, match=r"of 0 and 1 that is named like an end of episodes and not known; call it"):
        read(columns, suffix)


@pytest.mark.parametrize("name", ["success", "goal_reached", "grasped", "weekend_rate", "costs"])
def test_other_columns_of_0_and_1_ride_along(name: str) -> None:
    t = whole()
    flag = np.arange(t.steps) % 2
    loaded = read(rows(t) | {"terminals": t.terminations, "timeouts": t.truncations, name: flag}, ".hdf5")
    assert loaded.extras[name].tolist() == flag.tolist()


def test_two_columns_of_one_meaning_must_agree() -> None:
    t = whole()
    columns = rows(t) | {"terminals": t.terminations, "timeouts": t.truncations}
    assert read(columns | {"truncated": t.truncations}, ".npz").digest == t.digest
    with pytest.raises(DataError, match="has both terminals and terminated, which differ; one column of terminals"):
        read(columns | {"terminated": t.truncations}, ".npz")
    with pytest.raises(DataError, match=r"done of .* fits neither terminals nor the time-outs"):
        read(columns | {"done": np.arange(t.steps) % 2}, ".npz")


@pytest.mark.parametrize("flag", ["done", "timeouts", "masks", "episode_ends"])
def test_a_flag_beside_rows_of_states_that_may_be_of_either_is_refused(flag: str) -> None:
    t = whole()
    columns = WAYS["rows of states"](t)
    with pytest.raises(DataError, match=rf"marks rows of states by is_last, beside which {flag} cannot be read"):
        read(columns | {flag: columns["terminals"]}, ".npz")


def test_no_name_has_two_roles() -> None:
    every = [name for names in NAMES.values() for name in names]
    assert len(every) == len(set(every))
