"""Names of gym and d4rl beyond the core: wrappers that remember and record, vectors, robots, mazes, measures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offbench.d4rl import (
    old_gym,
    old_mazes,
    old_memory,
    old_mujoco,
    old_offline,
    old_recording,
    old_vector,
    old_wrappers,
    ope,
)
from offbench.errors import OffbenchError


@pytest.fixture
def env() -> Iterator[Any]:
    made = old_gym.make("Pendulum-v0")
    yield made
    made.close()


# -------------------------------------------------------------------- making


def test_the_time_limit_is_a_layer_of_its_own(env: Any):
    assert isinstance(env, old_wrappers.TimeLimit)
    assert env.spec.max_episode_steps == env._max_episode_steps == 200
    env._max_episode_steps = 3
    env.reset()
    assert [env.step(np.zeros(1, np.float32))[2] for _ in range(3)] == [False, False, True]
    inner = env.env
    inner.reset()
    assert not any(inner.step(np.zeros(1, np.float32))[2] for _ in range(250))  # as scripts do who want no limit


def test_names_of_d4rl_know_their_limit():
    assert old_gym.registry.spec("hopper-medium-v2").max_episode_steps == 1000
    env: Any = old_gym.make("maze2d-umaze-v1")
    assert env.spec.max_episode_steps == env._max_episode_steps == 300
    env.reset()
    assert not any(env.env.step(np.zeros(2))[2] for _ in range(400))
    env.close()


@pytest.mark.parametrize(("old", "observation"), [("Ant-v2", 111), ("Humanoid-v2", 376), ("Walker2d-v3", 17)])
def test_old_robots_have_the_observations_of_their_time(old: str, observation: int):
    env: Any = old_gym.make(old)
    first = env.reset()
    assert first.shape == env.observation_space.shape == (observation,)
    if old == "Ant-v2":
        assert not env.step(env.action_space.sample())[0][27:].any()  # contact forces were zero
    env.close()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("bullet-hopper-medium-v0", "needs PyBullet"),
        ("flow-ring-random-v0", "needs Flow"),
        ("carla-lane-v0", "needs the CARLA"),
        ("PongNoFrameskip-v4", "ale-py"),
    ],
)
def test_what_needs_another_simulator_says_so(name: str, told: str):
    with pytest.raises(OffbenchError, match=told):
        old_gym.make(name)


def test_the_kitchen_has_data_and_scores_and_says_why_it_does_not_step(tmp_path: Path):
    env: Any = old_gym.make("mini-kitchen-microwave-kettle-light-slider-v0")
    assert (env.observation_space.shape, env.action_space.shape) == ((60,), (9,))
    assert env.get_normalized_score(3.0) == 0.75
    with h5py.File(tmp_path / "kitchen.hdf5", "w") as file:
        file["observations"], file["actions"] = np.zeros((5, 60)), np.zeros((5, 9))
        file["rewards"], file["terminals"] = np.zeros(5), np.zeros(5, bool)
    assert env.get_dataset(tmp_path / "kitchen.hdf5")["observations"].shape == (5, 60)
    with pytest.raises(OffbenchError, match=r"FrankaKitchen-v1 .* cannot be made: .*get_dataset and the scores work"):
        env.reset()


def test_the_state_can_be_kept_and_put_back():
    env: Any = old_gym.make("hopper-medium-v2")
    env.seed(0)
    env.reset()
    state = env.sim.get_state()
    assert state.qpos.shape == (6,)
    first = env.step(np.ones(3))[0]
    env.sim.set_state(state)
    env.sim.forward()
    np.testing.assert_allclose(env.step(np.ones(3))[0], first, atol=1e-6)
    inner = env.env.wrapped_env
    assert "Hopper" in str(type(inner))
    np.testing.assert_array_equal(inner._get_obs()[:5], env.sim.data.qpos[1:])
    assert not hasattr(inner, "wrapped_env")
    env.close()


# -------------------------------------------------------------------- wrappers


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(0, 2**31))
def test_running_moments_are_those_of_all_that_was_seen(sizes: list[int], seed: int):
    seen = np.random.default_rng(seed).normal(3.0, 2.0, (sum(sizes), 2))
    moments = old_memory.RunningMeanStd(epsilon=0.0, shape=(2,))
    for batch in np.split(seen, np.cumsum(sizes)[:-1]):
        moments.update(batch)
    np.testing.assert_allclose(moments.mean, seen.mean(0), atol=1e-9)
    np.testing.assert_allclose(moments.var, seen.var(0), atol=1e-9)


def test_memory(env: Any):
    stacked = old_memory.FrameStack(env, 3)
    env.seed(0)
    first = np.asarray(stacked.reset())
    assert first.shape == stacked.observation_space.shape == (3, 3)
    assert (first == first[0]).all()
    second = stacked.step(np.ones(1, np.float32))[0]
    np.testing.assert_array_equal(np.asarray(second)[:2], first[1:])
    assert (second.shape, len(second)) == ((3, 3), 3)
    timed = old_memory.TimeAwareObservation(env)
    assert timed.reset()[-1] == 0
    assert timed.step(np.ones(1, np.float32))[0][-1] == 1
    normal = old_memory.NormalizeObservation(env)
    seen = [normal.reset()] + [normal.step(np.ones(1, np.float32))[0] for _ in range(50)]
    assert np.abs(seen).max() < 8
    scaled = old_memory.NormalizeReward(env)
    env.seed(1)
    env.reset()
    plain = [env.step(np.ones(1, np.float32))[1] for _ in range(30)]
    env.seed(1)
    scaled.reset()
    changed = [scaled.step(np.ones(1, np.float32))[1] for _ in range(30)]
    sums = [sum(reward * 0.99 ** (n - i) for i, reward in enumerate(plain[: n + 1])) for n in range(30)]
    assert changed[-1] == pytest.approx(plain[-1] / np.std(sums), rel=1e-3)


def test_films_and_counts(env: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    picture = np.zeros((8, 8, 3), np.uint8)
    env.env.render = lambda mode="human", **kwargs: picture
    short = old_wrappers.TimeLimit(env, 4)
    monitored = old_recording.Monitor(short, str(tmp_path / "films"), video_callable=lambda episode: episode == 1)
    for _ in range(3):
        monitored.reset()
        while not monitored.step(np.zeros(1, np.float32))[2]:
            pass
    monitored.close()
    films = sorted(path.name for path in (tmp_path / "films").iterdir())
    assert len(films) == 2
    assert "episode-1" in films[1] or "episode-1" in films[0]
    counts = json.loads((tmp_path / "films" / "openaigym.episode_batch.0.stats.json").read_text())
    assert counts["episode_lengths"] == [4, 4, 4]
    assert counts["episode_rewards"] == monitored.get_episode_rewards()
    recorded = old_recording.RecordVideo(short, str(tmp_path / "steps"), None, lambda step: step == 0, video_length=2)
    recorded.reset()
    for _ in range(3):
        recorded.step(np.zeros(1, np.float32))
    assert len(list((tmp_path / "steps").iterdir())) == 1
    assert [old_recording.capped_cubic_video_schedule(i) for i in (0, 1, 7, 8, 27, 999, 1000, 2000, 2001)] == [
        True, True, False, True, True, False, True, True, False,
    ]  # fmt: skip


# -------------------------------------------------------------------- vectors and robots


def test_a_vector_starts_anew_by_itself():
    vector = old_vector.make("Pendulum-v1", num_envs=2, wrappers=lambda env: old_wrappers.TimeLimit(env, 3))
    counted = old_wrappers.RecordEpisodeStatistics(vector)
    assert vector.seed(5) == [[5], [6]]
    first = counted.reset()
    assert first.shape == vector.observation_space.shape == (2, 3)
    assert vector.single_action_space.shape == (1,)
    twin = gymnasium.make("Pendulum-v1")
    np.testing.assert_array_equal(first[1], twin.reset(seed=6)[0])
    for _ in range(3):
        observations, rewards, dones, infos = counted.step(np.zeros((2, 1), np.float32))
        last = twin.step(np.zeros(1, np.float32))[0]
    assert dones.all()
    np.testing.assert_array_equal(infos[1]["terminal_observation"], last)
    assert not np.array_equal(observations[1], last)
    assert infos[0]["episode"]["l"] == 3
    assert rewards.shape == (2,)
    assert vector.env_fns[0]().spec.max_episode_steps == 200
    vector.close()
    with pytest.raises(OffbenchError, match="at least one"):
        old_vector.VectorEnv([])


def test_robots_can_be_derived_from():
    class Direction(old_mujoco.ROBOTS["HopperEnv"]):  # type: ignore[misc]
        def _get_obs(self) -> Any:
            return np.append(self.sim.data.qpos, 1.0)

    env: Any = Direction()
    assert env.observation_space.shape == (7,)
    env.seed(1)
    assert env.reset()[-1] == 1.0
    observation, _, done, _ = env.step(env.action_space.sample())
    np.testing.assert_array_equal(observation[:-1], env.data.qpos)
    assert done is False
    assert env.dt == pytest.approx(0.008)


def test_a_model_of_ones_own_steps_as_gyms_did():
    class Swing(old_mujoco.MujocoEnv):
        def __init__(self) -> None:
            super().__init__("inverted_pendulum.xml", 2)

        def step(self, action: Any) -> tuple[Any, float, bool, dict[str, Any]]:
            self.do_simulation(action, self.frame_skip)
            return self._get_obs(), 1.0, False, {}

        def reset_model(self) -> Any:
            self.set_state(self.init_qpos + self.np_random.uniform(-0.01, 0.01, self.model.nq), self.init_qvel)
            return self._get_obs()

        def _get_obs(self) -> Any:
            return self.state_vector()

    env = Swing()
    assert (env.observation_space.shape, env.action_space.shape) == ((4,), (1,))
    env.seed(3)
    first = env.reset()
    env.seed(3)
    np.testing.assert_array_equal(env.reset(), first)
    assert env.get_body_com("pole").shape == (3,)
    with pytest.raises(OffbenchError, match=r"\(2,\) and \(2,\) would be right"):
        env.set_state(np.zeros(3), np.zeros(2))


# -------------------------------------------------------------------- mazes


def test_the_controller_reaches_the_goal_of_every_maze():
    np.random.seed(0)
    for name in ("maze2d-umaze-v1", "maze2d-large-v1"):
        env: Any = old_gym.make(name)
        env.seed(0)
        controller = old_mazes.WaypointController(env.str_maze_spec)
        state, total = env.reset(), 0.0
        for _ in range(env._max_episode_steps):
            state, reward, _, _ = env.step(controller.get_action(state[:2], state[2:], env.get_target())[0])
            total += reward
        assert env.get_normalized_score(total) > 0.3
        env.close()


def test_the_ants_maze_tells_its_goal():
    env: Any = old_gym.make("antmaze-umaze-v2")
    env.seed(0)
    first = env.reset()
    assert isinstance(env.unwrapped, old_mazes.AntMazeEnv)
    assert isinstance(env.unwrapped, old_offline.OfflineEnv)
    np.testing.assert_array_equal(env.get_xy(), first[:2])
    assert env.target_goal.shape == (2,)
    assert np.linalg.norm(env.target_goal) > 4
    assert old_mazes.ant_maze("umaze")[1:4] == [[1, "r", 0, 0, 1], [1, 1, 1, 0, 1], [1, "g", 0, 0, 1]]
    env.close()


def test_a_maze_of_ones_own():
    maze: Any = old_mazes.MazeEnv("#####\\#OOG#\\#####", reward_type="sparse")
    assert maze.maze_arr.tolist()[1] == [10, 11, 11, 12, 10]
    assert maze.reset_locations == [(1, 1), (1, 2)]
    assert maze.get_target().tolist() == [1.0, 3.0]
    maze.set_target([1.0, 1.0])
    maze.reset()
    assert maze.get_target().tolist() == [1.0, 1.0]
    assert np.abs(maze.reset_to_location([1, 1])[:2] - 1).max() <= 0.1
    assert maze.step(np.zeros(2))[1] == 1.0
    maze.seed(0)
    maze.set_target()
    assert tuple(np.round(maze.get_target()).astype(int)) in maze.empty_and_goal_locations
    with pytest.raises(OffbenchError, match="would be right"):
        old_mazes.parse_maze("##x")
    with pytest.raises(OffbenchError, match="no way leads"):
        old_mazes.WaypointController("#####\\#O#O#\\#####").get_action(np.array([1.0, 1.0]), np.zeros(2), (1, 3))


# -------------------------------------------------------------------- d4rl's utilities


def test_what_is_written_is_read(tmp_path: Path):
    writer = old_offline.DatasetWriter(goal=True)
    for step in range(5):
        writer.append_data(np.full(2, step), np.zeros(1), 1.0, step == 4, goal=np.ones(2))
    writer.write_dataset(tmp_path / "mine.hdf5", max_size=4)
    env = old_offline.OfflineEnv(ref_min_score=0.0, ref_max_score=8.0)
    data = env.get_dataset(tmp_path / "mine.hdf5")
    assert (len(writer), data["observations"].tolist()) == (5, [[0, 0], [1, 1], [2, 2], [3, 3]])
    assert data["infos/goal"].shape == (4, 2)
    assert env.get_normalized_score(4.0) == 0.5
    with pytest.raises(OffbenchError, match="dataset_url"):
        env.get_dataset()
    with pytest.raises(OffbenchError, match="put the file at"):
        old_offline.download_dataset_from_url("http://host/nobody.hdf5")


def test_actions_are_scaled_to_the_bounds(env: Any):
    scaled = old_offline.NormalizedBoxEnv(env, reward_scale=2.0)
    env.seed(0)
    env.reset()
    reference = env.step(np.array([1.0], np.float32))
    scaled.seed(0)
    scaled.reset()
    observation, reward, _, _ = scaled.step(np.array([0.5], np.float32))
    np.testing.assert_allclose(observation, reference[0], atol=1e-6)
    assert reward == pytest.approx(2 * reference[1], abs=1e-5)


def test_measures_of_ope_by_hand():
    order = ["hopper-expert", "hopper-medium", "hopper-random"]
    assert ope.ranking_correlation_metric(order) == 1.0
    assert ope.ranking_correlation_metric(order[::-1]) == -1.0
    assert ope.precision_at_k_metric(order[::-1], k=1) == 0.0
    assert ope.precision_at_k_metric(order, k=2) == ope.recall_at_k_metric(order, k=2) == 1.0
    assert ope.recall_at_k_metric(order[::-1], k=2) == 0.5
    low, high = -20.272305, 3234.3
    medium, expert = ope.get_returns("hopper-medium"), ope.get_returns("hopper-expert")
    assert ope.policy_regret_metric("hopper-medium", order) == pytest.approx((expert - medium) / (high - low))
    assert ope.value_error_metric("hopper-medium", medium + 10) == pytest.approx(10 / (high - low))
    with pytest.raises(OffbenchError, match="nearest"):
        ope.get_returns("hoper-medium")
    with pytest.raises(OffbenchError, match="1 to 3"):
        ope.precision_at_k_metric(order, k=4)
