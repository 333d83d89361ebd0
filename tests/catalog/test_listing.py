"""Finding datasets and tasks by the words that name them, in Python and on the command line."""

from __future__ import annotations

import pytest

import offbench
from offbench.catalog.cards import cards
from offbench.cli.data_show import list_datasets


def test_all_words_name_what_is_found() -> None:
    found = offbench.datasets("hopper medium")
    assert {"d4rl/hopper-medium-v2", "offbench/hopper/medium-v0", "minari/mujoco/hopper/medium-v0"} <= set(found)
    assert found == offbench.datasets("MEDIUM  Hopper")
    assert set(found) == set(offbench.datasets("hopper")) & set(offbench.datasets("medium"))
    assert offbench.datasets() == list(cards())
    assert offbench.datasets("nothing of the kind") == []
    assert offbench.card(found[0]).id == found[0]


def test_tasks_are_found_by_name_alias_and_environment() -> None:
    assert {"hopper-v4", "hopper-v5", "hopper-d4rl"} <= set(offbench.tasks("hopper"))
    assert "pendulum" in offbench.tasks("Pendulum-v1")
    assert all(offbench.task(name).name == name for name in offbench.tasks())
    assert "hopper-v4" not in offbench.tasks("walker2d")


def test_the_command_line_finds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    list_datasets("hopper medium")
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == offbench.datasets("hopper medium")
