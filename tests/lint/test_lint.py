"""Every check finds its fault, and the published files give exactly the findings that are known of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from row_files import write

from offbench.data.concatenation import concatenate
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError
from offbench.formats import native
from offbench.lint.checks import lint, place
from offbench.lint.files import lint_file, lint_rows
from offbench.lint.findings import Expected, Finding, TaskFacts


def trajectories(lengths: tuple[int, ...] = (30, 30), seed: int = 0, **changes: Any) -> Trajectories:
    """Sound episodes that end by the clock, with the state as an extra."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    steps, count = int(offsets[-1]), len(lengths)
    observations = rng.standard_normal((steps + count, 3)).astype(np.float32)
    ends = np.zeros(steps, dtype=bool)
    ends[offsets[1:] - 1] = True
    columns = {
        "observations": observations,
        "offsets": offsets,
        "terminations": np.zeros(steps, dtype=bool),
        "truncations": ends,
        "actions": rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
        "rewards": rng.standard_normal(steps).astype(np.float32),
        "extras": {"qpos": before(observations, offsets)[:, :2].astype(np.float64)},
    }
    return Trajectories(**columns | changes)


def before(observations: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    return np.delete(observations, offsets[1:] + np.arange(len(offsets) - 1), axis=0)


def codes(findings: list[Finding], severity: str | None = None) -> list[str]:
    return [each.code for each in findings if severity is None or each.severity == severity]


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, [str(each) for each in findings]
    return findings[0]


# -------------------------------------------------------------------- trajectories


def test_sound_data_and_empty_data_have_no_findings():
    assert lint(trajectories()) == []
    assert lint(trajectories()[[]]) == []
    facts = TaskFacts("some", 30, np.full(2, -1.0), np.full(2, 1.0))
    assert lint(trajectories(), facts) == []


def test_constant_columns():
    sound = trajectories()
    observations = sound.observations.copy()
    observations[:, 1] = 7
    assert only(lint(replace(sound, observations=observations))).message.startswith("observations never change in col")
    rewards = only(lint(replace(sound, rewards=np.zeros(60, dtype=np.float32))))
    assert (rewards.severity, rewards.code) == ("note", "constant-column")
    assert "all rewards are 0" in rewards.message


def test_actions_out_of_range_and_saturated():
    sound = trajectories()
    actions = sound.actions.copy()
    actions[40, 1] = 1.5
    found = only(lint(replace(sound, actions=actions), TaskFacts("pen", None, np.full(2, -1.0), np.full(2, 1.0))))
    assert (found.severity, found.code, found.count, found.row) == ("error", "action-out-of-range", 1, 40)
    assert "-1 to 1 of pen, first in row 40 (step 10 of episode 1)" in found.message
    assert lint(replace(sound, actions=actions)) == []  # without a task nobody knows the bounds
    on_bound = np.nextafter(np.float32(1), np.float32(2))
    actions[40, 1] = on_bound
    assert lint(replace(sound, actions=actions), TaskFacts("pen", None, np.full(2, -1.0), np.full(2, 1.0))) == []
    clipped = only(lint(replace(sound, actions=np.clip(3 * sound.actions, -1, 1))))
    assert (clipped.severity, clipped.code) == ("note", "actions-saturated")
    wrong = only(lint(sound, TaskFacts("pen", None, np.full(3, -1.0), np.full(3, 1.0))))
    assert (wrong.code, wrong.severity) == ("action-size", "error")


def test_missing_timeouts_longer_episodes_and_the_cut_off_tail():
    sound = trajectories()
    unflagged = replace(sound, truncations=np.zeros(60, dtype=bool))
    found = only(lint(unflagged))
    assert (found.severity, found.code, found.count) == ("warning", "missing-timeouts", 2)
    tail = replace(sound, truncations=np.arange(60) == 29)
    assert codes(lint(tail)) == ["cut-off"]
    # All episodes beyond the clock: another clock. Some at the clock and one at twice of it: a time-out is missing.
    longer = only(lint(sound, TaskFacts("pen", 20)))
    assert (longer.severity, longer.code, longer.count) == ("note", "longer-than-limit", 2)
    assert "longer than the 20 steps of pen, first episode 0 with 30" in longer.message
    glued = only(lint(trajectories((15, 30, 15)), TaskFacts("pen", 15)))
    assert (glued.severity, glued.code, glued.count, glued.row) == ("warning", "missing-timeouts", 1, 15)


def test_duplicated_episodes():
    sound = trajectories((3, 4, 5))
    doubled = concatenate([sound, sound[1:2]])
    found = only(lint(doubled))
    assert (found.severity, found.code, found.count, found.row) == ("warning", "duplicate-episodes", 1, 12)
    assert "first episode 3 episode 1" in found.message
    # The final observation is not compared: files may lack it.
    other = doubled.observations.copy()
    other[-1] += 1
    assert codes(lint(replace(doubled, observations=other))) == ["duplicate-episodes"]
    other[-2] += 1
    assert lint(replace(doubled, observations=other)) == []


def test_frozen_infos():
    sound = trajectories()
    qpos = sound.extras["qpos"].copy()
    qpos[30:] = qpos[30]
    found = only(lint(replace(sound, extras={"qpos": qpos})))
    assert (found.severity, found.code, found.count, found.row) == ("warning", "infos-frozen", 1, 30)
    assert "first episode 1" in found.message
    # Each episode stands where it started.
    both = np.repeat(qpos[[0, 30]], 30, axis=0)
    assert only(lint(replace(sound, extras={"qpos": both}))).count == 2
    # A goal may stand still, and so may the state of a simulator that does.
    assert lint(replace(sound, extras={"goal": qpos})) == []
    still = np.repeat(sound.observations[:2], 31, axis=0)
    assert codes(lint(replace(sound, observations=still, extras={"qpos": qpos}))) == []


@pytest.mark.parametrize(("shift", "word"), [(-1, "next"), (1, "previous")])
def test_infos_of_another_row(shift: int, word: str):
    sound = trajectories()
    source = before(sound.observations, sound.offsets)
    found = lint(replace(sound, extras={"deep/qpos": np.roll(source, shift, axis=0)}))
    assert "infos-offset" in codes(found, "warning")
    assert f"is the state of the {word} row (3 of its 3 columns" in found[-1 if shift > 0 else 0].message
    # Rolled over the whole file the state goes on across the flag, as if the flag stood too early.
    assert ("end-flag-misplaced" in codes(found)) == (shift == -1)


def test_infos_of_the_next_row_tell_where_episodes_really_end():
    sound = trajectories((30, 30))
    ahead = before(sound.observations, sound.offsets)
    ahead = np.concatenate([ahead[1:32], np.zeros((1, 3), np.float32), ahead[33:], ahead[:1] * 0])
    found = lint(replace(sound, extras={"qpos": ahead}))
    assert codes(found, "error") == ["reset-inside-episode"]
    assert found[0].row == 31
    assert "row 31 (step 1 of episode 1)" in found[0].message
    misplaced = next(each for each in found if each.code == "end-flag-misplaced")
    assert (misplaced.count, misplaced.row) == (1, 29)


# -------------------------------------------------------------------- rewards


def facts_of(expected: np.ndarray, exact: bool = True) -> TaskFacts:
    known = np.ones(len(expected), dtype=bool)
    return TaskFacts("some", expected_rewards=lambda t: Expected(expected, known, exact))


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(("shift", "words"), [(1, "one row late"), (-1, "one row early")])
def test_shifted_rewards(exact: bool, shift: int, words: str):
    sound = trajectories()
    facts = facts_of(sound.rewards.astype(np.float64), exact)
    assert lint(sound, facts) == []
    found = only(lint(replace(sound, rewards=np.roll(sound.rewards, shift)), facts))
    assert (found.severity, found.code) == ("error", "rewards-shifted")
    assert words in found.message
    # A formula that says nothing about the rewards claims nothing.
    noise = np.random.default_rng(5).standard_normal(60)
    assert "rewards-shifted" not in codes(lint(sound, facts_of(noise, exact)))
    assert lint(trajectories((10,)), facts_of(np.roll(trajectories((10,)).rewards, 1), exact=False)) == []


def test_a_shift_is_sought_within_episodes():
    sound = trajectories((4,) * 20)
    late = np.roll(sound.rewards, 1)
    late[::4] = 100.0  # what stands in the first row of an episode comes from nowhere
    found = only(lint(replace(sound, rewards=late), facts_of(sound.rewards.astype(np.float64), exact=False)))
    assert "one row late" in found.message


def test_rewards_that_differ_in_some_rows():
    sound = trajectories()
    rewards = sound.rewards.copy()
    rewards[[7, 9]] += 0.5
    found = only(lint(replace(sound, rewards=rewards), facts_of(sound.rewards.astype(np.float64))))
    assert (found.severity, found.code, found.count, found.row) == ("warning", "rewards-differ", 2, 7)
    assert lint(replace(sound, rewards=rewards), facts_of(sound.rewards.astype(np.float64), exact=False)) == []
    assert lint(sound, TaskFacts("some", expected_rewards=lambda t: None)) == []


def test_place_names_the_row_its_step_and_its_episode():
    assert place(trajectories((3, 4)), 2) == "row 2 (step 2 of episode 0)"
    assert place(trajectories((3, 4)), 3) == "row 3 (step 0 of episode 1)"


# -------------------------------------------------------------------- rows of files


def rows(**changes: Any) -> dict[str, Any]:
    """Two episodes of three rows, one that terminates and one that the clock ends; None leaves a column out."""
    observations = np.random.default_rng(1).standard_normal((6, 2)).astype(np.float32)
    following = np.concatenate([observations[1:], observations[:1]])
    columns = {
        "observations": observations,
        "next_observations": following,
        "actions": np.linspace(-0.9, 0.9, 6, dtype=np.float32)[:, None],
        "rewards": np.arange(6, dtype=np.float32),
        "terminals": np.arange(6) == 2,
        "timeouts": np.arange(6) == 5,
    } | changes
    return {name: np.asarray(column) for name, column in columns.items() if column is not None}


def check(task: TaskFacts | None = None, infos: dict[str, np.ndarray] | None = None, **changes: Any) -> list[Finding]:
    return lint_rows(Path("x.hdf5"), rows(**changes), infos or {}, task)


def test_sound_rows_have_no_findings():
    assert check() == []
    assert check(next_observations=None) == []


def test_values_that_are_not_finite_are_all_named():
    observations, rewards = rows()["observations"], rows()["rewards"]
    observations[3:5, 1], rewards[0] = np.nan, np.inf
    found = check(observations=observations, rewards=rewards)
    assert [(each.code, each.severity, each.count, each.row) for each in found] == [
        ("not-finite", "error", 2, 3),
        ("not-finite", "error", 1, 0),
    ]
    assert "infos/qpos" in only(check(infos={"qpos": np.full(6, np.nan)})).message


def test_columns_of_other_lengths():
    found = check(actions=np.zeros((5, 1)), rewards=np.zeros(8), infos={"goal": np.zeros((7, 2))})
    assert codes(found) == ["lengths-differ"] * 3
    assert "actions has 5 rows; 6 would be right" in found[0].message
    assert "(6, 3)" in only(check(next_observations=np.zeros((6, 3)))).message
    assert codes(check(observations=None)) == ["no-observations"]
    assert codes(lint_rows(Path("x"), {"observations": np.zeros((0, 2))}, {})) == ["no-observations"]


def test_flags_that_are_none():
    found = only(check(terminals=np.array([0, 0, 2, 0, 0, 0])))
    assert (found.code, found.row) == ("flags-not-binary", 2)


def test_both_end_flags():
    found = only(check(timeouts=np.isin(np.arange(6), [2, 5])))
    assert (found.severity, found.code, found.count, found.row) == ("warning", "both-end-flags", 1, 2)


def test_next_observations_that_do_not_match():
    following = rows()["next_observations"]
    following[3] += 1
    found = only(check(next_observations=following))
    assert (found.severity, found.code, found.row) == ("error", "next-observation-mismatch", 3)
    following[2] += 1  # behind a terminal anything may stand
    assert codes(check(next_observations=following)) == ["next-observation-mismatch"]


@pytest.mark.parametrize("timeouts", [None, np.zeros(6)])
def test_missing_timeouts(timeouts: np.ndarray | None):
    # Two further episodes that nothing flags: known by next_observations, or by the task's clock.
    following = rows()["next_observations"]
    following[4] += 1
    found = check(timeouts=timeouts, next_observations=following)
    assert codes(found, "warning") == ["missing-timeouts"]
    assert found[0].row == 4
    terminals = np.arange(6) == 1
    by_clock = check(TaskFacts("pen", 3), timeouts=timeouts, next_observations=None, terminals=terminals)
    assert codes(by_clock, "warning") == ["missing-timeouts"]
    assert "4 rows from row 2 on have no end, and pen stops after 3 steps" in by_clock[0].message


def test_a_file_that_cannot_tell_where_episodes_end_says_so():
    found = check(timeouts=None, next_observations=None, terminals=np.isin(np.arange(6), [2, 5]))
    assert codes(found) == ["no-timeouts-column"]
    assert codes(check(timeouts=None, next_observations=None, terminals=None), "error") == ["unreadable"]


# -------------------------------------------------------------------- files


@pytest.mark.parametrize("name", ["x.hdf5", "x.h5", "x.npz"])
def test_files_are_checked_as_rows(tmp_path: Path, name: str):
    assert set(codes(lint_file(write(tmp_path / name, rows())))) <= {"reading"}
    broken = rows(rewards=np.full(6, np.nan), **{"infos/qpos": np.full(6, np.nan)})
    assert codes(lint_file(write(tmp_path / name, broken))) == ["not-finite", "not-finite"]


def test_native_files_are_checked_as_trajectories(tmp_path: Path):
    native.save(trajectories(), tmp_path / "x.offbench")
    assert lint_file(tmp_path / "x.offbench") == []
    (tmp_path / "y.hdf5").write_bytes(b"no HDF5")
    for missing in ("y.hdf5", "z.hdf5", "z.npz", "z.offbench"):
        with pytest.raises(DataError, match=missing):
            lint_file(tmp_path / missing)


# Findings of the published files that are no notes. In antmaze-large-play-v0 infos are those of the next row, as in
# umaze, and tell that the first episode goes on for two rows behind its flag.
DEFECTS = {
    "hopper_medium_replay-v1": ["infos-frozen", "infos-frozen"],
    "halfcheetah_medium_replay-v1": ["infos-frozen", "infos-frozen"],
    "antmaze-umaze-v0": ["infos-offset", "infos-offset"],
    "antmaze-large-play-v0": ["reset-inside-episode", "infos-offset", "end-flag-misplaced", "infos-offset"],
}
NOTES = {"constant-column", "actions-saturated", "reading"}


def test_published_slices_have_the_known_defects_and_no_others(shared: Path):
    paths = sorted((shared / "real" / "d4rl_slices").glob("*.hdf5"))
    assert {path.stem for path in paths} > DEFECTS.keys()
    for path in paths:
        found = lint_file(path)
        assert [each.code for each in found if each.severity != "note"] == DEFECTS.get(path.stem, []), path.stem
        assert set(codes(found, "note")) <= NOTES, path.stem


def test_the_reset_inside_an_antmaze_episode_is_a_jump(shared: Path):
    path = shared / "real" / "d4rl_slices" / "antmaze-large-play-v0.hdf5"
    found = {each.code: each for each in lint_file(path)}
    assert found["reset-inside-episode"].row == 1000
    assert found["end-flag-misplaced"].row == 998
    with h5py.File(path) as file:
        distance = np.linalg.norm(np.diff(file["observations"][:, :2], axis=0), axis=1)
        goals = np.flatnonzero((np.diff(file["infos/goal"][:], axis=0) != 0).any(axis=1))
    assert np.argmax(distance) == 1000
    assert distance[1000] > 2 * np.sort(distance)[-2]
    assert goals.tolist() == [1000]


def test_neorl2_and_the_pendulum_replay_are_sound(shared: Path):
    paths = [*(shared / "real" / "neorl2").glob("*.npz"), shared / "real" / "d3rlpy_pendulum_replay.hdf5"]
    assert len(paths) == 5
    for path in paths:
        assert set(codes(lint_file(path))) <= NOTES, path.name
        assert not codes(lint_file(path), "error") + codes(lint_file(path), "warning")


@pytest.mark.parametrize(
    ("name", "limit", "longest"),
    [("antmaze-umaze-v0", 700, 701), ("pen-human-v1", 100, 200), ("door-human-v1", 200, 300)],
)
def test_published_episodes_beyond_the_clock_are_noted(shared: Path, name: str, limit: int, longest: int):
    found = lint_file(shared / "real" / "d4rl_slices" / f"{name}.hdf5", TaskFacts("the task", limit))
    note = next(each for each in found if each.code == "longer-than-limit")
    assert (note.severity, note.count) == ("note", 2)
    assert f"longer than the {limit} steps of the task, first episode 0 with {longest}" in note.message
