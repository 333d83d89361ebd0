"""Learning with less: how much of the way between two references a method goes."""

import numpy as np
import pytest
from studies_with_few_runs import of

from offbench.studies.comparison import Method, play
from offbench.studies.less_supervision import (
    ALL_ACTIONS,
    FEW_ACTIONS,
    NO_REWARDS,
    TRUE_REWARDS,
    comparison,
    recovered,
    write_page,
)


def test_the_share_of_the_way_by_hand() -> None:
    share, (low, high) = recovered([80.0, 80.0], [100.0, 100.0], [20.0, 20.0])
    assert share == pytest.approx(0.75)
    assert low == pytest.approx(0.75)
    assert high == pytest.approx(0.75)
    assert recovered([20.0], [100.0], [20.0])[0] == 0
    assert recovered([120.0], [100.0], [20.0])[0] == pytest.approx(1.25)


def test_the_interval_holds_the_share_and_is_wide_where_the_ends_meet() -> None:
    draw = np.random.default_rng(0)
    whole, least = draw.normal(100, 5, 5), draw.normal(20, 5, 5)
    share, (low, high) = recovered(draw.normal(84, 5, 5), whole, least)
    assert low < share < high
    assert high - low < 0.3
    _, (low, high) = recovered(draw.normal(98, 5, 5), whole, draw.normal(97, 5, 5))
    assert high - low > 2


@pytest.mark.parametrize("budget", ["small", "medium", "full"])
def test_both_references_are_there_and_each_share_once(budget) -> None:
    methods = comparison(budget).methods
    names = [method.name for method in methods]
    assert {ALL_ACTIONS, FEW_ACTIONS, TRUE_REWARDS, NO_REWARDS} <= set(names)
    assert len(set(names)) == len(names) == len({method.folder for method in methods})
    splits = [method.split for method in methods if method.algorithm == "ss_orl"]
    assert len(set(splits)) == len(splits) >= 3


def test_the_page_tells_the_shares_of_methods_that_ran(tmp_path) -> None:
    few = "actions=10%-low&part=labelled"
    small = of((Method(ALL_ACTIONS, "bc"), Method(FEW_ACTIONS, "bc", split=few), Method("Third", "bc", split=few)))
    play(small, tmp_path, lambda line: None)
    page, _, picture = write_page(small, tmp_path)
    text = page.read_text()
    assert f"- {FEW_ACTIONS}: `?{few}`" in text
    assert f"| of the way from {FEW_ACTIONS} to {ALL_ACTIONS} | share |" in text
    assert "| Third |" in text.split("of the way")[1]
    assert picture.read_bytes().startswith(b"\x89PNG")
