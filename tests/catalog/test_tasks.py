"""The tasks that the cards name: D4RL's reference scores, and environments whose observations fit the data."""

import pytest

from offbench.catalog.cards import cards
from offbench.catalog.loading import load
from offbench.environments.simulator import make_simulator
from offbench.environments.task import task, tasks
from offbench.errors import OffbenchError


def test_d4rl_constants_that_papers_quote():
    assert task("ant").score(3879.7) == pytest.approx(100)
    assert task("pen").score([96.262799, 3076.8331017826877]).tolist() == pytest.approx([0, 100])
    assert task("maze2d-large").score(273.99) == pytest.approx(100)
    assert task("maze2d-umaze-dense").low.mean == 68.537689
    assert task("antmaze-umaze").score(0.5) == pytest.approx(50)
    assert task("kitchen-mixed").score(2) == pytest.approx(50)
    limits = {"pen": 100, "hammer": 200, "kitchen": 280, "antmaze-umaze": 700, "antmaze-large": 1000}
    limits |= {"maze2d-open": 150, "maze2d-umaze": 300, "maze2d-medium-dense": 600, "maze2d-large": 800}
    assert {name: task(name).episode_limit for name in limits} == limits


def test_every_reference_of_a_d4rl_card_is_d4rls_or_the_task_says_why_not():
    for name, each in cards().items():
        if name.startswith("d4rl/maze2d-open"):
            assert "measured" in task(each.task).low.source
            assert any("D4RL's references" in difference for difference in task(each.task).known_differences)
        elif name.startswith("d4rl/"):
            known = task(each.task)
            assert known.low.source == "D4RL, d4rl/infos.py, REF_MIN_SCORE"
            assert known.high.source == "D4RL, d4rl/infos.py, REF_MAX_SCORE"


@pytest.mark.parametrize("robot", ["hopper", "ant"])
def test_where_0_was_measured_the_task_says_how_published_scores_convert(robot):
    today, frame = task(f"{robot}-v4"), task(f"{robot}-d4rl")
    assert today.high == frame.high
    lower = -float(today.score(frame.low.mean))
    said = f"is {1 + lower / 100:.3f} s - {lower:.2f} on this one, so {lower:.2f} lower at 0 and equal at 100"
    assert any(said in difference for difference in today.known_differences)


@pytest.mark.parametrize(
    ("name", "observations", "actions"),
    [("ant-v4", 111, 8), ("antmaze-umaze", 29, 8), ("maze2d-umaze", 4, 2), ("pen", 45, 24), ("hammer", 46, 26),
     ("door", 39, 28), ("relocate", 39, 30), ("ant-d4rl", 111, 8)],
)  # fmt: skip
def test_simulated_observations_have_the_sizes_of_d4rls(name, observations, actions):
    simulator = make_simulator(task(name), 1)
    assert simulator.reset([0]).shape == (1, observations)
    assert len(simulator.action_low) == actions
    assert simulator.action_low.tolist() == [-1] * actions
    simulator.close()


@pytest.mark.parametrize(
    ("slice_name", "name"),
    [("antmaze-umaze-v0", "antmaze-umaze"), ("pen-human-v1", "pen"), ("hammer-human-v1", "hammer"),
     ("door-human-v1", "door")],
)  # fmt: skip
def test_published_data_have_the_same_sizes(slice_name, name, shared):
    data = load(shared / "real" / "d4rl_slices" / f"{slice_name}.hdf5")
    simulator = make_simulator(task(name), 1)
    assert data.observations.shape[1] == simulator.observation_size
    assert data.actions.shape[1] == len(simulator.action_low)
    simulator.close()


def test_what_cannot_be_simulated_here_still_scores():
    for name in ("kitchen", "neorl2-pipeline"):
        assert task(name).score(task(name).high.mean) == pytest.approx(100)
    with pytest.raises(OffbenchError, match="environment Pipeline of task neorl2-pipeline cannot be made"):
        make_simulator(task("neorl2-pipeline"), 1)


def test_neorl2_constants():
    assert len([name for name in tasks() if name.startswith("neorl2-")]) == 8
    assert task("neorl2-simglucose").score(475) == pytest.approx(100)
    assert task("neorl2-dmsd").low.mean == 30.6
    assert "neorl2/envs/info.py" in task("neorl2-fusion").high.source
