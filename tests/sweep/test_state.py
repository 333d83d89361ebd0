"""What a folder says of a sweep is what was done, whoever asks."""

import json
import math

import pytest
from rich.console import Console
from small_runs import small_jobs

from offbench.algorithms.method import method
from offbench.errors import OffbenchError
from offbench.sweep.board import summary, table
from offbench.sweep.job import Job
from offbench.sweep.running import claimed
from offbench.sweep.state import FILE, Standing, Sweep, counts, is_alive, remaining, seconds_left, standings


def job(name, dataset, steps):
    return Job(method(name), dataset, "", {"steps": steps, "seeds": 2})


def test_what_a_killed_sweep_left_of_its_file_goes_with_the_next_start(tmp_path):
    Sweep(tmp_path, []).write()
    left = tmp_path / f".{FILE}.pn4s9q0z.part"
    left.write_text('{"schema_ver')
    with claimed(tmp_path):
        assert not left.exists()
    assert Sweep.read(tmp_path).jobs == []


def test_time_that_is_left_goes_by_the_nearest_runs():
    bc, short = job("bc", "x", 20), job("bc", "y", 10)
    iql, more = job("iql", "x", 20), job("iql,expectile=0.5", "y", 10)
    assert remaining([], [bc]) is None
    # BC took 0.1 s a seed and update on x: 10 updates of 2 seeds on y take 2 s.
    assert remaining([(bc, 4.0)], [short]) == pytest.approx(2.0)
    # IQL has not run yet, so all runs count; once it has, it counts alone, whatever its hyperparameters.
    assert remaining([(bc, 4.0)], [iql, more]) == pytest.approx(6.0)
    assert remaining([(bc, 4.0), (iql, 40.0)], [more]) == pytest.approx(20.0)


def test_time_that_is_left_is_shared_by_those_who_work():
    done = Standing(job("bc", "x", 20), "done", 1.0, seconds=4.0)
    half = Standing(job("bc", "x", 20), "running", 0.5)
    waiting = Standing(job("bc", "x", 40), "waiting")
    assert seconds_left([done, half, waiting], 1) == pytest.approx(2 + 8)
    assert seconds_left([done, half, waiting], 2) == pytest.approx(5)
    assert seconds_left([done, half], 8) == pytest.approx(2)  # one run has one process
    assert seconds_left([half, waiting], 2) is None
    assert counts([done, half, half]) == {"done": 1, "running": 2}
    assert summary([done, half, waiting], 2) == "3 runs: 1 done, 1 running, 1 waiting; about 5 s to go"
    assert summary([done], 2) == "1 runs: 1 done"


def test_a_sweep_is_read_as_it_was_written(pendulum_file, tmp_path):
    todo = small_jobs(pendulum_file, tmp_path)
    sweep = Sweep(tmp_path, todo, {todo[0].folder: "process 5"}, {todo[1].folder: "too hot"}, workers=3)
    with claimed(tmp_path):
        sweep.write()
        assert is_alive(tmp_path)
        read = Sweep.read(tmp_path)
        assert read == sweep
        assert [each.kind for each in standings(read)] == ["running", "failed", "waiting"]
    # Whoever made the runs is gone, so none is being made.
    assert not is_alive(tmp_path)
    assert [each.kind for each in standings(Sweep.read(tmp_path))] == ["waiting", "failed", "waiting"]


def test_a_sweep_may_be_moved(pendulum_file, tmp_path):
    (tmp_path / "old").mkdir()
    Sweep(tmp_path / "old", small_jobs(pendulum_file, tmp_path / "old")).write()
    (tmp_path / "old").rename(tmp_path / "new")
    assert all(each.folder.parent == tmp_path / "new" for each in Sweep.read(tmp_path / "new").jobs)


def test_how_far_runs_are_is_read_from_their_folders(pendulum_file, tmp_path):
    todo = small_jobs(pendulum_file, tmp_path)[:2]
    todo[0].run(quiet=True, device="cpu")
    sweep = Sweep(tmp_path, todo)
    first, second = standings(sweep)
    assert first.kind == "done"
    assert first.share == 1
    assert math.isfinite(first.score)
    assert math.isfinite(first.spread)
    assert first.seconds > 0
    assert second.kind == "waiting"
    assert math.isnan(second.score)


@pytest.mark.parametrize(
    "damage",
    [
        lambda table: table.pop("jobs"),
        lambda table: table.update(schema_version=2),
        lambda table: table["jobs"][0].pop("algorithm"),
        lambda table: table.update(jobs=5),
        lambda table: table.update(running=None),
        lambda table: table["jobs"][0].update(options=[1]),
    ],
)
def test_a_damaged_file_is_told(pendulum_file, tmp_path, damage):
    Sweep(tmp_path, small_jobs(pendulum_file, tmp_path)).write()
    path = tmp_path / "sweep.json"
    content = json.loads(path.read_text())
    damage(content)
    path.write_text(json.dumps(content))
    with pytest.raises(OffbenchError, match=r"sweep\.json is not the file of a sweep"):
        Sweep.read(tmp_path)


def test_no_sweep_and_no_json_are_told(tmp_path):
    with pytest.raises(OffbenchError, match="holds no sweep"):
        Sweep.read(tmp_path)
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(OffbenchError, match="is not the file of a sweep"):
        Sweep.read(tmp_path)


def test_a_table_of_many_runs_shows_what_is_made_and_what_failed():
    found = [Standing(job(f"bc,batch_size={n + 1}", "x", 20), "waiting") for n in range(50)]
    found[30] = Standing(found[30].job, "running", 0.25, words="process 7")
    found[40] = Standing(found[40].job, "failed", words="too [red]hot")
    found[20] = Standing(found[20].job, "done", 1.0, 51.23, 4.0, 12.0)
    console = Console(width=120, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table(found, rows=8))
    shown = console.export_text()
    assert "running 25% (process 7)" in shown
    assert "failed (too [red]hot)" in shown
    assert "51.2 ± 4.0" in shown
    assert "and 42 more" in shown
    assert len(shown.splitlines()) < 14
