"""Runs made in several processes are those of one, whatever befalls the processes."""

import os
import signal
import threading
import time

import psutil
import pytest
from small_runs import Hearing, results, small_jobs

from offbench.algorithms.method import method
from offbench.errors import OffbenchError
from offbench.sweep.job import Job
from offbench.sweep.local import RETRIES, process_count, run_here, run_processes, suitable
from offbench.sweep.running import claimed, run_sweep
from offbench.sweep.state import Sweep, standings
from offbench.training.interruption import Interrupted

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes are told by descriptor")
QUIET = {"quiet": True, "device": "cpu"}


@pytest.fixture(scope="module")
def whole(pendulum_file, tmp_path_factory):
    """The undisturbed results, made in this process."""
    todo = small_jobs(pendulum_file, tmp_path_factory.mktemp("whole"))
    hearing = Hearing()
    run_here(todo, hearing, **QUIET)
    assert hearing.of("finished") == [job.folder.name for job in todo]
    return [results(job) for job in todo]


def children():
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if "offbench.sweep.child" in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def test_runs_in_two_processes_are_those_of_one(whole, pendulum_file, tmp_path):
    todo, hearing = small_jobs(pendulum_file, tmp_path), Hearing()
    run_processes(todo, hearing, 2, **QUIET)
    assert sorted(hearing.of("finished")) == sorted(job.folder.name for job in todo)
    assert [results(job) for job in todo] == whole
    assert not children()


def learner(name, file, folder, **changes):
    found = method(f"faulty_learners:{name}")
    return Job(type(found)(found.algorithm, changes), str(file), folder / name, {"steps": 2, "seeds": 1, "episodes": 1})


@pytest.mark.parametrize("deaths", [1, RETRIES + 1])
def test_a_run_whose_process_dies_is_made_again_a_few_times(deaths, pendulum_file, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    lives = tmp_path / "lives"
    lives.write_text("\n".join("x" * deaths))
    todo = [learner("Dies", pendulum_file, tmp_path, lives=str(lives)), *small_jobs(pendulum_file, tmp_path)[:1]]
    hearing = Hearing()
    run_processes(todo, hearing, 2, **QUIET)
    assert "SIGKILL" in next(event[2] for event in hearing.events if event[0] == "lost")
    assert len(hearing.of("lost")) == min(deaths, RETRIES)
    assert hearing.of("failed") == (["Dies"] if deaths > RETRIES else [])
    assert len(hearing.of("finished")) == (1 if deaths > RETRIES else 2)
    assert lives.read_text() == ""


def test_a_run_that_fails_keeps_others_from_nothing(pendulum_file, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    todo = [learner(name, pendulum_file, tmp_path) for name in ("Fails", "Raises")]
    todo += small_jobs(pendulum_file, tmp_path)[:1]
    for make in (lambda jobs, hearing: run_processes(jobs, hearing, 2, **QUIET), run_here):
        sweep = run_sweep(tmp_path, todo, make, 2, quiet=True)
        assert set(sweep.failed) == {tmp_path / "Fails", tmp_path / "Raises"}
        assert "this one never learns" in sweep.failed[tmp_path / "Fails"]
        assert [each.kind for each in standings(Sweep.read(tmp_path))] == ["failed", "failed", "done"]


def test_an_interrupted_sweep_goes_on_where_it_was(whole, pendulum_file, tmp_path):
    todo, hearing = small_jobs(pendulum_file, tmp_path), Hearing()

    def interrupt():
        while not any(list(job.folder.glob("checkpoint-*")) for job in todo):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(Interrupted, match="the same command goes on"):
        run_processes(todo, hearing, 2, **QUIET)
    assert not children()
    run_processes([job for job in todo if not job.is_done], hearing, 2, **QUIET)
    assert [results(job) for job in todo] == whole
    assert sorted(hearing.of("finished")) == sorted(job.folder.name for job in todo)  # none was made twice


def test_a_sweep_that_is_done_makes_nothing(pendulum_file, tmp_path):
    todo = small_jobs(pendulum_file, tmp_path)[:2]
    run_sweep(tmp_path, todo, lambda jobs, hearing: run_here(jobs, hearing, **QUIET), 1, quiet=True)
    before = [path.stat().st_mtime_ns for job in todo for path in sorted(job.folder.iterdir())]

    def never(jobs, hearing):
        raise AssertionError("there is nothing to make")

    sweep = run_sweep(tmp_path, todo, never, 1, quiet=True)
    assert not sweep.failed
    assert [path.stat().st_mtime_ns for job in todo for path in sorted(job.folder.iterdir())] == before


def test_two_sweeps_in_one_folder_are_refused(pendulum_file, tmp_path):
    with claimed(tmp_path), pytest.raises(OffbenchError, match="another sweep makes the runs"):
        run_sweep(tmp_path, small_jobs(pendulum_file, tmp_path), run_here, 1, quiet=True)


def test_a_folder_that_holds_another_run_is_not_overwritten(pendulum_file, tmp_path):
    job, other = small_jobs(pendulum_file, tmp_path)[:2]
    run_here([job], Hearing(), **QUIET)
    wrong = Job(other.method, other.dataset, job.folder, other.options)
    with pytest.raises(OffbenchError, match="batch_size is 8 there and 16 is wanted"):
        run_sweep(tmp_path, [wrong], run_here, 1, quiet=True)
    assert job.is_done


def test_a_process_makes_what_it_has_compiled_before():
    def job(name, dataset):
        return Job(method(name), dataset, "")

    a, b, c, d = job("iql", "x"), job("bc", "x"), job("iql,expectile=0.5", "x"), job("iql", "y")
    assert suitable([a, b], [], []) is a
    assert suitable([a, b], [], [a]) is b  # others compile IQL now
    assert suitable([b, d, c], [a], []) is c  # the same method and data
    assert suitable([b, d], [a], []) is d  # the same method
    assert suitable([a], [b], [c]) is a


def test_processes_are_no_more_than_runs_cores_and_memory(monkeypatch):
    monkeypatch.setattr("offbench.sweep.local.usable_cores", lambda: 8)
    monkeypatch.setattr("offbench.sweep.local.free_memory", lambda: 100 * 2**30)
    assert process_count(None, 100, "cpu") == 8
    assert process_count(None, 3, "cpu") == 3
    assert process_count(20, 100, "cpu") == 20
    monkeypatch.setattr("offbench.sweep.local.free_memory", lambda: 4 * 2**30)
    assert process_count(None, 100, "cpu") == 2
    monkeypatch.setattr("offbench.sweep.local.free_memory", lambda: 0)
    assert process_count(None, 100, "cpu") == 1
