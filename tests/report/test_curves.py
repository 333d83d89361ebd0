import csv
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from synthetic_records import make_curves, make_evaluation, make_record

import offbench
from offbench.errors import OffbenchError
from offbench.evaluation.record import RunRecord
from offbench.evaluation.statistics import student_interval
from offbench.report.canvas import write
from offbench.report.curves import draw, write_curves
from offbench.report.palette import style_of


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
    axes = draw(runs).figure.axes[0]
    line = axes.get_lines()[0]
    scores = np.array([[record.scores(evaluation).mean() for evaluation in record.evaluations] for record in runs])
    np.testing.assert_allclose(line.get_xdata(), np.linspace(0, 10_000, 6))
    np.testing.assert_allclose(line.get_ydata(), scores.mean(axis=0))
    band = axes.collections[0].get_paths()[0].vertices
    for step, column in zip(np.linspace(0, 10_000, 6), scores.T, strict=True):
        heights = band[band[:, 0] == step, 1]
        np.testing.assert_allclose((heights.min(), heights.max()), student_interval(column))


def test_one_panel_a_dataset_and_one_colour_an_algorithm() -> None:
    figure = draw(records()).figure
    assert [axes.get_title() for axes in figure.axes] == ["Pendulum mixed", "Point maze stitch"]
    colours = [[line.get_color() for line in axes.get_lines() if len(line.get_xdata())] for axes in figure.axes]
    assert colours[0] == colours[1]
    assert len(set(colours[0])) == 2
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["BC", "IQL"]
    FigureCanvasAgg(figure).draw()
    boxes = [axes.get_window_extent() for axes in figure.axes]
    assert not any(legend.get_window_extent().overlaps(box) for box in boxes)


def test_colours_do_not_change_with_the_set_of_methods() -> None:
    runs = {name: make_curves(name, "a", final=50, seeds=2, points=2) for name in ("bc", "iql", "cql", "mine:Own")}

    def colours(*names: str) -> dict[str, str]:
        figure = draw([record for name in names for record in runs[name]]).figure
        entries = zip(figure.legends[0].get_texts(), figure.legends[0].get_lines(), strict=True)
        return {text.get_text(): line.get_color() for text, line in entries}

    everything = colours(*runs)
    for names in (("iql",), ("bc", "cql"), ("iql", "mine:Own")):
        assert colours(*names).items() <= everything.items()


def test_the_data_are_drawn_where_they_are_at_hand_and_are_the_runs_own(monkeypatch) -> None:
    data = offbench.load("offbench/pendulum/swingup-v0")
    known = make_curves("bc", "offbench/pendulum/swingup-v0", final=50, seeds=2, points=2, dataset_digest=data.digest)
    low, high = known[0].task.low, known[0].task.high
    drawn = draw(known)
    heights = [float(line.get_ydata()[0]) for line in drawn.figure.axes[0].get_lines()[1:]]
    scores = 100 * (data.returns - low) / (high - low)
    assert heights == pytest.approx([scores.mean(), scores.max()])
    assert drawn.data[0]["data_best"] == pytest.approx(scores.max())
    assert [text.get_text() for text in drawn.figure.legends[0].get_texts()] == [
        "BC",
        "best episode",
        "mean of the data",
    ]
    assert len(draw(known, data=False).figure.axes[0].get_lines()) == 1
    # Other data of that name, and data that would have to be downloaded, are not shown.
    monkeypatch.setattr("offbench.catalog.download.fetch", lambda *given, **named: pytest.fail("downloaded"))
    for dataset in ("offbench/pendulum/swingup-v0", "d4rl/hopper-medium-v2", "no/such-v0"):
        runs = make_curves("bc", dataset, final=50, seeds=2, points=2)
        assert len(draw(runs).figure.axes[0].get_lines()) == 1


def test_the_data_written_are_the_points_drawn(tmp_path: Path) -> None:
    runs = make_curves("iql", "=a", final=80, seeds=4, points=5)
    drawn = draw(runs)
    write(drawn, tmp_path / "curves.png")
    with (tmp_path / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    line = drawn.figure.axes[0].get_lines()[0]
    assert [float(row["step"]) for row in rows] == list(line.get_xdata())
    assert [float(row["mean"]) for row in rows] == list(line.get_ydata())
    assert {row["dataset"] for row in rows} == {"'=a"}  # no formula
    assert all(float(row["low"]) < float(row["mean"]) < float(row["high"]) for row in rows[1:])


def test_one_seed_has_a_line_and_no_band() -> None:
    axes = draw(make_curves("iql", "a", final=80, seeds=1, points=4)).figure.axes[0]
    assert np.isfinite(axes.get_lines()[0].get_ydata()).all()
    assert not any(np.isfinite(path.vertices).all() for band in axes.collections for path in band.get_paths())


def test_a_single_evaluation_is_a_point_and_a_bar(tmp_path: Path) -> None:
    runs = make_curves("bc", "maze", final=50, seeds=3, points=1)
    runs = [record.model_copy(update={"evaluations": record.evaluations[-1:]}) for record in runs]
    (axes,) = draw(runs, data=False).figure.axes
    (line,) = axes.lines
    assert line.get_marker() == style_of("bc").marker
    (bar,) = axes.collections[1].get_segments()
    assert bar[:, 1].tolist() == pytest.approx(student_interval([one.final_score for one in runs]))


def test_shared_steps_alone_are_drawn() -> None:
    runs = [
        make_record(seed=0, evaluations=[make_evaluation(step, [-700.0]) for step in (0, 250, 500, 1000)]),
        make_record(seed=1, evaluations=[make_evaluation(step, [-500.0]) for step in (0, 500, 1000)]),
    ]
    drawn = draw(runs)
    assert list(drawn.figure.axes[0].get_lines()[0].get_xdata()) == [0, 500, 1000]
    assert drawn.notes == (
        "left out, because not every seed was evaluated there: 1 step of bc on offbench/pendulum/mixed-v0",
    )
    apart = [make_record(seed=i, evaluations=[make_evaluation(step, [-700.0])]) for i, step in enumerate((500, 1000))]
    with pytest.raises(OffbenchError, match=r"the seeds 0, 1 of bc on .* never evaluated at the same step"):
        draw(apart)


def test_png_and_pdf_are_written_and_the_same_each_time(tmp_path: Path) -> None:
    style = dict(mpl.rcParams)
    first = write_curves(records(), tmp_path / "one" / "curves.png")
    second = write_curves(list(reversed(records())), tmp_path / "two" / "curves")
    assert [path.name for path in first] == [path.name for path in second] == ["curves.png", "curves.pdf", "curves.csv"]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
    assert first[0].read_bytes().startswith(b"\x89PNG")
    pdf = first[1].read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"Date" not in pdf
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["curves.csv", "curves.pdf", "curves.png"]
    assert dict(mpl.rcParams) == style
    with Image.open(first[0]) as picture:
        assert picture.width == 1350  # 6.75 inches, the width of a page
        assert picture.height > 400


def test_other_kinds_of_picture_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OffbenchError, match=r"not \.gif; name .*curves\.png"):
        write_curves(records(), tmp_path / "curves.gif")


def test_names_are_no_mathematics_and_one_line(tmp_path: Path) -> None:
    runs = [*make_curves("a$\nb", "x$_{y", final=80, seeds=2, points=2), *make_curves("c", "x$_{y", final=80, seeds=2)]
    assert [path.exists() for path in write_curves(runs, tmp_path / "odd.png")] == [True, True, True]
