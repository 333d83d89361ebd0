import gymnasium
import numpy as np
import pytest

from offbench.behaviours.controllers import (
    MazeRunner,
    Tour,
    UniformRandom,
    Waypoints,
    cell_centre,
    next_cells,
    path_through,
)
from offbench.behaviours.pendulum_controllers import PendulumOptimal, PendulumSwingUp, advance, wrap
from offbench.environments.simulator import make_simulator
from offbench.environments.task import task, tasks
from offbench.errors import OffbenchError
from offbench.generation import references
from offbench.generation.recording import record

MAZE = [[1, 1, 1, 1, 1, 1], [1, 0, "r", 1, 1, 1], [1, 0, 0, 0, "g", 1], [1, 1, 1, 1, 1, 1]]


def test_uniform_random_depends_on_the_seed_alone_and_fills_the_range():
    low, high = np.array([-1.0, 0.0]), np.array([1.0, 3.0])
    together = UniformRandom(low, high, [4, 9])
    alone = UniformRandom(low, high, [9])
    drawn = np.stack([together.act(np.zeros((2, 1))) for _ in range(2000)])
    np.testing.assert_array_equal(drawn[:, 1], [alone.act(np.zeros((1, 1)))[0] for _ in range(2000)])
    assert (drawn >= low).all()
    assert (drawn <= high).all()
    np.testing.assert_allclose(drawn.mean(axis=(0, 1)), (low + high) / 2, atol=0.1)
    np.testing.assert_allclose(drawn.std(axis=(0, 1)), (high - low) / np.sqrt(12), atol=0.05)


def test_pendulum_dynamics_are_gymnasiums():
    environment = gymnasium.make("Pendulum-v1").unwrapped
    environment.reset(seed=0)
    generator = np.random.default_rng(0)
    angle, speed = np.float64(environment.state[0]), np.float64(environment.state[1])
    for _ in range(100):
        torque = np.float64(np.float32(generator.uniform(-2, 2)))
        angle, speed, cost = advance(angle, speed, torque)
        observation, reward, *_ = environment.step(np.array([torque]))
        assert -cost == pytest.approx(reward, abs=1e-9)
        np.testing.assert_allclose(observation, [np.cos(angle), np.sin(angle), speed], atol=1e-6)
    assert wrap(np.array([3 * np.pi / 2])) == pytest.approx(-np.pi / 2)


def test_dynamic_programming_beats_the_energy_swing_up():
    episodes = 200
    simulator = make_simulator(task("pendulum"), episodes)
    best = record(simulator, PendulumOptimal(), range(episodes)).returns
    quiet = record(simulator, PendulumSwingUp(np.zeros(episodes), range(episodes), gain=1.0), range(episodes)).returns
    # Same starts: a paired comparison, at three standard errors.
    gain = best - quiet
    assert gain.mean() > 3 * gain.std() / np.sqrt(episodes)
    assert best.min() > -400
    assert -160 < best.mean() < -125


def test_noise_makes_the_swing_up_worse():
    simulator = make_simulator(task("pendulum"), 100)
    means = [
        record(simulator, PendulumSwingUp(np.full(100, noise), range(100)), range(100)).returns.mean()
        for noise in (0.0, 2.0, 4.0)
    ]
    assert means[0] > means[1] > means[2]


def test_cells_are_where_gymnasium_robotics_has_them():
    simulator = make_simulator(task("pointmaze-stitch"), 1)
    for cell in ((1, 1), (2, 4), (1, 2)):
        np.testing.assert_array_equal(cell_centre(cell, (4, 6)), simulator._maze.maze.cell_rowcol_to_xy(np.array(cell)))


def test_next_cells_lead_along_shortest_ways():
    table = next_cells(MAZE)
    assert table[1, 2, 2, 4].tolist() == [2, 2]
    assert table[2, 2, 2, 4].tolist() == [2, 3]
    assert table[2, 4, 2, 4].tolist() == [2, 4]
    assert table[0, 0, 2, 4].tolist() == [0, 0]


def test_a_route_through_a_wall_is_refused():
    with pytest.raises(OffbenchError, match=r"cell \(1, 3\) of the route is a wall"):
        path_through([(1, 2), (1, 3)], MAZE)
    with pytest.raises(OffbenchError, match="outside the maze"):
        path_through([(7, 1)], MAZE)


def test_waypoints_need_a_low_speed_and_reset_forgets():
    controller = Waypoints(np.array([[1.0, 0.0], [0.0, 1.0]]))
    fast, slow = [1.0, 0.0, 0.6, 0.0], [1.0, 0.0, 0.1, 0.0]
    actions = controller.act(np.array([fast, slow]))
    np.testing.assert_allclose(actions, [[-0.6, 0.0], [-1.0, 1.0]])
    controller.reset(np.array([False, True]))
    np.testing.assert_allclose(controller.act(np.array([fast, [0.0, 0.0, 0.0, 0.0]])), [[-0.6, 0.0], [1.0, 0.0]])


def test_a_tour_walks_cell_by_cell_and_turns_when_slow():
    tour = Tour([(1, 1), (2, 1)], MAZE, seeds=[0])
    first, second = cell_centre((1, 1), (4, 6)), cell_centre((2, 1), (4, 6))
    fast = np.array([[*first, 2.0, 0.0]])
    assert tour.act(np.array([[*cell_centre((1, 2), (4, 6)), 0.0, 0.0]]))[0].tolist() == [-1.0, 0.0]
    # There, but too fast: it brakes. There and slow: it turns to the next goal, whose cell lies below.
    np.testing.assert_allclose(tour.act(fast)[0], [-1.0, 0.0], atol=1e-9)
    assert tour.act(np.array([[*first, 0.4, -0.4]]))[0, 1] == -1.0
    at_second = tour.act(np.array([[*second, 0.0, 0.0]]))[0]
    assert np.abs(at_second).max() <= 10 * 1e-9
    tour.reset(np.array([True]))
    assert tour.act(np.array([[*cell_centre((1, 2), (4, 6)), 0.0, 0.0]]))[0, 0] == -1.0


def test_a_tour_with_a_random_end_acts_at_random_on_arrival_whatever_the_speed():
    random = UniformRandom(np.full(2, 5.0), np.full(2, 6.0), [0, 1])
    tour = Tour([(2, 2)], MAZE, seeds=[0, 1], random=random)
    goal, start = cell_centre((2, 2), (4, 6)), cell_centre((1, 2), (4, 6))
    observations = np.array([[*goal, 4.0, 0.0], [*start, 0.0, 0.0]])
    for _ in range(2):
        actions = tour.act(observations)
        assert (actions[0] >= 5).all()
        np.testing.assert_allclose(actions[1], [0.0, -1.0], atol=1e-9)
        observations[0, :2] = start
    tour.reset(np.array([True, False]))
    assert (tour.act(observations)[0] <= 1).all()


@pytest.mark.parametrize("name", ["pointmaze-umaze", "pointmaze-medium", "pointmaze-large"])
def test_the_runner_reaches_every_goal(name):
    simulator = make_simulator(task(name), 40)
    episodes = record(simulator, MazeRunner(simulator.maze_map), range(40))
    assert episodes.returns.min() > 0


@pytest.mark.parametrize("name", ["pendulum", "pointmaze-stitch", "pointmaze-umaze-dense", "reacher-v5"])
def test_stored_references_are_found_again(name):
    chosen = task(name)
    pairs = ((references.LOW, chosen.low), (references.HIGH[name], chosen.high))
    for (builder, policy), stored in pairs:
        measured = references.measure(chosen, builder, policy, episodes=120, first_seed=0)
        assert policy == stored.policy
        assert stored.standard_error is not None
        assert measured.standard_error is not None
        error = np.hypot(stored.standard_error, measured.standard_error)
        assert abs(measured.mean - stored.mean) < 4 * error


def test_every_measured_task_can_be_measured_again():
    measured = {name for name, each in tasks().items() if each.low.source == references.SOURCE}
    assert measured == {*references.HIGH, "hopper-v4", "ant-v4"}


def test_the_command_prints_tables_that_tasks_toml_understands(monkeypatch, capsys):
    import tomllib

    monkeypatch.setattr("sys.argv", ["references", "pointmaze-stitch", "--episodes", "5"])
    references.main()
    tables = tomllib.loads(capsys.readouterr().out)["pointmaze-stitch"]
    assert tables["low"]["episodes"] == 5
    assert tables["high"]["mean"] > tables["low"]["mean"]
    monkeypatch.setattr("sys.argv", ["references", "hopper-d4rl"])
    with pytest.raises(SystemExit, match="no task with measured references named 'hopper-d4rl'"):
        references.main()
