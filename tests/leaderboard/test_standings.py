from pathlib import Path

import numpy as np
import pytest
from synthetic_entries import ALL, PENDULUM, STITCH, UMAZE, make_run, make_suite, write_board, write_entry

from offbench.leaderboard.results import read_results
from offbench.leaderboard.standings import Standing, leading, standings


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Standing]:
    folder = tmp_path_factory.mktemp("results")
    write_board(folder)
    return {one.result.folder.name: one for one in standings(make_suite(), read_results(folder))}


def test_measured_entries_that_cover_all_are_ranked_by_the_interquartile_mean(board: dict[str, Standing]):
    ranked = [name for name, one in board.items() if one.rank is not None]
    assert ranked == ["iql", "td3-bc", "hostile", "bc"]
    assert [board[name].rank for name in ranked] == [1, 2, 3, 4]
    means = [board[name].overall.iqm for name in ranked]  # type: ignore[union-attr]
    assert means == sorted(means, reverse=True)
    scores = np.sort(np.concatenate([list(cell.scores.values()) for cell in board["iql"].cells.values()]))
    assert means[0] == pytest.approx(scores[2:-2].mean())  # of nine, floor(9 / 4) are left out at each end
    low, high = board["iql"].overall.interval  # type: ignore[union-attr,misc]
    assert low < means[0] < high


def test_others_stand_below_with_the_reason(board: dict[str, Standing]):
    assert {name: one.reason for name, one in board.items() if one.rank is None} == {
        "edited": "a check failed",
        "claimed": "scores are claimed, not measured",
        "partly": "covers 2 of 3 tasks",
    }
    assert list(board)[4:] == ["edited", "claimed", "partly"]


def test_another_version_of_the_suite_is_in_no_table(board: dict[str, Standing]):
    assert "older" not in board


def test_entries_are_counted_by_team_whatever_capitals_and_spaces(board: dict[str, Standing]):
    assert {name: board[name].of_team for name in ("iql", "bc", "claimed", "hostile")} == {
        "iql": 4,  # iql, td3-bc, bc by "a  TEAM", and the one of the version before
        "bc": 4,
        "claimed": 3,
        "hostile": 1,
    }


def test_a_domain_is_averaged_where_all_its_tasks_are_covered(board: dict[str, Standing]):
    one = board["iql"]
    assert one.domains["point maze"] == pytest.approx(
        (one.cells[STITCH].summary.mean + one.cells[UMAZE].summary.mean) / 2
    )
    assert "point maze" not in board["partly"].domains
    assert "pendulum" in board["partly"].domains
    assert board["partly"].overall is None


def test_the_best_of_a_column_are_the_best_ranked_one_and_those_within_its_interval(board: dict[str, Standing]):
    assert leading(list(board.values()), STITCH) == {"iql"}
    best = max(("iql", "td3-bc", "bc"), key=lambda name: board[name].cells[PENDULUM].summary.mean)
    assert best in leading(list(board.values()), PENDULUM)
    assert not {"edited", "claimed", "partly"} & leading(list(board.values()), PENDULUM)


def test_too_few_seeds_do_not_cover_a_task(tmp_path: Path):
    records = [make_run(d, "iql", s, seed) for d, s in ALL.items() for seed in range(2 if d == STITCH else 3)]
    write_entry(tmp_path, "few", ALL, records=records)
    (one,) = standings(make_suite(), read_results(tmp_path))
    assert (one.covered, one.rank, one.cells[STITCH].complete) == (2, None, False)
    assert one.cells[STITCH].summary.seeds == 2


def test_one_run_a_task_has_an_interquartile_mean_without_an_interval(tmp_path: Path):
    write_entry(tmp_path, "one", ALL, seeds=1)
    (one,) = standings(make_suite(seeds=1), read_results(tmp_path))
    assert one.rank == 1
    assert one.overall is not None
    assert one.overall.interval is None


def test_a_suite_that_counts_seconds_ranks_no_scores(tmp_path: Path):
    write_entry(tmp_path, "fast", ALL)
    tasks = [task.model_copy(update={"target": 50.0}) for task in make_suite().tasks]
    timed = make_suite(kind="time", runs=5, hardware="two cores", tasks=tuple(tasks))
    (one,) = standings(timed, read_results(tmp_path))
    assert (one.rank, one.reason) == (None, "the suite counts seconds, of which there is no table")
