import pytest

from offbench.behaviours.ladder import Measured, Rung
from offbench.errors import OffbenchError
from offbench.online.selection import choose


def rungs(*means):
    return [
        Rung(
            name=f"r{i}",
            updates=i,
            transitions=i,
            sampled=Measured(mean=mean, standard_error=0, length=1, episodes=2),
        )
        for i, mean in enumerate(means)
    ]


def test_rungs_climb_evenly_from_the_first_to_the_best():
    found = choose(rungs(0, 1, 2, 50, 49, 100, 98, 12), 3)
    assert [rung.sampled.mean for rung in found] == [0, 50, 100]


def test_what_comes_after_the_best_is_left_out():
    assert [rung.name for rung in choose(rungs(0, 10, 5), 3)] == ["r0", "r1"]


def test_there_are_no_more_rungs_than_were_trained():
    assert len(choose(rungs(0, 1, 2), 12)) == 3


def test_a_training_without_rungs_is_refused():
    with pytest.raises(OffbenchError, match="no rung"):
        choose([], 3)
