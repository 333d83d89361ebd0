"""``python -m offbench.d4rl SCRIPT ARGS`` as a user runs it: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("bc_2021.py")


def run(script: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "offbench.d4rl", str(script), *arguments]
    # Found from any folder, also where the package is not installed.
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    variables = {**os.environ, "PYTHONPATH": path, "OFFBENCH_OFFLINE": "1", **environment}
    return subprocess.run(command, capture_output=True, text=True, env=variables, timeout=120, check=False)


def run_text(folder: Path, text: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    script = folder / "script.py"
    script.write_text(text)
    return run(script, *arguments, **environment)


@pytest.fixture
def hopper_file(tmp_path: Path) -> Path:
    """A D4RL file of hopper's shape, whose actions are linear in the observations."""
    rng = np.random.default_rng(0)
    observations = rng.standard_normal((600, 11)).astype(np.float32)
    path = tmp_path / "hopper.hdf5"
    with h5py.File(path, "w") as file:
        file["observations"] = observations
        file["actions"] = np.clip(observations @ rng.uniform(-0.1, 0.1, (11, 3)), -1, 1).astype(np.float32)
        file["rewards"] = rng.standard_normal(600).astype(np.float32)
        file["terminals"] = np.arange(600) % 100 == 99
        file["timeouts"] = np.arange(600) % 300 == 149
        file["metadata/algorithm"] = "made up"
    return path


def test_a_script_of_2021_runs_unedited(hopper_file: Path):
    done = run(SCRIPT, "--h5path", str(hopper_file), "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    rows, score = done.stdout.splitlines()
    assert rows.startswith("rows 597 error ")  # 599 rows with a next one, less two time-outs
    assert float(rows.split()[-1]) < 0.01  # what is linear can be cloned
    assert score.startswith("D4RL score: ")
    assert 0 < float(score.split()[-1]) < 100
    again = run(SCRIPT, "--h5path", str(hopper_file), "--seed", "3")
    assert again.stdout == done.stdout  # env.seed reaches the simulator
    other = run(SCRIPT, "--h5path", str(hopper_file), "--seed", "4")
    assert other.stdout != done.stdout


def test_a_script_of_2021_runs_on_published_data(shared: Path):
    path = shared / "real" / "d4rl_slices" / "hopper_medium-v2.hdf5"
    done = run(SCRIPT, "--h5path", str(path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("rows 910 error ")


def test_the_script_is_of_its_time_and_size():
    text = SCRIPT.read_text()
    assert len([line for line in text.splitlines() if line]) <= 42
    assert all(word in text for word in ("import d4rl", "import gym\n", "env.seed(", "obs, reward, done, info ="))
    assert "offbench" not in text
    assert "gymnasium" not in text


def test_argv_and_neighbours_are_those_of_the_script(tmp_path: Path):
    (tmp_path / "neighbour.py").write_text("VALUE = 7\n")
    text = "import sys, neighbour\nprint(__name__, sys.argv[1:], neighbour.VALUE)\nsys.exit(5)\n"
    done = run_text(tmp_path, text, "--x", "1")
    assert (done.returncode, done.stdout) == (5, "__main__ ['--x', '1'] 7\n")


def test_an_error_shows_the_scripts_own_traceback(tmp_path: Path):
    text = "import gym\n\ndef inner():\n    gym.make('hopper-mdium-v2')\n\ninner()\n"
    done = run_text(tmp_path, text)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert 'script.py", line 6, in <module>' in lines[1]
    assert "runpy" not in done.stderr
    assert "__main__.py" not in done.stderr
    broken = run_text(tmp_path, "def inner(:\n")
    assert broken.returncode == 1
    assert "SyntaxError" in broken.stderr
    assert "runpy" not in broken.stderr


def test_usage_and_missing_scripts(tmp_path: Path):
    shown = run(Path("--help"))
    assert shown.returncode == 0
    assert "usage: python -m offbench.d4rl [--data NAME=FILE" in shown.stdout
    missing = run(tmp_path / "nothing.py")
    assert missing.returncode == 2
    assert missing.stderr == f"there is no script {tmp_path / 'nothing.py'}; name a Python file\n"


def test_installed_packages_of_the_names_are_not_used_and_that_is_said(tmp_path: Path):
    other = tmp_path / "site" / "gym"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise RuntimeError('the real one')\n")
    done = run_text(tmp_path, "import gym\nprint(gym.__version__)\n", PYTHONPATH=_path(tmp_path / "site"))
    assert (done.returncode, done.stdout) == (0, "0.21.0\n")
    assert done.stderr == "offbench.d4rl: the installed package gym is not used; its stand-in is\n"


def _path(folder: Path) -> str:
    return os.pathsep.join([str(folder), str(Path(__file__).parents[2])])


IMPORTS = """
import gym, gym.spaces, gym.envs, gym.wrappers, gym.logger, gym.error, gym.utils.seeding
from gym import spaces, make
from gym.spaces import Box
from gym.spaces.box import Box as Same
from gym.wrappers.time_limit import TimeLimit
from gym.envs.registration import register
from gym.utils import EzPickle
import d4rl, d4rl.gym_mujoco, d4rl.pointmaze, d4rl.locomotion, d4rl.hand_manipulation_suite, d4rl.kitchen
import d4rl.gym_bullet, d4rl.infos, d4rl.offline_env
from d4rl import offline_env
assert Box is Same is spaces.Box is gym.spaces.Box
assert gym.wrappers.TimeLimit is TimeLimit
gym.logger.set_level(40)
import gym.vector.vector_env, gym.envs.mujoco.ant_v3, gym.wrappers.monitoring.video_recorder, gym.wrappers.normalize
from gym import GoalEnv, Space, vector
from gym.envs.mujoco import HopperEnv, mujoco_env
from gym.wrappers import FrameStack, Monitor, NormalizeObservation, NormalizeReward, RecordVideo
from d4rl import ope
from d4rl.kitchen.kitchen_envs import __name__ as kitchen
from d4rl.offline_env import OfflineEnv, download_dataset_from_url, filepath_from_url
from d4rl.pointmaze import waypoint_controller, maze_model
from d4rl.utils.dataset_utils import DatasetWriter
assert isinstance(Box(-1, 1, (1,)), Space) and issubclass(HopperEnv, mujoco_env.MujocoEnv)
assert maze_model.U_MAZE == "#####\\\\#GOO#\\\\###O#\\\\#OOO#\\\\#####"
assert gym.spec("hopper-medium-v2").max_episode_steps == 1000
env = gym.make("maze2d-umaze-v1")
assert isinstance(env, gym.Env) and isinstance(env.action_space, Box)
assert d4rl.get_normalized_score("hopper-medium-v2", 3234.3) == 1.0
assert d4rl.reverse_normalized_score("hopper-medium-v2", 1.0) == 3234.3
assert d4rl.infos.REF_MIN_SCORE["hopper-medium-v2"] == -20.272305
assert d4rl.infos.DATASET_URLS["hopper-medium-v2"].endswith(".hdf5")
try:
    gym.wrappers.AtariPreprocessing
except AttributeError as error:
    assert "it offers ClipAction" in str(error), error
else:
    raise AssertionError
try:
    import gym.envs.atari
except ModuleNotFoundError as error:
    assert "it offers gym.core, gym.envs" in str(error), error
    print("as said")
from d4rl.kitchen.kitchen_envs import KitchenBase
"""


def test_what_scripts_import_is_there(tmp_path: Path):
    done = run_text(tmp_path, IMPORTS)
    assert (done.returncode, done.stdout) == (1, "as said\n"), done.stderr
    lines = done.stderr.splitlines()
    assert "line " in lines[1]
    assert lines[-2].startswith("ImportError: cannot import name 'KitchenBase'")
    assert lines[-1] == "offbench's stand-in for d4rl.kitchen.kitchen_envs offers nothing but its name"


OLD_ENVIRONMENT = """
import gym, numpy as np
from gym.utils import seeding

class Walk(gym.Env):
    def __init__(self, width=3):
        self.action_space = gym.spaces.Box(-1, 1, (1,))
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (1,))
        self.width = width
        self.seed()
    def seed(self, seed=None):
        self.np_random, seed = seeding.np_random(seed)
        return [seed]
    def reset(self):
        self.place = self.np_random.randn(1)
        return self.place.copy()
    def step(self, action):
        self.place = self.place + action
        return self.place.copy(), -1.0, bool(abs(self.place[0]) > self.width), {}

gym.register(id="Walk-v0", entry_point=Walk, max_episode_steps=4, kwargs={"width": 9})
env = gym.wrappers.RecordEpisodeStatistics(gym.make("Walk-v0"))
print(env.seed(3), env.reset() == np.random.RandomState(3).randn(1), env.width, env.spec.id)
done, steps = False, 0
while not done:
    obs, reward, done, info = env.step(np.zeros(1))
    steps += 1
print(steps, info["TimeLimit.truncated"], info["episode"]["r"], info["episode"]["l"])
"""


def test_environments_of_the_old_interface_run_too(tmp_path: Path):
    done = run_text(tmp_path, OLD_ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[3] [ True] 9 Walk-v0\n4 True -4.0 4\n"


def test_datasets_come_from_the_folder_that_d4rl_used(tmp_path: Path, hopper_file: Path):
    hopper_file.rename(tmp_path / "hopper_medium-v2.hdf5")
    text = "import gym, d4rl\nprint(len(gym.make('hopper-medium-v2').get_dataset()['rewards']))\n"
    done = run_text(tmp_path, text, D4RL_DATASET_DIR=str(tmp_path))
    assert done.returncode == 1
    # It is not the published file, and that is noticed.
    assert "hopper_medium-v2.hdf5 is not the published file" in done.stderr
