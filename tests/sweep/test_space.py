"""Grids are all combinations; draws lie within their ranges, and more of them keep the first."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbench.errors import OffbenchError, UnknownNameError
from offbench.sweep.space import Range, expanded, values_of


def changes(space, **options):
    return [method.changes for method in expanded("iql", space, **options)]


def test_a_grid_is_every_combination_in_the_order_of_the_plan():
    assert changes({"expectile": [0.5, 0.9], "beta": [1.0, 3.0]}) == [
        {"expectile": 0.5, "beta": 1.0},
        {"expectile": 0.5, "beta": 3.0},
        {"expectile": 0.9, "beta": 1.0},
        {"expectile": 0.9, "beta": 3.0},
    ]
    assert changes({}) == [{}]
    assert changes({"expectile": [0.5, 0.5]}) == [{"expectile": 0.5}]


def test_a_value_that_is_a_list_is_one_value_and_a_list_of_them_several():
    assert values_of("iql", "hidden", [64, 64]) == [(64, 64)]
    assert changes({"hidden": [[64, 64], [32]]}) == [{"hidden": (64, 64)}, {"hidden": (32,)}]
    assert changes({"expectile": 0.7}) == [{"expectile": 0.7}]


def test_draws_are_reproduced_and_more_of_them_keep_the_first():
    space = {"expectile": {"low": 0.5, "high": 0.9}, "beta": [1.0, 3.0, 10.0]}
    few, many = changes(space, draws=3), changes(space, draws=8)
    assert many[:3] == few
    assert len({each["expectile"] for each in many}) == 8
    assert changes(space, draws=8, seed=1) != many
    assert all(0.5 <= each["expectile"] <= 0.9 and each["beta"] in (1.0, 3.0, 10.0) for each in many)


@given(st.integers(1, 50), st.integers(1, 1000), st.booleans(), st.integers(0, 99))
def test_whole_numbers_stay_whole_and_within(low, width, log, seed):
    drawn = Range(low, low + width, log).draw(np.random.default_rng(seed))
    assert isinstance(drawn, int)
    assert low <= drawn <= low + width


@given(st.floats(1e-8, 1.0), st.floats(1.1, 1e6), st.booleans(), st.integers(0, 99))
def test_numbers_stay_within(low, times, log, seed):
    high = low * times
    drawn = Range(low, high, log).draw(np.random.default_rng(seed))
    assert low * (1 - 1e-12) <= drawn <= high * (1 + 1e-12)


def test_a_logarithmic_range_is_even_in_its_logarithm():
    chance = np.random.default_rng(0)
    drawn = np.log10([Range(1e-4, 1e-2, log=True).draw(chance) for _ in range(4000)])
    assert drawn.mean() == pytest.approx(-3, abs=4 * (2 / math.sqrt(12)) / math.sqrt(4000))
    counts = np.bincount([Range(1, 3, log=True).draw(chance) for _ in range(4000)], minlength=4)[1:]
    shares = np.diff(np.log([0.5, 1.5, 2.5, 3.5])) / math.log(7)
    assert counts / 4000 == pytest.approx(shares, abs=0.04)


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({"expectile": []}, "empty list"),
        ({"expectile": {"low": 0.5}}, "a range is"),
        ({"expectile": {"low": 0.5, "high": "a"}}, "a range is"),
        ({"expectile": {"low": True, "high": 2}}, "a range is"),
        ({"expectile": {"low": 0.5, "high": 0.9, "step": 1}}, "a range is"),
        ({"expectile": {"low": 0.9, "high": 0.5}}, "reaches from 0.9 to 0.5"),
        ({"expectile": {"low": 0, "high": 0.5, "scale": "log"}}, "above 0"),
        ({"expectile": {"low": 0.5, "high": math.inf}}, "finite"),
        ({"expectile": {"low": 0.5, "high": 0.9, "scale": "square"}}, "linear and log"),
        ({"expectile": {"low": 0.5, "high": 0.9}}, "say how often with draws"),
        ({"expectile": [0.5, 2.0]}, "expectile"),
        ({"expectile": ["high"]}, "expectile"),
    ],
)
def test_what_is_no_space_is_told(space, told):
    with pytest.raises(OffbenchError, match=told):
        expanded("iql", space)


def test_unknown_names_list_the_nearest():
    with pytest.raises(UnknownNameError, match="expectile"):
        expanded("iql", {"expectil": [0.5]})
    with pytest.raises(UnknownNameError, match="iql"):
        expanded("iqk", {})
