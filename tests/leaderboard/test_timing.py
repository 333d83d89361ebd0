"""Time to score: what counts as reached, what a run may find in the cache, and what its record says."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import offbench
from offbench.algorithms.method import Method, method
from offbench.cli.main import main
from offbench.data.trajectories import Provenance
from offbench.environments.task import task
from offbench.errors import OffbenchError
from offbench.leaderboard import timing
from offbench.leaderboard.suite import suite
from offbench.leaderboard.time_record import Point, TimedRun, TimeRecord, time_to
from offbench.leaderboard.timing import Timing, check_timing, time_record
from offbench.training.folder import RunFolder


def curve(*scores: float) -> list[Point]:
    return [Point(seconds=10.0 * (i + 1), step=i + 1, score=score) for i, score in enumerate(scores)]


def test_a_score_is_reached_at_the_second_of_two_evaluations_in_succession() -> None:
    assert time_to(curve(0, 50, 10, 60, 55, 0), 50) == 50.0
    assert time_to(curve(50, 50), 50) == 20.0
    assert time_to(curve(0, 99, 0, 99, 0), 50) is None
    assert time_to(curve(0, 99, 0), 50, in_succession=1) == 20.0
    assert time_to([], 50) is None


@given(st.lists(st.floats(-100, 100), max_size=12), st.floats(-100, 100), st.floats(0, 50))
def test_a_higher_score_is_never_reached_earlier(scores: list[float], target: float, more: float) -> None:
    easy, hard = time_to(curve(*scores), target), time_to(curve(*scores), target + more)
    assert hard is None or (easy is not None and easy <= hard)


def timed_bc(changes: dict[str, object] | None = None) -> Timing:
    chosen = suite("time-to-score")
    return Timing(chosen, chosen.tasks[0], Method("bc", changes or {}), 200)


def test_the_command_has_everything_that_a_run_depends_on() -> None:
    words = timed_bc({"top_fraction": 0.1, "normalise_states": True}).command(5, "run")
    assert words[:3] == ["train", "bc", "offbench/pendulum/swingup-v0"]
    for flag, value in [("seeds", "5"), ("first-seed", "5"), ("steps", "200"), ("evaluate-every", "10")]:
        assert words[words.index(f"--{flag}") + 1] == value
    assert words[-3:] == ["--top-fraction", "0.1", "--normalise-states"]
    assert timed_bc({"normalise_states": False}).command(0, "run")[-1] == "--no-normalise-states"


def test_a_run_finds_the_data_and_nothing_that_runs_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    for name in ("offbench/pendulum", "files", "compiled/x", "dynamics"):
        (own / name).mkdir(parents=True)
    monkeypatch.setenv("OFFBENCH_CACHE", str(own))
    bare = timing._bare_cache(tmp_path / "bare")
    assert sorted(path.name for path in bare.iterdir()) == ["files", "offbench"]
    assert (bare / "offbench" / "pendulum").is_dir()


def test_evaluations_are_seen_in_the_runs_folder(pendulum_file: Path, tmp_path: Path) -> None:
    data = replace(offbench.load(pendulum_file), provenance=Provenance("a", 0, "pendulum"))
    options = {"seeds": 2, "steps": 4, "evaluate_every": 2, "episodes": 2, "quiet": True}
    run = offbench.train("bc", data, output=tmp_path / "run", **options)
    watch = timing._Watch(time.perf_counter(), RunFolder(tmp_path / "run"), task("pendulum"))
    watch.look()
    watch.look()  # nothing is new
    assert [point.step for point in watch.curve] == [2, 4]
    assert watch.curve[-1].score == pytest.approx(sum(run.scores) / 2)
    assert watch.reached(-1e9) == watch.curve[1].seconds


def test_a_mean_is_given_where_every_run_reached_the_score() -> None:
    runs = [TimedRun(first_seed=i, seconds=s, curve=[], log=[]) for i, s in enumerate([10.0, 12.0, 14.0])]
    record = time_record(timed_bc(), runs)
    assert record.summary is not None
    assert record.summary.mean == pytest.approx(12.0)
    assert record.summary.interval is not None
    missed = record.model_copy(update={"runs": [*runs, TimedRun(first_seed=9, seconds=None, curve=[], log=[])]})
    assert missed.summary is None
    assert TimeRecord.model_validate_json(record.model_dump_json()) == record


class Fits:
    """Something with fit."""

    def fit(self, data: object, task: object, seed: int, budget: object) -> None: ...


def test_what_cannot_be_timed_is_told() -> None:
    with pytest.raises(OffbenchError, match="compares scores"):
        check_timing(suite("starter"), method("bc"))
    with pytest.raises(OffbenchError, match="one call of its fit"):
        check_timing(suite("time-to-score"), method(f"{__name__}:Fits"))


@pytest.mark.slow
def test_a_run_is_timed_from_the_command_on(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "leaderboards" / "suites" / "time-to-score.toml").read_text()
    path = tmp_path / "quick.toml"
    path.write_text(text.replace("time-to-score", "quick").replace("target = 80.0", "target = -1000.0"))
    dataset = "offbench/pendulum/swingup-v0"
    words = ["leaderboard", "time", "bc", "--suite", str(path), "--dataset", dataset, "--steps", "100", "--runs", "1"]
    assert main([*words, "--output", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "bc--offbench--pendulum--swingup-v0.json").read_text())
    (run,) = record["runs"]
    assert run["seconds"] == run["curve"][1]["seconds"]
    assert any("updates to make" in line["text"] for line in run["log"])
    assert run["log"][0]["seconds"] > 0.2  # Python was started
