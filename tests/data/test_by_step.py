"""Columns by name, samples, tables and tensors: one row a step, against a naive walk through the episodes."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from few_episodes import episodes
from hypothesis import given, settings
from torch.utils.data import BatchSampler, DataLoader, RandomSampler
from trajectory_strategies import Episode, episode_lists, pack

import offbench
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError, UnknownNameError


def data() -> Trajectories:
    """Three episodes, the first terminated, the second without its final observation, the third cut off."""
    some = episodes([3, 2, 4], "tlc", [True, False, True])
    return replace(some, extras={"qpos": np.arange(12.0), "goal": np.arange(18.0).reshape(9, 2)})


@settings(max_examples=60, deadline=None)
@given(episode_lists())
def test_columns_by_name_walk_through_the_episodes(drawn: tuple[list[Episode], Episode]) -> None:
    trajectories = pack(*drawn)
    rows = [(one, step) for one in trajectories for step in range(one.steps)]
    by_name = dict(trajectories)  # type: ignore[call-overload]
    assert list(by_name) == trajectories.keys()
    assert {len(column) for column in by_name.values()} <= {trajectories.steps}
    for name, column in by_name.items():
        for row, (one, step) in zip(column, rows, strict=True):
            if name in ("observations", "next_observations"):
                assert np.array_equal(row, one.observations[step + (name != "observations")])
            elif name in one.extras:
                assert np.array_equal(row, one.extra(name)[step])
            else:
                assert np.array_equal(row, getattr(one, name)[step])


def test_a_column_by_name_is_ones_own() -> None:
    some = data()
    for name in list(some.keys()):
        some[name][...] = 0
    assert some.digest == data().digest
    assert np.array_equal(some["terminals"], some.terminations)
    assert np.array_equal(some["timeouts"], some.truncations)
    assert np.array_equal(some["next_observations"], some.next_observations)
    assert "qpos" in some
    assert "timeouts" in some
    assert "extras" not in some
    assert 3 not in some
    with pytest.raises(UnknownNameError, match="no column named 'observation'; nearest: observations"):
        some["observation"]
    with pytest.raises(UnknownNameError, match="no column named 'rewards'"):
        some.without("rewards")["rewards"]


def test_what_is_left_out_is_gone_and_what_every_dataset_has_stays() -> None:
    some = data().without("actions", "qpos")
    assert some.keys() == ["observations", "next_observations", "rewards", "terminations", "truncations", "goal"]
    for name in ("observations", "terminations", "next_observations", "nothing"):
        with pytest.raises(UnknownNameError, match="can be left out"):
            data().without(name)


def test_samples_are_usable_transitions_and_reproducible() -> None:
    some = data()
    assert some.usable.tolist() == [True] * 4 + [False] + [True] * 4
    drawn = some.sample(500, seed=0)
    assert {name: len(column) for name, column in drawn.items()} == dict.fromkeys(some.keys(), 500)
    goals = {tuple(row): step for step, row in enumerate(some.extras["goal"])}
    steps = np.array([goals[tuple(row)] for row in drawn["goal"]])
    assert set(steps) == set(np.flatnonzero(some.usable))
    for name, column in drawn.items():
        assert np.array_equal(column, some[name][steps])
    again = some.sample(500, seed=0)
    assert all(np.array_equal(drawn[name], again[name]) for name in drawn)
    generator = np.random.default_rng(0)
    assert np.array_equal(some.sample(500, generator)["goal"], drawn["goal"])
    assert not np.array_equal(some.sample(500, generator)["goal"], drawn["goal"])
    assert not np.array_equal(some.sample(500)["goal"], some.sample(500)["goal"])
    with pytest.raises(DataError, match="no transition to sample"):
        episodes([1, 1], "ll", [False, False]).sample(3)
    with pytest.raises(DataError, match="no transition to sample"):
        some[:0].sample(3)


def test_episodes_are_sampled_without_repeating_one_and_shuffled_whole() -> None:
    some = episodes(list(range(1, 21)), "t" * 20, [True] * 20)
    drawn = some.sample_episodes(7, seed=1)
    assert len(set(drawn.lengths)) == 7
    assert drawn.digest == some.sample_episodes(7, seed=1).digest != some.sample_episodes(7, seed=2).digest
    mixed = some.shuffle(seed=1)
    assert mixed.lengths.tolist() != some.lengths.tolist()
    assert sorted(mixed.lengths) == some.lengths.tolist()
    with pytest.raises(DataError, match="has 20 episodes, so that 21 different ones cannot be drawn"):
        some.sample_episodes(21)


def test_tables_have_one_row_a_step_and_one_column_a_number() -> None:
    pandas = pytest.importorskip("pandas", reason="to_pandas needs pandas")
    some = data()
    table = some.to_pandas()
    assert isinstance(table, pandas.DataFrame)
    assert table["episode"].tolist() == [0] * 3 + [1] * 2 + [2] * 4
    assert table["step"].tolist() == [0, 1, 2, 0, 1, 0, 1, 2, 3]
    assert np.array_equal(table[["actions_0", "actions_1"]].to_numpy(), some["actions"])
    assert np.array_equal(table["rewards"].to_numpy(), some["rewards"])
    assert table.groupby("episode").rewards.sum().tolist() == pytest.approx(some.returns.tolist())
    assert list(some[:0].to_pandas().columns) == list(table.columns)
    with pytest.raises(offbench.OffbenchError, match="two columns of the table would be called step"):
        replace(some, extras={"step": np.arange(9)}).to_pandas()


def test_tensors_share_the_memory_of_mapped_columns_and_warn_nobody(tmp_path: Path) -> None:
    offbench.save(data(), tmp_path / "x.offbench")
    mapped = offbench.load(tmp_path / "x.offbench")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensors = mapped.to_torch()
        batch = next(iter(DataLoader(mapped.transitions(), batch_size=4)))
    assert {name: tuple(t.shape) for name, t in tensors.items()} == {n: mapped[n].shape for n in list(mapped.keys())}
    assert all(np.array_equal(t.numpy(), mapped[name]) for name, t in tensors.items())
    assert tensors["actions"].data_ptr() == mapped.actions.ctypes.data
    assert batch["observations"].shape == (4, 3)


def test_torch_reads_stored_columns_without_a_warning(tmp_path: Path) -> None:
    offbench.save(data(), tmp_path / "x.offbench")
    code = (
        "import torch, numpy as np, offbench\n"
        f"data = offbench.load({str(tmp_path / 'x.offbench')!r})\n"
        "print(float(torch.as_tensor(data.rewards).sum()), tuple(torch.from_numpy(data.observations).shape))\n"
    )
    done = subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.split(maxsplit=1)[1] == "(12, 3)\n"


# -------------------------------------------------------------------- torch.utils.data


@pytest.mark.parametrize("view", [data().transitions(), data().sequences(3)], ids=["transitions", "sequences"])
def test_views_are_datasets_of_torch(view: Any) -> None:
    whole = {n: v[0] for n, v in view.batch(torch.arange(len(view))[None])._asdict().items() if torch.is_tensor(v)}
    one_by_one = list(DataLoader(view, batch_size=3))
    for name, column in whole.items():
        assert torch.equal(torch.cat([part[name] for part in one_by_one]), column)
        assert torch.equal(view[1][name], column[1])
        assert torch.equal(view[-1][name], column[-1])
        assert torch.equal(view[[2, 0]][name], column[[2, 0]])
    at_once = DataLoader(view, sampler=BatchSampler(RandomSampler(view), 3, drop_last=True), batch_size=None)
    assert {part["actions"].shape[0] for part in at_once} == {3}
    assert len(list(view)) == len(view)
    for wrong in (len(view), -len(view) - 1, [0, len(view)]):
        with pytest.raises(IndexError):
            view[wrong]


# -------------------------------------------------------------------- spaces


def test_spaces_are_those_of_the_columns() -> None:
    some = data()
    assert some.observation_space.shape == (3,)
    assert not some.action_space.is_bounded("both")  # type: ignore[attr-defined]
    bounded = replace(some, action_range=(np.full(2, -2.0), np.full(2, 3.0)))
    assert bounded.action_space.low.tolist() == [-2, -2]  # type: ignore[attr-defined]
    assert all(bounded.action_space.contains(row) for row in bounded["actions"])
    assert all(some.observation_space.contains(row) for row in some["observations"])
    chosen = replace(some, actions=np.array([3, 4, 7] * 3)[:, None])
    assert chosen.action_space.start == 3  # type: ignore[attr-defined]
    assert chosen.action_space.n == 5  # type: ignore[attr-defined]
    pixels = replace(some, observations=np.zeros((12, 4, 4), np.uint8)).observation_space
    assert (pixels.dtype, pixels.shape) == (np.uint8, (4, 4))
    with pytest.raises(DataError, match="has no actions"):
        _ = some.without("actions").action_space
