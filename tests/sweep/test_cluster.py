"""Runs made on a Ray cluster of several nodes are those of one process, whoever is lost on the way."""

import math
import os
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from small_runs import Hearing, results, small_jobs

from offbench.errors import OffbenchError
from offbench.sweep.cluster import write_files
from offbench.sweep.local import run_here
from offbench.sweep.state import Sweep, standings

# Nodes inherit the environment of whoever starts them; Ray reads these when it is imported.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
ray = pytest.importorskip("ray", reason="the engine ray is an extra")
NAMES = [f"bc,batch_size={size}" for size in range(4, 16)]


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Two nodes of one core each, which share no cache."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    )
    made = Cluster()
    for number in range(2):
        monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / f"cache-{number}"))
        made.add_node(num_cpus=1, include_dashboard=False, object_store_memory=100 * 2**20)
    yield made.address
    ray.shutdown()
    made.shutdown()


def workers():
    """Processes that make a run now."""
    every = psutil.process_iter(["cmdline"])
    return [process for process in every if "ray::make" in " ".join(process.info["cmdline"] or [])]


@pytest.mark.slow
def test_twelve_runs_on_two_nodes_with_one_worker_killed(cluster, pendulum_file, tmp_path):
    from offbench.sweep.cluster import run_on_cluster

    expected = small_jobs(pendulum_file, tmp_path / "here", NAMES, steps=200)
    run_here(expected, Hearing(), quiet=True, device="cpu", workers=1)
    todo, hearing = small_jobs(pendulum_file, tmp_path / "there", NAMES, steps=200), Hearing()
    killed = []

    def kill():
        while len(hearing.of("finished")) < 3 or not (found := workers()):
            time.sleep(0.005)
        found[0].kill()
        killed.append(found[0].pid)

    threading.Thread(target=kill, daemon=True).start()
    run_on_cluster(todo, hearing, cluster, 1, 0)
    assert killed
    assert len(hearing.of("lost")) == 1
    assert not hearing.of("failed")
    assert Counter(hearing.of("finished")) == Counter(job.folder.name for job in todo)  # each once
    assert [results(job) for job in todo] == [results(job) for job in expected]
    assert len({event[2] for event in hearing.events if event[0] == "lost"}) == 1
    # The dataset is a file of this machine, which was sent to both nodes.
    assert all(len(list((tmp_path / f"cache-{number}" / "sent").glob("*.offbench"))) == 1 for number in range(2))


@pytest.mark.slow
def test_a_run_that_was_begun_here_goes_on_there(cluster, pendulum_file, tmp_path, monkeypatch):
    from offbench.sweep.cluster import run_on_cluster
    from offbench.training.loop import Training

    (expected,) = small_jobs(pendulum_file, tmp_path / "here", NAMES[:1])
    run_here([expected], Hearing(), quiet=True, device="cpu", workers=1)
    (job,) = small_jobs(pendulum_file, tmp_path / "there", NAMES[:1])
    with monkeypatch.context() as broken:
        broken.setattr(Training, "_finish", lambda self: (_ for _ in ()).throw(OffbenchError("the power is gone")))
        run_here([job], Hearing(), quiet=True, device="cpu", workers=1)
    assert not job.is_done
    assert job.manifest.progress.step > 0
    hearing = Hearing()
    run_on_cluster([job], hearing, cluster, 1, 0)
    assert hearing.of("finished") == [job.folder.name]
    assert results(job) == results(expected)


@pytest.mark.slow
def test_checkpoints_come_back_while_a_run_is_made_and_a_lost_one_goes_on_from_them(
    cluster, pendulum_file, tmp_path, monkeypatch
):
    from offbench.sweep import cluster as engine

    monkeypatch.setattr(engine, "SEND_EVERY", 0.05)
    options = {"steps": 4000, "checkpoint_every": 100, "evaluate_every": 500}
    (expected,) = small_jobs(pendulum_file, tmp_path / "here", NAMES[:1], **options)
    run_here([expected], Hearing(), quiet=True, device="cpu", workers=1)
    (job,) = small_jobs(pendulum_file, tmp_path / "there", NAMES[:1], **options)
    sweep = Sweep(tmp_path / "there", [job])
    killed, orders = [], []
    make = engine._Tasks.submit
    monkeypatch.setattr(engine._Tasks, "submit", lambda tasks, job: (orders.append(begun(job)), make(tasks, job)))

    class Watching(Hearing):
        def started(self, job, where):
            super().started(job, where)
            sweep.running[job.folder] = where

        def tick(self):
            (standing,) = standings(sweep)
            if standing.kind == "running" and standing.share > 0 and not killed:
                assert not math.isnan(standing.score) or standing.share < 0.125
                killed.append(standing.share)
                workers()[0].kill()

    hearing = Watching()
    engine.run_on_cluster([job], hearing, cluster, 1, 0)
    assert len(hearing.of("lost")) == 1
    assert 0 < killed[0] < 1
    assert orders[0] == 0
    assert orders[1] >= killed[0] * 4000  # from what had come, not from the beginning
    assert results(job) == results(expected)


def begun(job):
    """At which update a run stands here."""
    return 0 if job.manifest is None else job.manifest.progress.step


@pytest.mark.slow
def test_what_no_node_can_make_is_told(cluster, pendulum_file, tmp_path):
    from offbench.sweep.cluster import run_on_cluster

    todo = small_jobs(pendulum_file, tmp_path, NAMES[:1])
    with pytest.raises(OffbenchError, match="no node of the cluster has 64 cores and 0 GPUs"):
        run_on_cluster(todo, Hearing(), cluster, 64, 0)
    ray.shutdown()
    for nowhere in ("127.0.0.1:1", "ray://127.0.0.1:1", "no address:x"):
        with pytest.raises(OffbenchError, match="there is no Ray cluster at"):
            run_on_cluster(todo, Hearing(), nowhere, 1, 0)


def test_files_of_a_run_are_written_with_the_manifest_last(tmp_path, monkeypatch):
    folder, written = tmp_path / "run", []
    real = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (written.append(Path(b).name), real(a, b)))
    write_files(folder, {"manifest.json": b"1", "checkpoint-000000004.safetensors": b"x", "seed-0.json": b"y"})
    assert written[-1] == "manifest.json"
    write_files(folder, {"manifest.json": b"2", "checkpoint-000000008.safetensors": b"z"})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "manifest.json": b"2",
        "checkpoint-000000008.safetensors": b"z",
    }
    write_files(folder, {})  # nothing was begun there
    assert (folder / "manifest.json").read_bytes() == b"2"
    with pytest.raises(OffbenchError, match="a run has no file"):
        write_files(folder, {"../elsewhere": b""})
