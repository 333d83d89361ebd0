"""Whether methods learn what they should, in the sizes that are claimed; minutes each."""

import pytest
import torch

import offbench
from offbench.evaluation.statistics import summarize

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def all_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_iql_scores_90_on_the_pendulum_replay(shared, tmp_path):
    data = shared / "real" / "d3rlpy_pendulum_replay.hdf5"
    run = offbench.train("iql", data, task="pendulum", seeds=5, steps=10_000, output=tmp_path / "run", quiet=True)
    assert summarize(run.scores).mean >= 90


def test_iql_finds_the_way_that_no_episode_takes_and_bc_does_not(tmp_path):
    intervals = {}
    for algorithm in ("bc", "iql"):
        dataset, output = "offbench/pointmaze/crossing-v0", tmp_path / algorithm
        run = offbench.train(algorithm, dataset, seeds=5, steps=4000, output=output, quiet=True)
        intervals[algorithm] = summarize(run.scores).interval
    assert intervals["iql"][0] > intervals["bc"][1]
