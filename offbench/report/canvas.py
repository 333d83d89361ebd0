"""Figures at the size of print: type, widths of columns, panels in a grid that is well filled, a legend that fits.

A figure is as wide as it will be printed, so that type has the size that is said here. It is written as PNG and PDF,
the same bytes for the same numbers, and what is drawn lies beside it as CSV.
"""

from __future__ import annotations

import csv
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from offbench.basis.files import atomic
from offbench.basis.plain import plain
from offbench.errors import OffbenchError
from offbench.report.palette import Style
from offbench.report.values import safe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Size = Literal["one-column", "two-column", "page"]
# Inches: a column and the text of a conference's two-column page. A page leaves room for a caption.
WIDTHS: Mapping[Size, float] = {"one-column": 3.25, "two-column": 6.75, "page": 6.75}
PAGE_HEIGHT = 8.6
MOST_COLUMNS: Mapping[Size, int] = {"one-column": 2, "two-column": 4, "page": 3}
MOST_ON_PAGE = 6
WIDEST_PANEL = 3.4  # a lone panel is no wider than that, whatever the page has
DOTS_PER_INCH = 200

# Set like the text of a paper. These fonts come with matplotlib, so that a picture is the same on every machine.
STYLE: Mapping[str, Any] = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.color": "0.25",
    "ytick.color": "0.25",
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "axes.edgecolor": "0.3",
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "0.88",
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # TrueType, which publishers accept and editors can edit
    "svg.hashsalt": "offbench",
}
# Without dates and program versions, the same numbers give the same bytes.
METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None},
}


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure and the numbers that are drawn in it.

    Attributes:
        figure: of matplotlib.
        data: a row for each point or interval, all with the same names.
        notes: what was left out of the figure, a sentence each.
    """

    figure: Figure
    data: Sequence[Mapping[str, object]]
    notes: tuple[str, ...] = ()


@contextmanager
def print_style() -> Iterator[None]:
    """Type and lines of print, whatever else is set; matplotlib's own defaults for the rest."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)  # type: ignore[arg-type]
        yield


def check_output(path: Path) -> None:
    """Raise an OffbenchError unless figures are written under such a name."""
    if path.suffix.lower() not in ("", *METADATA):
        raise OffbenchError(f"figures are written as .png and .pdf, not {path.suffix}; name {path.with_suffix('.png')}")


def write(drawn: Drawn, path: Path) -> list[Path]:
    """Write PNG, PDF and the data as CSV, side by side and each atomically; returns the three paths.

    Args:
        drawn: the figure.
        path: name of the picture; its suffix is ``.png``, ``.pdf`` or none.

    Raises:
        OffbenchError: the suffix is another one, or the file cannot be written.
    """
    check_output(path)
    pictures = [path.with_suffix(suffix) for suffix in METADATA]
    with print_style():
        for target in pictures:
            with atomic(target) as temporary:
                kind = target.suffix
                drawn.figure.savefig(temporary, format=kind[1:], dpi=DOTS_PER_INCH, metadata=METADATA[kind])
    table = path.with_suffix(".csv")
    with atomic(table) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(drawn.data[0])
        writer.writerows([_cell(value) for value in row.values()] for row in drawn.data)
    return [*pictures, table]


def _cell(value: object) -> object:
    """Numbers in full; a text on one line, which no spreadsheet takes for a formula; nothing for None."""
    if isinstance(value, float):
        return repr(float(value))
    return safe(value) if isinstance(value, str) else value


def grid(panels: int, most_columns: int) -> tuple[int, int]:
    """Rows and columns for so many panels: few empty places and few rows, four as 2 x 2 and not as 3 + 1."""
    if panels == 4 and most_columns > 1:
        return 2, 2

    def cost(columns: int) -> tuple[int, int]:
        rows = -(-panels // columns)
        return rows * columns - panels + rows, -columns

    columns = min(range(1, min(panels, most_columns) + 1), key=cost)
    return -(-panels // columns), columns


def panels(count: int, size: Size) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels in a grid, and the panels in the order of reading.

    Args:
        count: how many.
        size: of the whole figure; on a page panels are as high as the page allows, up to square, and stand in as many
            columns as that takes.
    """
    most = MOST_COLUMNS[size]
    while size == "page" and most < MOST_ON_PAGE and _extent(*grid(count, most))[1] > PAGE_HEIGHT:
        most += 1
    rows, columns = grid(count, most)
    width, height = _extent(rows, columns, WIDTHS[size])
    if size == "page":
        height = min(PAGE_HEIGHT, rows * width / columns)
    figure = blank(width, height)
    return figure, [figure.add_subplot(rows, columns, place + 1) for place in range(count)]


def _extent(rows: int, columns: int, widest: float = WIDTHS["page"]) -> tuple[float, float]:
    """Width and height of a grid of panels, as it looks best."""
    width = min(widest, columns * WIDEST_PANEL)
    # Small panels are higher for their width, because titles and ticks take as much of them as of large ones.
    return width, rows * width / columns * (0.72 if width / columns > 2.5 else 0.85)


def blank(width: float, height: float) -> Figure:
    """An empty figure of a width and height in inches, whose parts keep clear of each other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.03)  # type: ignore[union-attr, call-arg]
    return figure


def name_axes(figure: Figure, x: str, y: str = "") -> None:
    """Name the axes that all panels share, once."""
    import matplotlib as mpl

    size = mpl.rcParams["axes.labelsize"]
    figure.supxlabel(x, fontsize=size)
    if y:
        figure.supylabel(y, fontsize=size)


def title(axes: Axes, label: str) -> None:
    """Set a panel's title, in as many lines as its width asks for."""
    figure = axes.figure
    inches = figure.get_figwidth() / axes.get_subplotspec().get_gridspec().ncols  # type: ignore[union-attr]
    letters = max(12, int((inches - 0.35) * 72 / 4.4))  # beside the ticks; of this type, 4.4 points wide on average
    axes.set_title(textwrap.fill(text(label), letters, break_on_hyphens=False), pad=4)


def text(label: str) -> str:
    """A label on one line, no part of which is set as mathematics."""
    return plain(label).replace("$", r"\$")


def legend(figure: Figure, styles: Mapping[str, Style], *, markers: bool = False, more: Sequence[Any] = ()) -> None:
    """A legend above all panels, in as many columns as its width allows.

    Args:
        figure: with all panels.
        styles: by label.
        markers: whether markers are shown with the lines.
        more: further handles, which have labels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            color=style.color,
            linestyle=style.linestyle,
            marker=style.marker if markers else "",
            label=text(label),
        )
        for label, style in styles.items()
    ]
    handles += list(more)
    canvas = FigureCanvasAgg(figure)
    for columns in range(len(handles), 0, -1):
        made = figure.legend(
            handles=handles, loc="outside upper center", ncols=columns, handlelength=2.8, columnspacing=1.4
        )
        extent = made.get_window_extent(canvas.get_renderer())  # type: ignore[no-untyped-call]
        if columns == 1 or extent.width <= figure.bbox.width:
            break
        made.remove()
    # The legend takes its height from nobody: the figure grows by it.
    figure.set_figheight(figure.get_figheight() + extent.height / figure.dpi)
