from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_entries import PENDULUM, make_run
from synthetic_records import make_evaluation

from offbench.leaderboard.charts import bar_of, counted, curve_of, histogram, learning_curve, profile, short, ticks


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 6))
def test_ticks_are_few_round_and_within(low: float, width: float, most: int):
    found = ticks(low, low + width, most)
    assert len(found) <= most + 1
    slack = 1e-6 * (abs(low) + width)
    assert all(low - slack <= each <= low + width + slack for each in found)


@pytest.mark.parametrize(("value", "text"), [(20_000, "20k"), (1e6, "1M"), (0.5, "0.5"), (-500, "−500"), (0, "0")])  # noqa: RUF001
def test_numbers_at_axes(value: float, text: str):
    assert short(value) == text


def test_a_curve_is_the_mean_over_seeds_at_the_steps_that_they_share():
    runs = [make_run(PENDULUM, "iql", 80.0, seed) for seed in range(3)]
    last = runs[0].evaluations
    runs[0] = runs[0].model_copy(update={"evaluations": [last[0], *last[2:]]})
    curve = curve_of(runs)
    assert curve is not None
    assert curve.steps == [0, 500, 1000]
    assert curve.mean[-1] == pytest.approx(np.mean([run.final_score for run in runs]))
    assert all(low < mean < high for mean, (low, high) in zip(curve.mean, curve.interval, strict=True))


def test_one_evaluation_makes_no_curve():
    run = make_run(PENDULUM, "iql", 80.0, 0)
    assert curve_of([run.model_copy(update={"evaluations": run.evaluations[-1:]})]) is None


def test_a_seed_alone_has_a_curve_without_a_band():
    curve = curve_of([make_run(PENDULUM, "iql", 80.0, 0)])
    assert curve is not None
    assert "band" not in learning_curve(curve, "x")


def test_charts_are_well_formed_and_named_and_escape_the_name():
    flat = make_run(PENDULUM, "iql", 80.0, 0, evaluations=[make_evaluation(s, [-400.0]) for s in (0, 1000)])
    curves = [curve_of([flat]), curve_of([make_run(PENDULUM, "iql", 80.0, seed) for seed in range(3)])]
    charts = [learning_curve(each, '<script>"&') for each in curves if each]
    charts.append(histogram(*counted(np.array([1.0, 1.0, 2.0])), '<script>"&', "return"))
    charts.append(histogram(*counted(np.array([1.0])), '<script>"&', "return"))
    for chart in charts:
        tree = ElementTree.fromstring(str(chart))
        assert tree.findtext("title") == '<script>"&'
        assert not tree.findall(".//script")
        assert "nan" not in chart


def test_a_bar_spans_its_interval():
    lines = ElementTree.fromstring(str(bar_of(20, 30, 60, (0, 80)))).findall("line")
    assert [float(lines[0].attrib[key]) for key in ("x1", "x2")] == [25.0, 75.0]
    assert float(lines[1].attrib["x1"]) == 37.5


def test_a_profile_stands_before_those_of_others_and_says_what_it_shows():
    thresholds = np.linspace(0, 100, 3)
    chart = profile(np.array([1.0, 0.25, 0.0]), [np.array([1.0, 1.0, 0.5])] * 2, thresholds, "Rank 1")
    tree = ElementTree.fromstring(str(chart))
    assert [line.attrib["class"] for line in tree.findall("polyline")][-3:] == ["seed", "seed", "mean"]
    assert tree.findtext("title") == "Rank 1: 25% of the runs score above 50"
