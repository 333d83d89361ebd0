"""Ends that flags do not say, or say falsely: what is made of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offbench.data.trajectories import Trajectories
from offbench.data.transitions import Transitions
from offbench.formats.npz import read_npz
from offbench.lint.checks import lint
from offbench.lint.files import lint_file


def walk(lengths: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(observations (rows, 4), next observations, last rows) of walks of small steps from far starts."""
    rng = np.random.default_rng(seed)
    parts = [rng.uniform(-20, 20, 4) + np.cumsum(rng.uniform(-0.1, 0.1, (n + 1, 4)), axis=0) for n in lengths]
    last = np.isin(np.arange(sum(lengths)), np.cumsum(lengths) - 1)
    before, after = (np.concatenate([part[s] for part in parts]) for s in (slice(-1), slice(1, None)))
    return before.astype(np.float32), after.astype(np.float32), last


def read(folder: Path, **columns: np.ndarray) -> Trajectories:
    path = folder / "x.npz"
    rows = len(columns["observations"])
    np.savez(path, actions=np.zeros((rows, 1), np.float32), rewards=np.ones(rows, np.float32), **columns)
    return read_npz(path)


def codes(folder: Path) -> list[str]:
    return [finding.code for finding in lint_file(folder / "x.npz") if finding.severity != "note"]


@pytest.mark.parametrize("recorded", [True, False])
def test_a_cluster_of_terminals_at_a_goal_is_one_episode(tmp_path: Path, recorded: bool) -> None:
    # D4RL's AntMaze: the ant stands at the goal for hundreds of steps, each terminal, until the clock ends the episode.
    before, after, last = walk([700, 700, 700])
    at_goal = np.arange(2100) % 700 >= 100
    terminals = at_goal & ~last
    columns = {"next_observations": after} if recorded else {}
    loaded = read(tmp_path, observations=before, terminals=terminals, timeouts=last, **columns)
    assert loaded.lengths.tolist() == [700, 700, 700]
    assert loaded.terminations.sum() == terminals.sum() == len(loaded.inner_terminations)
    assert loaded.truncations.sum() == 3
    assert loaded.returns.tolist() == [700, 700, 700]
    assert any("is followed by a row" in note or "are followed by a row" in note for note in loaded.provenance.notes)
    assert codes(tmp_path) == []


def test_a_cluster_without_time_outs_ends_where_the_next_row_is_elsewhere(tmp_path: Path) -> None:
    before = walk([300, 300, 300])[0]
    terminals = np.arange(900) % 300 >= 250
    assert read(tmp_path, observations=before, terminals=terminals).lengths.tolist() == [300, 300, 300]


def test_single_terminals_end_their_episodes_as_ever(tmp_path: Path) -> None:
    before, after, last = walk([60, 50, 70])
    assert read(tmp_path, observations=before, terminals=last).lengths.tolist() == [60, 50, 70]
    both = read(tmp_path, observations=before, next_observations=after, terminals=last)
    assert both.lengths.tolist() == [60, 50, 70]
    assert len(both.inner_terminations) == 0


def test_next_observations_that_run_on_are_no_final_observations(tmp_path: Path) -> None:
    # np.roll(observations, -1): at a time-out stands the next episode's start.
    before, _, last = walk([60, 50, 70])
    rolled = np.roll(before, -1, axis=0)
    loaded = read(tmp_path, observations=before, next_observations=rolled, terminals=last & False, timeouts=last)
    assert loaded.lengths.tolist() == [60, 50, 70]
    assert loaded.final_observations.tolist()[:2] == [False, False]
    assert len(Transitions(loaded, action_range=(-np.ones(1), np.ones(1)))) == loaded.steps - 2
    assert any("are the next episode's first observation" in note for note in loaded.provenance.notes)
    assert "next-observations-copied" in codes(tmp_path)


def test_next_observations_that_go_on_at_a_clock_without_reset_are_final_ones(tmp_path: Path) -> None:
    # Maze2D: the clock marks an end, and the point walks on.
    before, after, _ = walk([180])
    clock = np.arange(180) % 60 == 59
    loaded = read(tmp_path, observations=before, next_observations=after, terminals=clock & False, timeouts=clock)
    assert loaded.final_observations.all()
    assert loaded.lengths.tolist() == [60, 60, 60]


def test_a_jump_inside_an_episode_is_found_and_told(tmp_path: Path) -> None:
    before, _, _ = walk([90, 90])
    clock = np.arange(180) == 179
    loaded = read(tmp_path, observations=before, terminals=clock & False, timeouts=clock)
    (found,) = [finding for finding in lint(loaded) if finding.code == "jump-inside-episode"]
    assert (found.severity, found.count, found.row) == ("warning", 1, 89)
    assert "an end of the episode is missing" in found.message
    assert codes(tmp_path) == ["jump-inside-episode"]


def test_terminals_at_the_clock_are_suspected(tmp_path: Path) -> None:
    # gym's done: all forty episodes of Pendulum "end" in step 200, and Pendulum cannot terminate.
    before, after, last = walk([200] * 40)
    loaded = read(tmp_path, observations=before, next_observations=after, terminals=last)
    (found,) = [finding for finding in lint(loaded) if finding.code == "terminated-by-clock"]
    assert found.count == 40
    assert "40 of 40 episodes terminate in step 200" in found.message
    assert codes(tmp_path) == ["terminated-by-clock"]


def test_terminals_of_many_lengths_are_not(tmp_path: Path) -> None:
    before, after, last = walk(list(range(20, 60)))
    assert "terminated-by-clock" not in [
        finding.code for finding in lint(read(tmp_path, observations=before, next_observations=after, terminals=last))
    ]
