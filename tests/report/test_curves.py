from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from synthetic_records import make_curves, make_evaluation, make_record

mpl.use("Agg")

from matplotlib import pyplot as plt

from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord
from offbench.evaluation.statistics import student_interval
from offbench.report.curves import draw, write_curves


@pytest.fixture(autouse=True)
def _closed_figures_and_own_style():
    with mpl.rc_context():
        yield
    plt.close("all")


def records() -> list[RunRecord]:
    return [
        record
        for dataset, finals in {
            "offbench/pendulum/mixed-v0": (55, 93),
            "offbench/pointmaze/stitch-v0": (10, 82),
        }.items()
        for algorithm, final in zip(("bc", "iql"), finals, strict=True)
        for record in make_curves(algorithm, dataset, final=final, seeds=5)
    ]


def test_lines_are_means_and_bands_intervals_over_seeds() -> None:
    runs = make_curves("iql", "a", final=80, seeds=4, points=5)
    axes = draw(runs).axes[0]
    line = axes.get_lines()[0]
    scores = np.array([[record.scores(evaluation).mean() for evaluation in record.evaluations] for record in runs])
    np.testing.assert_allclose(line.get_xdata(), np.linspace(0, 10_000, 6))
    np.testing.assert_allclose(line.get_ydata(), scores.mean(axis=0))
    band = axes.collections[0].get_paths()[0].vertices
    for step, column in zip(np.linspace(0, 10_000, 6), scores.T, strict=True):
        heights = band[band[:, 0] == step, 1]
        np.testing.assert_allclose((heights.min(), heights.max()), student_interval(column))


def test_one_panel_a_dataset_and_one_colour_an_algorithm() -> None:
    figure = draw(records())
    assert [axes.get_title() for axes in figure.axes] == ["offbench/pendulum/mixed-v0", "offbench/pointmaze/stitch-v0"]
    colours = [[line.get_color() for line in axes.get_lines() if len(line.get_xdata())] for axes in figure.axes]
    assert colours[0] == colours[1]
    assert len(set(colours[0])) == 2
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["bc", "iql"]
    figure.canvas.draw()
    boxes = [axes.get_window_extent() for axes in figure.axes]
    assert not any(legend.get_window_extent().overlaps(box) for box in boxes)


def test_one_seed_has_a_line_and_no_band() -> None:
    axes = draw(make_curves("iql", "a", final=80, seeds=1, points=4)).axes[0]
    assert np.isfinite(axes.get_lines()[0].get_ydata()).all()
    assert not any(np.isfinite(path.vertices).all() for band in axes.collections for path in band.get_paths())


def test_shared_steps_alone_are_drawn() -> None:
    runs = [
        make_record(seed=0, evaluations=[make_evaluation(step, [-700.0]) for step in (0, 250, 500, 1000)]),
        make_record(seed=1, evaluations=[make_evaluation(step, [-500.0]) for step in (0, 500, 1000)]),
    ]
    line = draw(runs).axes[0].get_lines()[0]
    assert list(line.get_xdata()) == [0, 500, 1000]
    apart = [make_record(seed=i, evaluations=[make_evaluation(step, [-700.0])]) for i, step in enumerate((500, 1000))]
    with pytest.raises(OffbenchError, match=r"the seeds 0, 1 of bc on .* never evaluated at the same step"):
        draw(apart)


def test_png_and_pdf_are_written_and_the_same_each_time(tmp_path: Path) -> None:
    style = dict(mpl.rcParams)
    first = write_curves(records(), tmp_path / "one" / "curves.png")
    second = write_curves(list(reversed(records())), tmp_path / "two" / "curves")
    assert [path.name for path in first] == [path.name for path in second] == ["curves.png", "curves.pdf"]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
    assert first[0].read_bytes().startswith(b"\x89PNG")
    pdf = first[1].read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"Date" not in pdf
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["curves.pdf", "curves.png"]
    assert dict(mpl.rcParams) == style
    assert not plt.get_fignums()
    height, width, _ = plt.imread(first[0]).shape
    assert width > 1200
    assert height > 400


def test_other_kinds_of_picture_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OffbenchError, match=r"not \.gif; name .*curves\.png"):
        write_curves(records(), tmp_path / "curves.gif")


def test_names_are_no_mathematics_and_one_line(tmp_path: Path) -> None:
    runs = [*make_curves("a$\nb", "x$_{y", final=80, seeds=2, points=2), *make_curves("c", "x$_{y", final=80, seeds=2)]
    assert [path.exists() for path in write_curves(runs, tmp_path / "odd.png")] == [True, True]
