from dataclasses import replace

import numpy as np
import pytest

from offbench.behaviours import ladder as ladders
from offbench.behaviours.ladder import Ladder, Measured, Rung, write_ladder, write_rung
from offbench.catalog.cards import card
from offbench.data.trajectories import Trajectories
from offbench.environments.simulator import make_simulator
from offbench.environments.task import task
from offbench.errors import OffbenchError, UnknownNameError
from offbench.generation import recipes
from offbench.generation.recipe import Expected, Recipe
from offbench.generation.recipes import Progress, check_expected, generate
from offbench.generation.recording import record
from offbench.generation.references import short_route

STITCH, SWINGUP = "offbench/pointmaze/stitch-v0", "offbench/pendulum/swingup-v0"


def made(dataset: str, progress: Progress | None = None, **changes) -> Trajectories:
    """The dataset of a card's recipe, some fields of which are others."""
    recipe = card(dataset).recipe.model_copy(update=changes)
    return generate(recipe, task(card(dataset).task), dataset, progress)


@pytest.fixture(scope="module")
def stitch() -> Trajectories:
    return made(STITCH)


@pytest.mark.parametrize("dataset", [STITCH, SWINGUP])
def test_the_same_seed_gives_the_same_data_in_any_batch(dataset, monkeypatch):
    first = made(dataset, episodes=12)
    monkeypatch.setattr(recipes, "BATCH", 2)
    assert made(dataset, episodes=12).digest == first.digest
    assert made(dataset, episodes=12, seed=1).digest != first.digest


def test_columns(stitch):
    assert (len(stitch), stitch.steps) == (1000, 200_000)
    assert {name: str(column.dtype) for name, column in stitch.columns().items()} == {
        "observations": "float32",
        "offsets": "int64",
        "terminations": "bool",
        "truncations": "bool",
        "final_observations": "bool",
        "actions": "float32",
        "rewards": "float32",
        "extras/goal": "float32",
    }
    assert not stitch.terminations.any()
    assert (stitch.lengths == 200).all()
    assert stitch.truncations.sum() == 1000
    assert [bound.tolist() for bound in stitch.action_range] == [[-1, -1], [1, 1]]


def cells(observations):
    """(..., 2) row and column of positions in the maze of 4 by 6 cells."""
    return np.stack([np.floor(2 - observations[..., 1]), np.floor(observations[..., 0] + 3)], axis=-1).astype(int)


def visited(observations, cell):
    """(episodes,) whether an episode was ever in a cell."""
    return (cells(observations) == cell).all(axis=-1).any(axis=1)


def test_rewards_are_those_of_the_true_goal_in_every_group(stitch):
    after = stitch.observations.reshape(1000, 201, 4)[:, 1:, :2]
    goal = stitch.extras["goal"].reshape(1000, 200, 2)
    assert (cells(goal) == [2, 4]).all()
    assert (goal == goal[:, :1]).all()
    expected = np.exp(-np.linalg.norm(after - goal, axis=-1))
    np.testing.assert_allclose(stitch.rewards.reshape(1000, 200), expected, atol=1e-5)


def test_the_four_groups_go_where_they_should(stitch):
    observations = stitch.observations.reshape(4, 250, 201, 4)
    assert (cells(observations[:, :, 0]) == [1, 2]).all()
    for group in range(2):
        assert (cells(observations[group, :, -1]) == [2, 2]).all()
        assert not visited(observations[group], [2, 3]).any()
        assert np.abs(observations[group, :, -1, 2:]).max() < 0.5
    assert not np.array_equal(observations[0], observations[1])
    for group in range(2, 4):
        assert visited(observations[group], [1, 1]).all()
        assert visited(observations[group], [2, 1]).all()
        assert visited(observations[group], [2, 4]).all()
    assert (cells(observations[2, :, -1]) == [2, 4]).all()


def test_the_last_group_acts_at_random_from_the_goal_on(stitch):
    actions = stitch.actions.reshape(4, 250, 200, 2)
    last = actions[3, :, -20:].ravel()
    assert abs(last.mean()) < 0.02
    assert last.std() == pytest.approx(1 / np.sqrt(3), abs=0.02)
    assert np.abs(actions[2, :, -20:]).mean() < 0.2


def test_no_episode_comes_near_the_short_route(stitch):
    simulator = make_simulator(task("pointmaze-stitch"), 100)
    short = record(simulator, short_route(simulator, range(100)), range(100)).returns
    best = stitch.returns.max()
    # The worst of the short route, with the goal at its farthest, still beats the best of the data.
    assert best < short.min() - 10
    assert task("pointmaze-stitch").score(best) < 60
    groups = stitch.returns.reshape(4, 250).mean(axis=1)
    assert groups[0] == pytest.approx(groups[1], abs=2)
    assert groups[2] > groups[3] > 1.8 * groups[0]


def test_the_swing_up_leaves_something_to_gain():
    episodes = made(SWINGUP, episodes=100)
    score = task("pendulum").score(episodes.returns.mean())
    assert 50 < score < 80
    assert episodes.observations.dtype == np.float32
    assert [bound.tolist() for bound in episodes.action_range] == [[-2], [2]]
    assert not episodes.terminations.any()


def test_progress_counts_up_to_the_end():
    told = []
    made(STITCH, lambda done, total: told.append((done, total)), episodes=120)
    assert told == [(30, 120), (60, 120), (90, 120), (120, 120)]


def test_what_a_recipe_asks_wrongly_is_said():
    with pytest.raises(UnknownNameError, match="no recipe named 'pointmaze_stich'; nearest: pointmaze_stitch"):
        made(STITCH, episodes=4, name="pointmaze_stich")
    with pytest.raises(
        OffbenchError, match=f"{STITCH} does not take its arguments: got an unexpected keyword .* 'size'"
    ):
        made(STITCH, episodes=4, arguments={"size": 3})
    with pytest.raises(OffbenchError, match="5 episodes cannot be divided"):
        made(STITCH, episodes=5)


# -------------------------------------------------------------------- behaviours and waypoints


@pytest.fixture
def climbed(tmp_path, monkeypatch):
    """A ladder of the pendulum whose rungs turn with torques -1, 0 and 1 N m."""
    monkeypatch.setattr(ladders, "folder", lambda task: tmp_path / task)
    monkeypatch.setattr(recipes, "folder", lambda task: tmp_path / task)
    rungs = []
    for name, torque, mean in (("low", -1.0, 0.0), ("middle", 0.0, 350.0), ("high", 1.0, 1000.0)):
        bias = np.array([[np.arctanh(torque / 2), -20.0]], np.float32)  # a standard deviation of almost nothing
        hidden = {"layer0.weight": np.zeros((3, 4), np.float32), "layer0.bias": np.zeros((1, 4), np.float32)}
        actor = hidden | {"layer1.weight": np.zeros((4, 2), np.float32), "layer1.bias": bias}
        write_rung(tmp_path / "pendulum" / f"{name}.safetensors", actor, "pendulum")
        measured = Measured(mean=mean, standard_error=1, length=200, episodes=10)
        rungs.append(Rung(name=name, updates=1, transitions=1, sampled=measured))
    write_ladder(Ladder(task="pendulum", trained="", rungs=rungs), tmp_path / "pendulum")


def recipe(rungs, transitions=1000, seed=0, **fields) -> Recipe:
    return Recipe(name="behaviours", seed=seed, transitions=transitions, arguments={"rungs": rungs}, **fields)


def recorded(*asked, progress: Progress | None = None, **fields) -> Trajectories:
    return generate(recipe(*asked, **fields), task("pendulum"), "test/pendulum-v0", progress)


@pytest.mark.usefixtures("climbed")
@pytest.mark.parametrize(
    ("rungs", "torques"),
    [
        (["medium"], [0]),
        (["expert"], [1]),
        (["medium", "expert"], [0, 1]),
        (["low", "expert"], [-1, 1]),
    ],
)
def test_rungs_act_for_equal_shares_in_order(rungs, torques):
    data = recorded(rungs, 1200)
    shares = np.split(data.actions[:, 0], len(torques))
    for share, torque in zip(shares, torques, strict=True):
        np.testing.assert_allclose(share, torque, atol=2e-3)
    assert data.steps == 1200
    assert (data.lengths == 200).all()


def test_random_behaviour_needs_no_ladder():
    data = recorded(["random"], 10_000)
    assert abs(data.actions.mean()) < 5 * 2 / 3**0.5 / 100
    assert np.abs(data.actions).max() <= 2


@pytest.mark.usefixtures("climbed")
def test_more_transitions_begin_with_the_same_episodes():
    short, long = recorded(["medium"], 500), recorded(["medium"], 1500)
    assert len(short) == 3  # whole episodes: at least 500 steps
    assert short.digest == replace(long[:3], provenance=short.provenance).digest
    assert recorded(["medium"], 500, seed=1).digest != short.digest


@pytest.mark.usefixtures("climbed")
def test_steps_are_told_up_to_the_end():
    told = []
    recorded(["medium", "expert"], 800, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (800, 800)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_what_was_expected_is_compared_within_its_errors():
    data = recorded(["random"], 4000)
    mean, error = float(data.returns.mean()), float(data.returns.std(ddof=1)) / 20**0.5
    fields = {"mean_length": 200, "length_error": 0}
    check_expected("x", Expected(mean_return=mean + 4 * error, return_error=0, **fields), data)
    with pytest.raises(OffbenchError, match="x came out with a mean return of"):
        check_expected("x", Expected(mean_return=mean + 6 * error, return_error=0, **fields), data)
    with pytest.raises(OffbenchError, match=r"mean length of 200\.0"):
        check_expected("x", Expected(mean_return=mean, return_error=0, mean_length=199, length_error=0.1), data)
    wrong = Expected(mean_return=0, return_error=0.1, **fields)
    with pytest.raises(OffbenchError, match=r"test/pendulum-v0 came out with .*; its card says 0\.0"):
        recorded(["random"], 4000, expected=wrong)


def test_what_is_expected_does_not_make_another_dataset():
    expected = Expected(mean_return=1, return_error=1, mean_length=1, length_error=1)
    assert recipe(["random"]).digest == recipe(["random"], expected=expected).digest
    assert recipe(["random"]).digest != recipe(["random"], 1001).digest


def test_the_waypoint_controller_reaches_its_goals():
    data = made("offbench/pointmaze/umaze-v0", transitions=6000)
    assert (data.lengths == 300).all()
    assert data.rewards.reshape(-1, 300)[:, -50:].mean() > 0.9
    assert 0.3 < np.abs(data.actions[data.rewards > 0]).mean() < 0.6  # noise of 0.5 while the goal is held
