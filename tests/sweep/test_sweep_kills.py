"""A hundred SIGKILLs at random moments over small sweeps: every run ends equal to an undisturbed one."""

import os
import random
import subprocess
import sys
import time

import psutil
import pytest
from small_runs import Hearing, results, small_jobs

from offbench.sweep.local import RETRIES, run_here
from offbench.sweep.plan import jobs, read_plan
from offbench.sweep.state import Sweep, standings

KILLS, STEPS = 100, 400
SLOWLY = {"steps": STEPS, "checkpoint_every": 20, "evaluate_every": STEPS // 2}


def plan(dataset):
    return f"""
datasets = ["{dataset}"]
seeds = 2
steps = {STEPS}
episodes = 2
compile = "never"
checkpoint_every = 20
evaluate_every = {STEPS // 2}
[[methods]]
algorithm = "bc"
batch_size = [8, 16]
hidden = [8]
[[methods]]
algorithm = "iql"
batch_size = 8
hidden = [8]
"""


def started(path, folder):
    command = [sys.executable, "-m", "offbench", "sweep", str(path), "--processes", "2", "--quiet", "--device", "cpu"]
    return subprocess.Popen([*command, "--output", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def processes_of(sweep):
    """The sweep's process and those that it started."""
    try:
        own = psutil.Process(sweep.pid)
        return [own, *own.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_runs_of_a_sweep_that_is_killed_a_hundred_times_are_those_of_one_that_is_not(pendulum_file, tmp_path):
    (tmp_path / "plan.toml").write_text(plan(pendulum_file))
    whole = small_jobs(pendulum_file, tmp_path / "whole", **SLOWLY)
    run_here(whole, Hearing(), quiet=True, device="cpu", workers=1)
    expected = sorted(map(str, map(results, whole)))
    chance, kills, rounds, known = random.Random(0), 0, 0, set()
    while kills < KILLS:
        rounds += 1
        folder = tmp_path / f"sweep-{rounds}"
        todo = jobs(read_plan(tmp_path / "plan.toml"), folder)
        while not all(job.is_done for job in todo):
            sweep = started(tmp_path / "plan.toml", folder)
            deadline, hits = time.monotonic() + chance.uniform(0.5, 8), 0
            while sweep.poll() is None and kills < KILLS:
                time.sleep(0.01)
                known |= {process.pid for process in processes_of(sweep)}
                if time.monotonic() > deadline and (found := processes_of(sweep)):
                    # Whoever is hit: the sweep, a process of it, or a compiler that one of them asked. A run that lost
                    # more than RETRIES processes before it came further is given up, rightly: then the sweep is hit.
                    victim = chance.choice(found) if hits < RETRIES else found[0]
                    victim.kill()
                    kills, hits = kills + 1, hits + 1
                    deadline = time.monotonic() + chance.uniform(0.5, 8)
            _, said = sweep.communicate()
            assert sweep.returncode in (0, -9), said.decode()
        # All may be done where the last word of a sweep was cut short; the next start runs nothing and leaves nothing.
        assert started(tmp_path / "plan.toml", folder).wait() == 0
        assert sorted(map(str, map(results, todo))) == expected
        assert {each.kind for each in standings(Sweep.read(folder))} == {"done"}
        assert not [path for path in folder.rglob("*") if path.name.endswith(".part")]
    for _ in range(100):  # workers notice within a second that their sweep is gone
        alive = [pid for pid in known if psutil.pid_exists(pid)]
        if not alive:
            break
        time.sleep(0.1)
    assert not alive
