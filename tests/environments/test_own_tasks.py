"""Tasks of users: files, tasks made in Python, and environments that are named as ``module:Class``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import offbench
from offbench.environments.own_tasks import chosen_task, own, read_task
from offbench.environments.simulator import make_simulator
from offbench.environments.single import make_environment
from offbench.environments.task import task
from offbench.errors import OffbenchError, UnknownNameError

LINE = """\
environment = "line_world:Line"
episode_limit = 7
arguments = { start = 2.0 }
low = -20
[high]
mean = -4.5
policy = "homing"
source = "a test"
"""


def written(folder: Path, text: str = LINE, name: str = "line.toml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_a_file_is_a_task_called_as_it_is(tmp_path: Path) -> None:
    read = chosen_task(str(written(tmp_path)))
    assert read == chosen_task(tmp_path / "line.toml") == own(read)
    assert (read.name, read.episode_limit, read.arguments) == ("line", 7, {"start": 2.0})
    assert (read.low.mean, read.low.policy, read.high.source) == (-20, "not said", "a test")
    assert read.score([-20, -4.5]).tolist() == [0, 100]
    assert read_task(written(tmp_path, 'name = "other"\n' + LINE)).name == "other"
    assert chosen_task("hopper") is task("hopper-v4")
    assert own(task("hopper-v4")) is None is own(None)


def test_a_class_is_made_with_its_arguments_and_the_limit(tmp_path: Path) -> None:
    read = read_task(written(tmp_path))
    simulator = make_simulator(read, 2)
    first = simulator.reset([0, 1])
    assert (np.abs(first - 2) <= 0.1).all()
    steps = [simulator.step(np.full((2, 1), 5.0)) for _ in range(7)]
    np.testing.assert_allclose(steps[0].observations, first + 1, rtol=1e-6)  # clipped to the bounds
    assert [bool(step.truncations.all()) for step in steps] == [False] * 6 + [True]


def test_a_module_of_the_current_folder_and_an_id_of_a_module_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lines_of_mine.py").write_text(
        "import gymnasium\nfrom line_world import Line\nclass Mine(Line): pass\n"
        "gymnasium.register('Mine-v3', entry_point='lines_of_mine:Mine')\n"
    )
    monkeypatch.chdir(tmp_path)
    for name in ("lines_of_mine:Mine", "lines_of_mine:Mine-v3"):
        made = offbench.Task(name="x", environment=name, episode_limit=3, low=0.0, high=1.0)  # type: ignore[arg-type]
        assert type(make_environment(made).unwrapped).__name__ == "Mine"


def test_python_makes_the_same_task() -> None:
    high = offbench.Reference(mean=-4.5, policy="homing", source="a test")
    low = {"mean": -20, "policy": "not said", "source": "given as a number"}
    given: dict[str, Any] = {"arguments": {"start": 2.0}, "low": low, "high": high}
    made = offbench.Task(name="line", environment="line_world:Line", episode_limit=7, **given)
    assert chosen_task(made) == made == own(made)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (LINE.replace("episode_limit = 7\n", ""), r"the task in .*line\.toml has no episode_limit$"),
        (LINE[: LINE.index("[high]")], r"has no high; offbench data references .*line\.toml measures them$"),
        (
            "episode_limt = 5\n" + LINE,
            r"no field of a task in .*\.toml named 'episode_limt'; nearest: .*episode_limit",
        ),
        ('aliases = ["y"]\n' + LINE, "named 'aliases'"),
        (
            LINE.replace("-4.5", "-20.5"),
            r"table: the low reference -20\.0 must lie below the high one -20\.5$",
        ),
        (LINE.replace("-4.5", "nan"), r"line\.toml: high\.mean: "),
        (LINE.replace("= 7", "= 0"), r"line\.toml: episode_limit: Input should be greater than 0$"),
        (LINE.replace('policy = "homing"\n', ""), r"line\.toml: high\.policy: Field required$"),
        ("[line\n", r"line\.toml is no valid TOML: "),
        ('name = "hopper"\n' + LINE, "is called 'hopper' as one of offbench's own tasks is; give it another name"),
        ('simulator = ["no-such-thing"]\n' + LINE, "names the simulator 'no-such-thing', and no such distribution"),
        (LINE.replace("2.0", "2020-01-01"), r"the arguments of the task in .* cannot be kept in a record"),
    ],
)
def test_bad_files_get_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(OffbenchError, match=sentence) as raised:
        chosen_task(written(tmp_path, text))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ("Lyne-v1", "environment Lyne-v1 of task line cannot be made: .*doesn't exist"),
        ("no_such_module:Line", "cannot be made: No module named 'no_such_module'$"),
        ("line_world:Lyne", "cannot be made: module 'line_world' has no attribute 'Lyne'$"),
        ("line_world:Broken", "cannot be made: no licence for it$"),
        ("line_world:Homing", "cannot be made: "),
        ("CartPole-v1", "CartPole-v1 has actions Discrete.2.; a box of numbers is needed$"),
    ],
)
def test_unknown_and_unsuited_environments_get_one_sentence(tmp_path: Path, environment: str, sentence: str) -> None:
    text = LINE.replace("line_world:Line", environment).replace("arguments = { start = 2.0 }\n", "")
    with pytest.raises(OffbenchError, match=sentence) as raised:
        make_environment(read_task(written(tmp_path, text)))
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(OffbenchError, match=r"the task .*none\.toml cannot be read \(No such file or directory\)"):
        chosen_task(str(tmp_path / "none.toml"))
    with pytest.raises(UnknownNameError):
        chosen_task("none")
