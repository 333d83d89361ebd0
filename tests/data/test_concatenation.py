"""Several datasets as one: nothing is lost without a note, what differs is not joined, no call gives one part alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from few_episodes import episodes

import offbench
from offbench.data.concatenation import concatenate
from offbench.data.provenance import Provenance
from offbench.data.trajectories import Trajectories
from offbench.errors import DataError


def named(name: str, **changes: Any) -> Trajectories:
    """Two episodes of 3 and 2 steps, in [-1, 1] by declaration."""
    whole = episodes([3, 2], "tl", [True, True], size=2, action=1)
    told: dict[str, Any] = {
        "action_range": (-np.ones(1, np.float32), np.ones(1, np.float32)),
        "provenance": Provenance(name),
    }
    return replace(whole, **(told | changes))


def test_every_way_of_saying_it_gives_all_parts() -> None:
    a, b, c = named("a"), named("b")[:1], named("c")[1:]
    for joined in (a + b + c, a.concatenate(b, c), a.concatenate([b, c]), concatenate([a, b, c]), concatenate(a, b, c)):
        assert joined.lengths.tolist() == [3, 2, 3, 2]
        assert joined.provenance.dataset == "a + b + c"
    assert Trajectories.concatenate([a, b]).lengths.tolist() == [3, 2, 3]  # type: ignore[arg-type]
    assert concatenate([a]).digest == concatenate(iter(a)).digest == a.digest
    assert offbench.concatenate is concatenate


@pytest.mark.parametrize("other", [1, None, "b", {}])
def test_what_is_no_data_is_not_added(other: Any) -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        named("a") + other
    with pytest.raises(DataError, match=r"only Trajectories can be concatenated|nothing to concatenate"):
        concatenate(other)


UNLIKE: dict[str, tuple[dict[str, Any], str]] = {
    "observations before all else": (
        {"observations": np.zeros((7, 3), np.float32), "rewards": None, "action_range": None},
        "observations of a hold 2 numbers and those of b hold 3 numbers; data of one environment",
    ),
    "pixels": (
        {"observations": np.zeros((7, 3, 3), np.float32)},
        r"a hold 2 numbers .* of b hold the shape \(3, 3\)",
    ),
    "action sizes": (
        {"actions": np.zeros((5, 2), np.float32), "action_range": None},
        "actions of a hold 1 numbers and those of b hold 2 numbers",
    ),
    "whole actions": ({"actions": np.zeros((5, 1), np.int64)}, "actions of a are float32 and those of b are int64"),
    "no rewards": ({"rewards": None}, r"b has no rewards and a has; .* with .without\('rewards'\)"),
    "no actions": ({"actions": None, "action_range": None}, r"b has no actions and a has; .* .without\('actions'\)"),
    "wider range": (
        {"action_range": (np.full(1, -2, np.float32), np.full(1, 2, np.float32))},
        r"a declares actions from -1 to 1 and b from -2 to 2; .* action_range=\(low, high\)",
    ),
    "actions outside": (
        {"actions": np.full((5, 1), 1.5, np.float32), "action_range": None},
        "actions of b reach from 1.5 to 1.5, and a declares -1 to 1",
    ),
}


@pytest.mark.parametrize(("changes", "sentence"), UNLIKE.values(), ids=UNLIKE)
def test_parts_that_differ_in_what_is_learnt_from_are_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        named("a") + named("b", **changes)
    with pytest.raises(DataError):
        named("b", **changes) + named("a")


def test_the_way_out_that_messages_name_works() -> None:
    a, b = named("a"), named("b", action_range=(np.full(1, -2, np.float32), np.full(1, 2, np.float32)))
    both = concatenate([a, b], action_range=(-2, 2))
    assert [bound.tolist() for bound in both.action_range or ()] == [[-2], [2]]
    assert (a.without("rewards") + named("b", rewards=None)).rewards is None
    free = a.without("actions") + named("b", actions=None, action_range=None)
    assert free.actions is None
    assert free.action_range is None


def test_a_part_without_a_range_takes_the_declared_one_and_a_note_says_so() -> None:
    a, b = named("a"), named("b", action_range=None)
    declared = a.noted(task="hopper-v4")
    for joined in (declared + b, b + declared):
        assert [bound.tolist() for bound in joined.action_range or ()] == [[-1], [1]]
        assert joined.provenance.task == "hopper-v4"
        assert "b declares no range of actions and keeps that of hopper-v4, as a declares it, -1 to 1" in (
            joined.provenance.notes
        )
    in_double = named("c", action_range=(np.full(1, -1.0), np.full(1, 1 + 1e-9)))
    assert (a + in_double).provenance.notes == ()
    assert (b + b).action_range is None


def test_extras_that_do_not_fit_are_left_out_and_told() -> None:
    both = {"goal": np.arange(5), "qpos": np.arange(7)}
    a = named("a", extras={**both, "mine": np.arange(5), "odd": np.zeros((5, 2))})
    b = named("b", extras={**both, "qpos": np.arange(5), "odd": np.zeros((5, 3))})
    joined = a + b
    assert {name: len(column) for name, column in joined.extras.items()} == {"goal": 10, "qpos": 10}
    assert joined.extras["qpos"].tolist() == [0, 1, 2, 4, 5, 0, 1, 2, 3, 4]
    assert joined.provenance.notes == (
        "left out, since not all parts have them: mine",
        "left out, since the parts have them in other shapes or kinds: odd",
    )
    assert (a + a).extras["qpos"].tolist() == [*range(7)] * 2


def test_the_origin_of_a_mix_is_that_of_its_parts_where_they_agree() -> None:
    def of(name: str, **more: Any) -> Trajectories:
        return named("", provenance=Provenance(name, **more))

    same = of("a", revision=2, task="t", like="l") + of("a", revision=2, like="l")
    assert same.provenance == Provenance("a", 2, "t", (), "l")
    other = of("a", revision=2, task="t", like="l", notes=("n",)) + of("/some/where/b.hdf5", task="u", notes=("m",))
    told = "its parts belong to the tasks t, u, so that it has none of its own"
    assert other.provenance == Provenance("a + b.hdf5", 0, None, ("a: n", "b.hdf5: m", told), "")
    many = concatenate([of(str(i)) for i in range(9)])
    assert many.provenance.dataset == "0 + 1 + 2 + 6 more"


def test_a_file_mixes_with_a_set_that_is_generated_here(shared: Path) -> None:
    file = offbench.load(shared / "real" / "d3rlpy_pendulum_replay.hdf5")[:3]
    made = offbench.load("offbench/pendulum/swingup-v0")[:2]
    mix = made + file
    assert len(mix) == 5
    assert mix.provenance.task == made.provenance.task
    assert [bound.tolist() for bound in mix.action_range or ()] == [[-2], [2]]
    assert np.array_equal(mix[3].observations, file[1].observations)
    assert mix.final_observations is not None
    assert mix.final_observations.tolist() == [True] * 2 + [False] * 3
    assert len(mix.transitions()) == mix.steps - 3
