"""HERON: the first factor that differs enough decides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import offbench
from offbench.errors import DataError, OffbenchError
from offbench.labelling.asking import ask, piece
from offbench.labelling.heron import PENDULUM, Heron, decided, heron, values_of

MARGINS = (0.5, 1.0)
ROWS = st.tuples(st.floats(-3, 3), st.floats(-3, 3))


def test_worked_numbers() -> None:
    assert decided([(3, 0), (2, 9)], MARGINS) == 0  # the first factor decides
    assert decided([(2.2, 0), (2, 9)], MARGINS) == 1  # the second does
    assert decided([(2.2, 0), (2, 1)], MARGINS) is None  # a difference of the margin is none
    assert decided([(2.5, 0), (2, 0)], MARGINS) is None
    assert decided([(1,), (2,)], (0.0,)) == 1
    assert decided([(1,), (1,)], (0.0,)) is None


@given(ROWS, ROWS)
def test_the_other_way_round_the_other_wins(one: tuple[float, float], two: tuple[float, float]) -> None:
    label, back = decided([one, two], MARGINS), decided([two, one], MARGINS)
    assert (label is None) == (back is None)
    if label is not None and back is not None:
        assert label + back == 1


def test_margins_make_the_order_intransitive() -> None:
    a, b, c = (3.0, 0.0), (2.6, 2.0), (2.2, 4.0)
    assert [decided([a, b], MARGINS), decided([b, c], MARGINS), decided([c, a], MARGINS)] == [1, 1, 1]
    # Alike and alike, and yet not alike.
    assert [decided([(x,), (y,)], (0.5,)) for x, y in ((1, 0.6), (0.6, 0.2), (1, 0.2))] == [None, None, 0]


def test_margins_are_deviations_of_the_data(pendulum_file: Path) -> None:
    data = offbench.load(pendulum_file)
    teacher = heron(data, PENDULUM, margin=0.5, length=5, segments=3000)
    every = [start for e in range(len(data)) for start in range(25 * e, 25 * e + 21)]
    spreads = values_of([piece(data, start, 5) for start in every], PENDULUM).std(0)
    assert np.allclose(teacher.margins, 0.5 * spreads, rtol=0.06)
    assert str(teacher).startswith(f"upright by {teacher.margins[0]:.4g}, then slow by ")
    found = ask(data, teacher, pairs=50, length=5)
    assert found.provenance.notes[-1].startswith("labelled by the teacher upright by")
    for pair in range(50):
        one, two = (piece(data, int(side.starts[pair]), 5) for side in (found.first, found.second))
        assert teacher(one, two) == found.labels[pair] == 1 - teacher(two, one)


def test_the_pendulums_factors_are_those_of_its_states(pendulum_file: Path) -> None:
    data = offbench.load(pendulum_file)
    angle = np.array([0.0, 0.0, np.pi / 2, -np.pi / 2])
    states = np.stack([np.cos(angle), np.sin(angle), [9, 1, -2, 3]], 1).astype(np.float32)
    segment = replace(
        piece(data, 0, 3), observations=states, actions=np.array([[1], [-2], [0]], np.float32), rewards=None
    )
    assert [factor(segment) for factor in PENDULUM] == pytest.approx([-np.pi / 3, -2, -1])
    with pytest.raises(DataError, match=r"has no actions, by whose size"):
        PENDULUM[2](replace(segment, actions=None))


def test_what_orders_nothing_is_refused(pendulum_file: Path) -> None:
    data = offbench.load(pendulum_file)

    def same(segment: object) -> float:
        return 1.0

    with pytest.raises(
        DataError, match=r"the factor same is the same for all segments of tiny, so that it orders none"
    ):
        heron(data, [same], length=5, segments=10)
    with pytest.raises(DataError, match=r"is not finite for all segments"):
        heron(data, [lambda segment: float("nan")], length=5, segments=10)
    with pytest.raises(OffbenchError, match=r"1 factors with margins \(0.1, 0.2\) make no order"):
        Heron((same,), (0.1, 0.2))
    with pytest.raises(OffbenchError, match=r"make no order"):
        Heron((same,), (-0.1,))
