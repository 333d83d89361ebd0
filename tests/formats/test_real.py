"""Every real file of the kinds that test_hdf5 leaves out: NeoRL-2, and preferences by people and by scripts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from offbench.formats.npz import read_npz
from offbench.formats.preference_files import LabelledRows, read_ipl, read_rows

# -------------------------------------------------------------------- NeoRL-2

# (episodes, steps), terminated, truncated, returns: mean, lowest, highest; observation and action sizes
NEORL2 = {
    "SafetyHalfCheetah-high-100000-train": ((18, 18_000), 0, 18, (1769.3, 1730.9, 1925.9), (18, 6)),
    "SafetyHalfCheetah-high-20000-val": ((2, 2_000), 0, 2, (1656.5, 1637.4, 1675.7), (18, 6)),
    "Simglucose-high-100000-train": ((280, 100_257), 111, 169, (353.5, 11.7, 480.0), (31, 1)),
    "Simglucose-high-20000-val": ((62, 20_018), 30, 32, (316.2, 27.7, 480.0), (31, 1)),
}


@pytest.mark.parametrize("name", NEORL2)
def test_neorl2(shared: Path, name: str) -> None:
    counts, terminated, truncated, returns, sizes = NEORL2[name]
    path = shared / "real" / "neorl2" / f"{name}.npz"
    trajectories = read_npz(path)
    assert (len(trajectories), trajectories.steps) == counts
    assert int(trajectories.terminations.sum()) == terminated
    assert int(trajectories.truncations.sum()) == truncated
    found = trajectories.returns
    assert (found.mean(), found.min(), found.max()) == pytest.approx(returns, abs=0.06)
    assert (trajectories.observations.shape[1], trajectories.actions.shape[1]) == sizes
    assert trajectories.final_observations.all()
    assert trajectories.provenance.notes == ()
    # No row was lost or moved.
    with np.load(path) as file:
        before = np.arange(trajectories.steps) + np.repeat(np.arange(len(trajectories)), trajectories.lengths)
        assert np.array_equal(trajectories.observations[before], file["obs"])
        assert np.array_equal(trajectories.observations[before + 1], file["next_obs"])
        assert np.array_equal(trajectories.actions, file["action"])
        assert np.array_equal(trajectories.rewards, file["reward"])


def test_neorl2_episodes_have_the_lengths_of_their_tasks(shared: Path) -> None:
    cheetah = read_npz(shared / "real" / "neorl2" / "SafetyHalfCheetah-high-100000-train.npz")
    assert set(cheetah.lengths.tolist()) == {1000}
    glucose = read_npz(shared / "real" / "neorl2" / "Simglucose-high-100000-train.npz")
    whole = glucose.truncations[glucose.offsets[1:] - 1]
    assert set(glucose.lengths[whole].tolist()) == {480}
    assert int(glucose.lengths[~whole].max()) < 480


# -------------------------------------------------------------------- IPL

# pairs, length, observation, action; labels 0, 1/2, 1
IPL = {
    "Lift/num100_q50_human_train": ((100, 50, 49, 7), (35, 55, 10)),
    "Lift/num100_q50_human_eval": ((10, 50, 49, 7), (2, 8, 0)),
    "hopper-medium-expert-v2/num100_human_train": ((100, 100, 11, 3), (32, 28, 40)),
    "hopper-medium-expert-v2/num100_human_eval": ((10, 100, 11, 3), (4, 1, 5)),
    "hopper-medium-expert-v2/num100_script_train": ((100, 100, 11, 3), (58, 0, 42)),
    "hopper-medium-expert-v2/num100_script_eval": ((10, 100, 11, 3), (7, 0, 3)),
}


@pytest.mark.parametrize("name", IPL)
def test_ipl(shared: Path, name: str) -> None:
    (pairs, length, observation, action), labels = IPL[name]
    preferences = read_ipl(shared / "real" / "preferences" / "ipl" / f"{name}.npz")
    assert preferences.first.observations.shape == (pairs, length, observation)
    assert preferences.second.actions.shape == (pairs, length, action)
    counts = Counter(preferences.labels.tolist())
    assert (counts[0.0], counts[0.5], counts[1.0]) == labels


def test_people_and_scripts_label_the_same_pairs(shared: Path) -> None:
    folder = shared / "real" / "preferences" / "ipl" / "hopper-medium-expert-v2"
    human, script = (read_ipl(folder / f"num100_{who}_train.npz") for who in ("human", "script"))
    for name in ("observations", "actions"):
        assert np.array_equal(getattr(human.first, name), getattr(script.first, name))
        assert np.array_equal(getattr(human.second, name), getattr(script.second, name))
    sure = human.labels != 0.5
    assert int(sure.sum()) == 72
    assert int((human.labels == script.labels)[sure].sum()) == 31  # below one half


# Of Lift's 200 segments only 105 are distinct, so that more than the evaluation's own pairs have to go.
@pytest.mark.parametrize(
    ("stem", "left"), [("Lift/num100_q50_human", 63), ("hopper-medium-expert-v2/num100_human", 90)]
)
def test_ipl_evaluates_on_pairs_that_it_trains_on_unless_they_are_kept_out(shared: Path, stem: str, left: int) -> None:
    folder = shared / "real" / "preferences" / "ipl"
    training, evaluation = (read_ipl(folder / f"{stem}_{part}.npz") for part in ("train", "eval"))
    assert training[90:].digest == evaluation.digest
    apart = training.without(evaluation)
    assert len(apart) == left
    if left == 90:
        assert apart.digest == training[:90].digest


# -------------------------------------------------------------------- labels on rows of D4RL

# labels 0, 1/2, 1; indices in the files, of which the first ones are labelled
TRANSFORMER = {
    "antmaze-large-play-v2": (200, 637, 163),
    "hopper-medium-expert-v2": (32, 28, 40),
    "hopper-medium-replay-v2": (121, 191, 188),
    "pen-human-v1": (38, 35, 27),
}


@pytest.mark.parametrize("name", TRANSFORMER)
def test_preference_transformer(shared: Path, name: str) -> None:
    rows = read_rows(shared / "real" / "preferences" / "preference_transformer" / name)
    counts = Counter(rows.labels.tolist())
    assert (counts[0.0], counts[0.5], counts[1.0]) == TRANSFORMER[name]
    assert rows.length == 100
    assert rows.first.shape == rows.second.shape == rows.labels.shape


def test_two_publications_of_the_same_labels_agree(shared: Path) -> None:
    folder = shared / "real" / "preferences"
    rows = read_rows(folder / "preference_transformer" / "hopper-medium-expert-v2")
    ipl = read_ipl(folder / "ipl" / "hopper-medium-expert-v2" / "num100_human_train.npz")
    assert np.array_equal(rows.labels, ipl.labels)


def both(shared: Path, name: str) -> tuple[LabelledRows, LabelledRows]:
    folder = shared / "real" / "preferences" / "uni_rlhf" / name
    return read_rows(folder, "human"), read_rows(folder, "scripted")


# crowd labels 0, 1/2, 1; scripted ones; pairs on which neither is a tie; on how many of them both agree
UNI_RLHF = {
    "antmaze-large-play-v2": ((770, 398, 832), (86, 1799, 115), 193, 193),
    "halfcheetah-medium-v2": ((1018, 41, 941), (942, 131, 927), 1830, 1093),
}


@pytest.mark.parametrize("name", UNI_RLHF)
def test_crowd_and_script_join_on_their_indices(shared: Path, name: str) -> None:
    human, scripted = both(shared, name)
    of_crowd, of_script, decided, agreed = UNI_RLHF[name]
    for rows, expected in ((human, of_crowd), (scripted, of_script)):
        counts = Counter(rows.labels.tolist())
        assert (counts[0.0], counts[0.5], counts[1.0]) == expected
        assert rows.length == 200
    here, there = human.join(scripted)
    assert len(here) == 2000  # all pairs, in another order
    assert not np.array_equal(human.first, scripted.first)
    sure = (human.labels[here] != 0.5) & (scripted.labels[there] != 0.5)
    same = human.labels[here] == scripted.labels[there]
    assert int(sure.sum()) == decided
    assert int((same & sure).sum()) == agreed  # all of AntMaze's; 59.7 % of HalfCheetah's


def test_published_indices_count_rows_without_time_outs(shared: Path) -> None:
    """HalfCheetah has 1000 steps an episode, so that 999 rows are left; no segment of 200 crosses their ends."""
    human, _ = both(shared, "halfcheetah-medium-v2")
    starts = np.concatenate([human.first, human.second])
    assert (starts % 999).max() == 799
    assert (starts % 1000).max() > 800
    # AntMaze's episodes have 1001 rows in the file and 1000 without their time-outs; six segments cross an end.
    human, _ = both(shared, "antmaze-large-play-v2")
    starts = np.concatenate([human.first, human.second])
    assert int((starts % 1000 > 800).sum()) == 6
