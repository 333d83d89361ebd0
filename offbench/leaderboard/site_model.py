"""What the pages of a site are made of: suites with their standings, entries and datasets, and how they link."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from offbench.errors import OffbenchError, UnknownNameError
from offbench.leaderboard.page_text import slug
from offbench.leaderboard.results import Result
from offbench.leaderboard.standings import Cell, Standing, cells_of, standings
from offbench.leaderboard.suite import Suite
from offbench.report.labels import Labels


@dataclass(frozen=True)
class Board:
    """A suite with its entries.

    Attributes:
        suite: its present version.
        standings: entries of that version, ranked ones first.
        earlier: entries of other versions, newest first.
    """

    suite: Suite
    standings: list[Standing]
    earlier: list[Result]

    @property
    def page(self) -> str:
        """Where it stands in the site."""
        return f"suites/{self.suite.name}.html"


@dataclass(frozen=True)
class Scored:
    """A score on a dataset and the entry that has it."""

    result: Result
    cell: Cell


@dataclass(frozen=True)
class Dataset:
    """A dataset of a suite.

    Attributes:
        id: as suites name it.
        label: as tables show it.
        suites: that have it.
        scored: all entries with a score on it, best first.
    """

    id: str
    label: str
    suites: list[Suite] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)

    @property
    def page(self) -> str:
        """Where it stands in the site."""
        return f"datasets/{self.name}.html"

    @property
    def name(self) -> str:
        """Its page without folder and suffix."""
        return slug(self.id.replace("/", "--"))


@dataclass(frozen=True)
class Model:
    """All of a site.

    Attributes:
        boards: in the order of the suites.
        datasets: by id, in the order of the suites' tasks.
        results: all entries.
        labels: of datasets.
    """

    boards: list[Board]
    datasets: dict[str, Dataset]
    results: list[Result]
    labels: Labels

    def label(self, dataset: str) -> str:
        """Of a dataset, in whatever table."""
        return self.datasets[dataset].label if dataset in self.datasets else self.labels.dataset(dataset)


def entry_name(result: Result) -> str:
    """An entry's page without folder and suffix."""
    return slug(result.folder.name)


def entry_page(result: Result) -> str:
    """Where an entry's page stands in the site."""
    return f"entries/{result.entry.suite}/{entry_name(result)}.html"


def model(suites: Mapping[str, Suite], results: Sequence[Result], labels: Labels) -> Model:
    """Sort results by suite and dataset.

    Raises:
        OffbenchError: an entry is of no suite that there is, or lies in another suite's folder.
    """
    for result in results:
        _check(result, suites)
    boards = [_board(suite, results) for suite in suites.values()]
    names = dict.fromkeys(task.dataset for suite in suites.values() for task in suite.tasks)
    labelled = labels.datasets(names)
    datasets = {name: Dataset(name, labelled[name]) for name in names}
    for suite in suites.values():
        for task in suite.tasks:
            datasets[task.dataset].suites.append(suite)
    scored: dict[str, list[Scored]] = defaultdict(list)
    for result in results:
        for name, cell in cells_of(result.records, suites[result.entry.suite].seeds).items():
            scored[name].append(Scored(result, cell))
    for name, dataset in datasets.items():
        dataset.scored.extend(sorted(scored[name], key=_by_score))
    return Model(boards, datasets, list(results), labels)


def _check(result: Result, suites: Mapping[str, Suite]) -> None:
    entry = result.entry
    if entry.suite not in suites:
        raise OffbenchError(f"{result.folder}: {UnknownNameError('suite', entry.suite, suites)}")
    if result.folder.parent.name != entry.suite:
        raise OffbenchError(f"{result.folder} is an entry of the suite {entry.suite} and must lie in its folder")


def _board(suite: Suite, results: Sequence[Result]) -> Board:
    others = [r for r in results if r.entry.suite == suite.name and r.entry.suite_version != suite.version]
    others.sort(key=lambda r: (-r.entry.suite_version, r.folder.name))
    return Board(suite, standings(suite, results), others)


def _by_score(scored: Scored) -> tuple[float, str, str]:
    return -scored.cell.summary.mean, scored.result.entry.suite, scored.result.folder.name
