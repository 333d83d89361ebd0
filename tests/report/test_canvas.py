import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from synthetic_records import make_curves

from offbench.report.canvas import MOST_COLUMNS, PAGE_HEIGHT, WIDTHS, Drawn, blank, grid, panels, write
from offbench.report.curves import draw

NAMES = ["bc", "iql", "td3_bc", "edac", "rvs", "a_rather_long_module_name:WithItsClass"]
DATASETS = [
    "offbench/pendulum/mixed-v0",
    "d4rl/halfcheetah-medium-expert-v2",
    "d4rl/walker2d-medium-replay-v2",
    "d4rl/antmaze-large-diverse-v2",
    "ogbench/humanoidmaze-medium-navigate-singletask-task1-v0",
    "my-own-data-with-a-very-long-name-that-goes-on-and-on-v3",
    "d4rl/hopper-random-v2",
    "neorl2/Pipeline-v0",
    "d4rl/pen-human-v1",
]


@given(st.integers(1, 30), st.sampled_from(sorted(set(MOST_COLUMNS.values()))))
def test_grids_hold_all_panels_with_no_row_or_column_empty(count: int, most: int) -> None:
    rows, columns = grid(count, most)
    assert columns <= most
    assert rows * columns >= count
    assert (rows - 1) * columns < count


def test_grids_are_filled_well() -> None:
    assert [grid(count, 4) for count in (1, 2, 3, 4, 5, 6, 7, 8, 9, 12)] == [
        (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (2, 3), (2, 4), (2, 4), (3, 3), (3, 4),
    ]  # fmt: skip
    assert [grid(count, 2) for count in (1, 2, 3, 4, 5)] == [(1, 1), (1, 2), (2, 2), (2, 2), (3, 2)]


@pytest.mark.parametrize(
    ("count", "size"),
    [(1, "one-column"), (4, "one-column"), (4, "two-column"), (5, "two-column"), (9, "two-column"), (9, "page")],
)
def test_nothing_is_printed_over_anything_else(count: int, size: str) -> None:
    runs = [
        record
        for place, dataset in enumerate(DATASETS[:count])
        for name in NAMES
        for record in make_curves(name, dataset, final=50 + place, seeds=1, points=2)
    ]
    figure = draw(runs, size, data=False).figure
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    inches = figure.get_size_inches()
    assert inches[0] <= WIDTHS[size]
    assert inches[1] <= PAGE_HEIGHT + 1  # and a legend
    # A panel with its title, ticks and lines, the legend, and the names of both axes keep clear of each other.
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    boxes += [one.get_window_extent(renderer) for one in (figure.legends[0], figure._supxlabel, figure._supylabel)]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other), (one, other)
    page = figure.bbox
    for box in boxes:
        assert box.x0 >= page.x0 - 1
        assert box.y0 >= page.y0 - 1
        assert box.x1 <= page.x1 + 1
        assert box.y1 <= page.y1 + 1
    # Panels are not crushed by what surrounds them.
    for axes in figure.axes:
        assert axes.get_window_extent(renderer).height / figure.dpi > 0.6


@pytest.mark.parametrize("count", [1, 9, 12, 13, 18, 40, 100])
def test_a_page_is_no_higher_than_a_page(count: int) -> None:
    figure, axes = panels(count, "page")
    assert len(axes) == count
    assert figure.get_figheight() <= PAGE_HEIGHT


def test_numbers_are_written_in_full_and_texts_are_no_formulas(tmp_path: Path) -> None:
    rows = [{"name": "＝1+1", "value": 1 / 3, "none": None}, {"name": "a\nb", "value": 2, "none": None}]  # noqa: RUF001
    paths = write(Drawn(blank(1.0, 1.0), rows), tmp_path / "made.pdf")
    assert [path.name for path in paths] == ["made.png", "made.pdf", "made.csv"]
    assert paths[2].read_text() == "name,value,none\n'＝1+1,0.3333333333333333,\na\\nb,2,\n"  # noqa: RUF001
