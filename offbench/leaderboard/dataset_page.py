"""The page of a dataset: its card, a rendered episode, statistics, and who scored what on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from offbench.algorithms.published import published_rows
from offbench.catalog.cards import Card, card
from offbench.environments.task import task
from offbench.errors import OffbenchError, UnknownNameError
from offbench.leaderboard.board_page import cell_json
from offbench.leaderboard.charts import histogram
from offbench.leaderboard.dataset_facts import COLUMNS, ROWS, SIZE, Facts, copy_pictures, facts
from offbench.leaderboard.entry import LEVELS
from offbench.leaderboard.published_page import dataset_rows
from offbench.leaderboard.site_model import Dataset, Scored, entry_page


def page(dataset: Dataset, site: Path, *, generate: bool, cache: Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The context of its template and the same as JSON; pictures are copied into the site.

    Args:
        dataset: of which suite whatever.
        site: folder of the site.
        generate: whether a built-in dataset is generated where the cache lacks it.
        cache: cache folder, the usual one if None.
    """
    found = _card(dataset.id)
    known = _facts(found, generate, cache)
    if known.statistics is not None:
        copy_pictures(known, site / "datasets", dataset.name)
    context = _context(dataset, found, known)
    content = {
        "id": dataset.id,
        "card": found.model_dump(mode="json", exclude={"files", "recipe"}) if found else None,
        "statistics": known.statistics.model_dump(mode="json") if known.statistics else None,
        "scores": [
            {"entry": each.result.folder.name, "suite": each.result.entry.suite, "page": entry_page(each.result)}
            | {"method": each.result.entry.method, "trust": each.result.level}
            | cell_json(each.cell)
            for each in dataset.scored
        ],
        "published": context["published"],
    }
    return context, content


def _card(name: str) -> Card | None:
    """The card of a dataset, or of what a named part (``...?actions=10%-low``) is a part of."""
    try:
        return card(name.partition("?")[0])
    except UnknownNameError:
        return None


def _facts(found: Card | None, generate: bool, cache: Path | None) -> Facts:
    if found is None:
        return Facts(None, missing="There is no card of this dataset.")
    try:
        return facts(found, cache, generate=generate)
    except OffbenchError as error:
        return Facts(None, missing=f"The data could not be read: {error}")


def _context(dataset: Dataset, found: Card | None, known: Facts) -> dict[str, Any]:
    rows = [_scored(each) for each in dataset.scored]
    groups = [
        {"title": title, "rows": [row for row in rows if row["measured"] is measured]}
        for measured, title in ((True, ""), (False, "Claimed only, or with a check that failed"))
    ]
    numbers = known.statistics
    picture = None
    if numbers is not None and numbers.picture is not None:
        picture = {"text": numbers.picture, "width": COLUMNS * SIZE[0], "height": ROWS * SIZE[1]}
    drawn = None
    if numbers is not None and numbers.counts:
        name = f"Histogram of the returns of {numbers.episodes:,} episodes"
        drawn = histogram(numbers.counts, numbers.edges, name, "return")
    return {
        "name": dataset.name,
        "id": dataset.id,
        "label": dataset.label,
        "part": "?" in dataset.id,
        "card": found,
        "task": task(found.task) if found and found.task else None,
        "statistics": numbers,
        "missing": known.missing,
        "picture": picture,
        "histogram": drawn,
        "suites": [{"title": suite.title, "page": f"suites/{suite.name}.html"} for suite in dataset.suites],
        "published": dataset_rows(published_rows(), dataset.id),
        "groups": [group for group in groups if group["rows"]],
    }


def _scored(each: Scored) -> dict[str, Any]:
    result = each.result
    return {
        "page": entry_page(result),
        "method": result.entry.method,
        "team": result.entry.team,
        "suite": result.entry.suite,
        "version": result.entry.suite_version,
        "level": result.level,
        "trust": LEVELS.index(result.level),
        "accepted": result.verification is None or result.verification.accepted,
        "measured": result.level != "self-reported",
        "cell": each.cell,
    }
