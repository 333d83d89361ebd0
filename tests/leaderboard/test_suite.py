import re
from pathlib import Path

import pytest

import offbench
from offbench.catalog.cards import card
from offbench.data.supervision import apply_split
from offbench.errors import OffbenchError, UnknownNameError
from offbench.leaderboard.suite import Suite, read_suite, suite, suites

SMALL = """
name = "small"
version = 1
title = "Small"
description = "One maze."
steps = 100
episodes = 10
seeds = 3
tuning = "Nothing."
[[tasks]]
dataset = "offbench/pointmaze/stitch-v0"
revision = 1
domain = "point maze"
"""


def written(folder: Path, text: str, name: str = "small.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("each", suites().values(), ids=list(suites()))
def test_suites_name_datasets_and_revisions_that_exist(each: Suite) -> None:
    for task in each.tasks:
        assert card(task.card_id).revision == task.revision


def test_steps_of_a_task_stand_before_the_suites(tmp_path: Path) -> None:
    found = read_suite(written(tmp_path, SMALL + "steps = 7\n"))
    assert found.steps_of(found.tasks[0]) == 7
    found = read_suite(written(tmp_path, SMALL))
    assert found.steps_of(found.tasks[0]) == 100
    assert found.tasks[0].slug == "offbench--pointmaze--stitch-v0"


@pytest.mark.parametrize("each", suites().values(), ids=list(suites()))
def test_slugs_name_folders_anywhere_and_differ(each: Suite) -> None:
    slugs = [task.slug for task in each.tasks]
    assert len(set(slugs)) == len(slugs)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.=-]*", slug) for slug in slugs)


def test_splits_in_suites_exist_under_their_whole_names(pendulum_file: Path) -> None:
    data = offbench.load(pendulum_file)
    splits = [
        task.dataset.partition("?")[2] for each in suites().values() for task in each.tasks if "?" in task.dataset
    ]
    assert splits
    for split in splits:
        assert apply_split(data, split).split == split


@pytest.mark.parametrize("each", suites().values(), ids=list(suites()))
def test_hidden_tasks_can_be_generated(each: Suite) -> None:
    assert all(card(name).recipe is not None for name in each.hidden)


@pytest.mark.parametrize(
    ("text", "name", "wrong"),
    [
        (SMALL + SMALL[SMALL.index("[[tasks]]") :], "small.toml", "twice"),
        (SMALL, "other.toml", "calls itself small"),
        (SMALL.replace("steps = 100", "steps = 0"), "small.toml", "steps"),
        (SMALL.replace("seeds = 3", 'sedes = "3"'), "small.toml", "se"),
        (SMALL[: SMALL.index("[[tasks]]")], "small.toml", "tasks"),
        (SMALL.replace("seeds = 3", 'seeds = 3\nkind = "time"'), "small.toml", "target"),
        (SMALL + "target = 3.0\n", "small.toml", "target"),
        (SMALL.replace("seeds = 3", "seeds = 3\nruns = 2"), "small.toml", "runs and hardware"),
        (SMALL.replace("seeds = 3", 'seeds = 3\nhidden = ["a/b"]'), "small.toml", "hidden names"),
        (SMALL.replace("seeds = 3", f'seeds = 3\nsalt = "{"0" * 32}"'), "small.toml", "belong together"),
        ("name = ", "small.toml", "no valid TOML"),
    ],
)
def test_broken_suites_are_told(tmp_path: Path, text: str, name: str, wrong: str) -> None:
    with pytest.raises(OffbenchError, match=wrong):
        read_suite(written(tmp_path, text, name))


def test_unknown_suites_list_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="starter"):
        suite("startr")
    with pytest.raises(OffbenchError, match="cannot read"):
        read_suite(Path("absent.toml"))
