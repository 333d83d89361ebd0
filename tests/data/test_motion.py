import numpy as np
import pytest

from offbench.data.motion import motion


def walks(count: int, length: int, size: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """(observations, whether each row and the next are a step apart) of walks from far starts."""
    rng = np.random.default_rng(0)
    rows = [rng.uniform(-9, 9, size) + np.cumsum(rng.uniform(-0.1, 0.1, (length, size)), axis=0) for _ in range(count)]
    return np.concatenate(rows), np.arange(count * length - 1) % length != length - 1


def test_steps_and_resets_are_told_apart():
    observations, inside = walks(6, 40)
    found = motion(observations, inside)
    assert found.steps[inside].mean() > 0.95
    assert not found.jumps[inside].any()
    assert found.jumps[~inside].all()
    assert not found.steps[~inside].any()


def test_a_blind_guess_of_what_is_inside_still_finds_the_resets():
    observations, inside = walks(3, 300)
    found = motion(observations, np.ones(len(inside), dtype=bool))
    assert np.flatnonzero(found.jumps).tolist() == np.flatnonzero(~inside).tolist()


def test_collisions_are_no_resets():
    rng = np.random.default_rng(0)
    velocities = np.cumsum(rng.uniform(-0.05, 0.05, (3000, 2)), axis=0)
    for row in range(0, 3000, 60):
        velocities[row:] -= (1 + rng.uniform()) * velocities[row]  # stopped by a wall, and thrown back
    observations = np.concatenate([np.cumsum(0.02 * velocities, axis=0), velocities], axis=1)
    assert not motion(observations, np.ones(2999, dtype=bool)).jumps.any()


def test_one_component_of_many_is_no_reset():
    observations, inside = walks(1, 400, size=30)
    observations[200:, 3] += 50  # a button, a teleport of one part
    assert not motion(observations, inside).jumps.any()


@pytest.mark.parametrize(
    "observations",
    [
        np.zeros((100, 3)),
        np.random.default_rng(0).standard_normal((200, 5)),  # rows that know nothing of their neighbours
        np.eye(10)[np.arange(200) % 10],
        np.arange(10.0)[:, None],
        np.zeros((100, 2), dtype=bool),
        np.zeros((1, 2)),
    ],
)
def test_where_motion_tells_nothing_it_says_nothing(observations):
    found = motion(observations, np.ones(len(observations) - 1, dtype=bool))
    assert np.isnan(found.far).all()
    assert not found.steps.any()
    assert not found.jumps.any()
