"""The names that an unknown one is answered with."""

from __future__ import annotations

import re

import pytest

from offbench.errors import UnknownNameError

KNOWN = [
    *(
        f"d4rl/{body}-{kind}-v{n}"
        for body in ("hopper", "walker2d")
        for kind in ("medium", "expert")
        for n in (0, 1, 2)
    ),
    "d4rl/hopper-medium-v10",
    "offbench/hopper/medium-v0",
    "offbench/hopper/medium-100k-v0",
    "minari/mujoco/hopper/medium-v0",
    "hopper",
]


def nearest(name: str, known: list[str] = KNOWN) -> list[str]:
    (listed,) = re.findall(r"; nearest: (.*)$", str(UnknownNameError("dataset", name, known))) or [""]
    return listed.split(", ") if listed else []


def test_of_a_name_without_its_version_the_newest_comes_first() -> None:
    wanted = ["d4rl/hopper-medium-v10", "d4rl/hopper-medium-v2", "d4rl/hopper-medium-v1"]
    assert nearest("d4rl/hopper-medium") == nearest("d4rl/hopper-medium-v7") == nearest("D4RL/Hopper-Medium") == wanted


def test_names_that_hold_all_words_come_before_those_that_are_spelt_alike() -> None:
    assert nearest("medium-hopper")[0] in KNOWN
    assert all("hopper" in each and "medium" in each for each in nearest("medium hopper"))
    assert len({re.sub(r"-v\d+$", "", each) for each in nearest("hopper medium")}) == 3


def test_a_slip_of_the_pen_is_found() -> None:
    assert nearest("d4rl/hoper-medum-v2")[0] == "d4rl/hopper-medium-v10"
    assert nearest("iqll", ["cql", "iql", "bc"])[0] == "iql"


@pytest.mark.parametrize("name", ["", "zzzz", "-v3"])
def test_without_anything_near_the_first_names_are_listed(name: str) -> None:
    assert nearest(name, ["b", "a"]) == ["a", "b"]
    assert nearest(name, []) == []
