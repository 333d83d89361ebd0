"""The site: static pages of suites, entries and datasets, a pure function of the results.

The same results give the same bytes. Pages are made in a folder aside that takes the place of the old one as a whole,
so that an entry that cannot be read changes nothing. They need no server, no script and nothing from elsewhere.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offbench import __version__
from offbench.basis.plain import plain
from offbench.basis.resources import resources
from offbench.leaderboard import board_page, dataset_page, entry_page, page_text
from offbench.leaderboard.entry import LEVELS, Level
from offbench.leaderboard.results import read_results
from offbench.leaderboard.site_folder import check_replaceable, whole_folder
from offbench.leaderboard.site_model import Model, model
from offbench.leaderboard.suite import Suite, suites
from offbench.report.labels import read_labels

if TYPE_CHECKING:
    from jinja2 import Environment

ASSETS = ("style.css", "tables.js")
MARKS: dict[Level, str] = {
    "self-reported": "○",
    "re-evaluated": "◐",
    "retrained": "●",
    "retrained on hidden tasks": "◆",
}
MEANINGS: dict[Level, str] = {
    "self-reported": "The scores are what the records claim. Layout, digests and plausibility were checked at most; "
    "nothing was played again.",
    "re-evaluated": "The submitted policies were played again, from starts that were drawn after the submission, and "
    "return what was claimed. It does not show how the policies were made: the best of many tries passes.",
    "retrained": "The organiser trained the submitted code with new seeds, and it scores as claimed.",
    "retrained on hidden tasks": "The same, and on tasks whose data and starts nobody but the organiser has seen.",
}


@dataclass(frozen=True)
class Built:
    """What was written.

    Attributes:
        folder: of the site.
        pages: how many.
        entries: how many entries they show.
        without_data: datasets whose pages have no statistics.
    """

    folder: Path
    pages: int
    entries: int
    without_data: int


class Pages:
    """Writes pages and the JSON beside them below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self._templates = environment()
        self._shared = {
            "version": __version__,
            "navigation": [
                {"page": "index.html", "title": "Suites"},
                {"page": "index.html#datasets", "title": "Datasets"},
                {"page": "submit.html", "title": "How to submit"},
            ],
        }

    def write(self, page: str, template: str, context: Mapping[str, Any]) -> None:
        """Render a page; ``page`` is its place in the site."""
        root = "../" * page.count("/")
        values = {**self._shared, **context, "root": root, "here": page}
        text = self._templates.get_template(template).render(values)
        self._put(page, text)
        self.count += 1

    def write_json(self, page: str, content: Any) -> None:
        """Write what a table shows beside its page."""
        text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
        self._put(page.removesuffix(".html") + ".json", text + "\n")

    def _put(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


def environment() -> Environment:
    """The templates; whatever they print is escaped unless it was made as HTML here."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(resources("leaderboards") / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters = (page_text.shown, page_text.web_address, page_text.host, page_text.number, page_text.interval, plain)
    made.filters |= {function.__name__: function for function in (*filters, page_text.duration)}
    made.globals |= {"trust_mark": MARKS.__getitem__}
    return made


def build_site(
    results: Path,
    output: Path,
    *,
    of: Mapping[str, Suite] | None = None,
    generate: bool = False,
    cache: Path | None = None,
) -> Built:
    """Make the site of a folder of results.

    Args:
        results: ``leaderboards/results``.
        output: folder of the site, replaced as a whole if it was built here before.
        of: suites by name; those that come with offbench if None.
        generate: whether built-in datasets that the cache lacks are generated, for statistics and a picture of each.
        cache: cache folder, the usual one if None.

    Raises:
        OffbenchError: an entry cannot be read or is of no suite, or ``output`` is not to be replaced.
    """
    check_replaceable(output)
    found = model(suites() if of is None else of, read_results(results), read_labels(None))
    with whole_folder(output) as folder:
        pages = Pages(folder)
        for asset in ASSETS:
            shutil.copyfile(resources("leaderboards") / "templates" / asset, folder / asset)
        pages.write("index.html", "index.html", board_page.index(found))
        pages.write_json("index.html", board_page.index_json(found))
        pages.write("submit.html", "submit.html", _submitting(found))
        for board in found.boards:
            pages.write(board.page, "suite.html", board_page.context(found, board))
            pages.write_json(board.page, board_page.as_json(board))
            for result in [*(one.result for one in board.standings), *board.earlier]:
                page, context, content = entry_page.page(found, board, result)
                pages.write(page, "entry.html", context)
                pages.write_json(page, content)
        without = 0
        for dataset in found.datasets.values():
            context, content = dataset_page.page(dataset, folder, generate=generate, cache=cache)
            pages.write(dataset.page, "dataset.html", context)
            pages.write_json(dataset.page, content)
            without += content["statistics"] is None
    return Built(output, pages.count, len(found.results), without)


def _submitting(found: Model) -> dict[str, Any]:
    names = [board.suite.name for board in found.boards]
    return {
        "example": "starter" if "starter" in names or not names else names[0],
        "levels": [(level, MEANINGS[level]) for level in LEVELS],
    }
