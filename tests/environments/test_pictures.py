import ctypes.util
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from offbench.data.trajectories import Trajectories
from offbench.environments import pictures
from offbench.environments.pictures import Film, check_output, film
from offbench.environments.single import make_environment
from offbench.environments.task import Reference, Task, task
from offbench.errors import OffbenchError

WIDTH, HEIGHT = 240, 180


def episode(observations, **extras) -> Trajectories:
    """One episode through observations (steps + 1, observation)."""
    steps = len(observations) - 1
    return Trajectories(
        observations=np.asarray(observations, dtype=np.float32),
        offsets=np.array([0, steps]),
        terminations=np.zeros(steps, bool),
        truncations=np.arange(steps) == steps - 1,
        extras={name: np.asarray(column) for name, column in extras.items()},
    )


@pytest.fixture(scope="module")
def screen() -> None:
    """Skips where there is no library to draw with, for the reason that a user is told."""
    try:
        film(task("halfcheetah-v4"), episode(np.zeros((2, 17))), most=1)
    except OffbenchError as error:
        if "apt-get install" in str(error):
            pytest.skip(str(error))
        raise


def red_and_green(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a frame is clearly red or green, each (pixels, 2) as (column, row)."""
    red, green, blue = frame.astype(int).transpose(2, 0, 1)
    found = [
        np.argwhere(mask)[:, ::-1] for mask in (red > 2 * np.maximum(green, blue), green > 1.4 * np.maximum(red, blue))
    ]
    return found[0], found[1]


# -------------------------------------------------------------------- Pendulum


@pytest.mark.parametrize(
    ("angle", "column", "row"), [(0, 0, -1), (np.pi, 0, 1), (np.pi / 2, -1, 0), (-np.pi / 2, 1, 0)], ids=str
)
def test_the_pendulum_points_where_its_angle_says(angle, column, row):
    """Upright is up, and angles grow against the clock, as in Gymnasium's own pictures."""
    drawn = film(task("pendulum"), episode([[np.cos(angle), np.sin(angle), 3.0]] * 2))
    rod, _ = red_and_green(drawn.frames[0])
    centre = rod.mean(axis=0) - [(WIDTH - 1) / 2, (HEIGHT - 1) / 2]
    assert centre == pytest.approx(np.array([column, row]) * 0.2 * HEIGHT, abs=4)
    assert drawn.frames[0].shape == (HEIGHT, WIDTH, 3)


def test_frames_are_as_far_apart_as_asked_for():
    data = episode(np.tile([1.0, 0, 0], (21, 1)))
    chosen = film(task("pendulum"), data)
    assert (len(chosen.frames), chosen.every, chosen.seconds) == (11, 2, pytest.approx(0.1))
    assert len(film(task("pendulum"), data, every=1).frames) == 21
    assert len(film(task("pendulum"), data, every=7).frames) == 3
    assert len(film(task("pendulum"), data, most=4).frames) == 4
    assert film(task("pendulum"), data, size=(64, 48)).frames[0].shape == (48, 64, 3)


# -------------------------------------------------------------------- MuJoCo


def gymnasium_frame(name: str, position: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    drawing = {"render_mode": "rgb_array", "width": WIDTH, "height": HEIGHT, "camera_name": "track"}
    chosen = task(name)
    with pictures.off_screen():
        environment = make_environment(chosen.model_copy(update={"arguments": {**chosen.arguments, **drawing}}))
        environment.reset(seed=1)
        environment.unwrapped.set_state(position, velocity)
        frame = np.array(environment.render())
        environment.close()
    return frame


@pytest.mark.parametrize(("name", "hidden"), [("hopper-v4", 1), ("ant-v4", 2)], ids=str)
def test_a_robot_is_drawn_in_the_state_of_its_observation(screen, name, hidden):
    body = make_environment(task(name)).unwrapped
    body.reset(seed=3)
    position, velocity = body.data.qpos.copy(), 0 * body.data.qvel
    position[:hidden] = 0
    position[-1] -= 0.4  # the last joint
    seen = np.zeros(body.observation_space.shape)
    seen[: len(position) - hidden] = position[hidden:]
    drawn = film(task(name), episode([seen, seen]), every=1)
    expected = gymnasium_frame(name, position.astype(np.float32), velocity)
    assert np.abs(drawn.frames[0].astype(int) - expected).mean() < 0.05
    assert np.array_equal(drawn.frames[0], drawn.frames[1])


def test_the_camera_goes_with_the_robot_and_the_floor_does_not_end(screen):
    """HalfCheetah at 20 m/s: after 1,000 m it is as large and as much in the middle as at the start."""
    observations = np.zeros((1001, 17))
    observations[:, 8] = 20.0
    drawn = film(task("halfcheetah-v4"), episode(observations), every=250)
    assert len(drawn.frames) == 5

    def robot(frame: np.ndarray) -> np.ndarray:
        red, _, blue = frame.astype(int).transpose(2, 0, 1)
        return np.argwhere(red - blue > 20)

    first = robot(drawn.frames[0])
    assert len(first) > 100
    for frame in drawn.frames[1:]:
        later = robot(frame)
        assert len(later) == pytest.approx(len(first), rel=0.2)
        assert later.mean(axis=0) == pytest.approx(first.mean(axis=0), abs=5)
        assert frame[-40:].std() > 0.7 * drawn.frames[0][-40:].std()  # the tiles of the floor


def test_the_floor_moves_under_a_robot_that_runs(screen):
    standing, running = np.zeros((2, 4, 17))
    running[:, 8] = 5.0
    still = film(task("halfcheetah-v4"), episode(standing), every=1)
    assert np.array_equal(still.frames[0], still.frames[3])
    moving = film(task("halfcheetah-v4"), episode(running), every=1)
    assert np.abs(moving.frames[0].astype(int) - moving.frames[3]).mean() > 2


def test_the_point_moves_as_observed_and_the_goal_is_shown_where_it_is_known(screen):
    name = task("pointmaze-umaze")
    observations = np.array([[-1.0, -1.0, 0, 0, 1.0, -1.0], [0.0, -1.0, 0, 0, 1.0, -1.0]])
    drawn = film(name, episode(observations), every=1)
    (goal, first), (same, second) = (red_and_green(frame) for frame in drawn.frames)
    assert second[:, 0].mean() > first[:, 0].mean() + 10
    assert goal[:, 0].mean() > second[:, 0].mean() + 10
    assert goal.mean(axis=0) == pytest.approx(same.mean(axis=0), abs=0.1)
    # Without the goal among the observations, an extra column tells it, or nothing does.
    stitch = task("pointmaze-stitch")
    hidden = film(stitch, episode(np.zeros((2, 4))), every=1)
    assert len(red_and_green(hidden.frames[0])[0]) == 0
    shown = film(stitch, episode(np.zeros((2, 4)), goal=[[1.5, -0.5]]), every=1)
    assert len(red_and_green(shown.frames[0])[0]) > 10


def test_d4rls_mazes_are_drawn_from_their_observations(screen):
    ant, ball = np.zeros((2, 29)), np.array([[1.0, 3.0, 0, 0], [3.0, 3.0, 0, 0]])
    ant[:, 2:4] = [0.5, 1.0]
    ant[1, 0] = 4
    for name, states in (("antmaze-umaze", ant), ("maze2d-umaze", ball)):
        first, second = film(task(name), episode(states), every=1).frames
        assert first.std() > 10
        assert np.abs(first.astype(int) - second).max() > 50


def cart_pole() -> Task:
    ends = [Reference(mean=mean, policy="none", source="none") for mean in (0, 1)]
    return Task(name="cart", environment="InvertedPendulum-v5", episode_limit=10, low=ends[0], high=ends[1])


def test_other_robots_are_drawn_from_the_columns_of_their_state(screen):
    poses = np.array([[0.0, 0.0], [0.0, 0.5]])
    data = episode(np.zeros((3, 4)), qpos=poses, qvel=np.zeros((2, 2)))
    frames = film(cart_pole(), data, every=1).frames
    assert len(frames) == 3
    assert not np.array_equal(frames[0], frames[1])
    assert np.array_equal(frames[1], frames[2])  # the last state was not recorded


def test_the_choice_of_a_library_is_taken_back(screen, monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    film(task("halfcheetah-v4"), episode(np.zeros((2, 17))), most=1)
    assert "MUJOCO_GL" not in os.environ


# -------------------------------------------------------------------- what cannot be drawn


def test_data_that_do_not_tell_the_state_are_refused():
    with pytest.raises(OffbenchError, match=r"observations of shape \(5,\) do not tell the state of task hopper-v4"):
        film(task("hopper-v4"), episode(np.zeros((2, 5))))
    with pytest.raises(OffbenchError, match="infos/qpos of 2 and infos/qvel of 2 numbers tell"):
        film(cart_pole(), episode(np.zeros((3, 4)), qpos=np.zeros((2, 3)), qvel=np.zeros((2, 2))))
    with pytest.raises(OffbenchError, match="episodes of task neorl2-fusion cannot be drawn"):
        film(task("neorl2-fusion"), episode(np.zeros((2, 5))))


@pytest.mark.parametrize("arguments", [{"every": 0}, {"most": 0}])
def test_numbers_that_are_too_small_are_refused(arguments):
    with pytest.raises(OffbenchError, match="a film needs an episode"):
        film(task("pendulum"), episode(np.ones((2, 3))), **arguments)


@pytest.mark.skipif("os.name != 'posix' or os.uname().sysname != 'Linux'", reason="other systems have one way to draw")
def test_a_missing_library_is_named_with_what_brings_it(monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    with pytest.raises(OffbenchError, match="no library EGL or OSMesa; on Debian and Ubuntu, 'apt-get install libegl1"):
        film(task("hopper-v4"), episode(np.zeros((2, 11))))
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    with pytest.raises(OffbenchError, match="no library OSMesa, which MUJOCO_GL=osmesa asks for"):
        film(task("hopper-v4"), episode(np.zeros((2, 11))))


def test_a_driver_that_fails_is_told_with_its_reason(monkeypatch):
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: "there")

    class Broken:
        def render(self):
            raise RuntimeError("no\n  display")

    monkeypatch.setenv("MUJOCO_GL", "egl")
    with pytest.raises(OffbenchError, match=r"MuJoCo cannot draw by egl here \(no display\); on Debian"):
        pictures._rendered(Broken())


# -------------------------------------------------------------------- files


def a_film(seconds: float = 0.1) -> Film:
    frames = np.full((5, 30, 42, 3), 255, np.uint8)
    for number, frame in enumerate(frames):
        frame[10:20, 5 * number : 5 * number + 10] = [200, 30, 30]
    return Film(list(frames), 2, seconds)


@pytest.mark.parametrize(("seconds", "milliseconds"), [(0.1, 100), (0.001, 20)])
def test_a_gif_holds_the_frames_at_the_speed_of_the_simulation(tmp_path, seconds, milliseconds):
    made = a_film(seconds)
    made.save(tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 5
        assert image.info["duration"] == milliseconds
        assert image.info["loop"] == 0
        for number, frame in enumerate(made.frames):
            image.seek(number)
            assert np.abs(np.array(image.convert("RGB")).astype(int) - frame).max() < 8


def test_an_mp4_holds_the_frames(tmp_path):
    library = pytest.importorskip("imageio_ffmpeg", reason="needs imageio-ffmpeg, the extra video")
    a_film().save(tmp_path / "a.mp4")
    frames, seconds = library.count_frames_and_secs(str(tmp_path / "a.mp4"))
    assert (frames, seconds) == (5, pytest.approx(0.5, abs=0.11))
    reader = library.read_frames(str(tmp_path / "a.mp4"))
    assert next(reader)["source_size"] == (42, 30)
    first = np.frombuffer(next(reader), np.uint8).reshape(30, 42, 3).astype(int)
    assert np.abs(first - a_film().frames[0]).mean() < 8


def test_names_and_libraries_are_checked_ahead(tmp_path, monkeypatch):
    with pytest.raises(OffbenchError, match=r"a\.png is no name of a film; one that ends in \.gif or \.mp4"):
        check_output(Path("a.png"))

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(pictures, "import_module", missing)
    check_output(Path("a.gif"))
    with pytest.raises(OffbenchError, match=r"to write MP4, 'pip install \"offbench\[video\]\"'"):
        replace(a_film()).save(tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []
