"""What is tried next depends on the study and on what was found, and on nothing else."""

import sys

import numpy as np
import pytest

from offbench.errors import OffbenchError
from offbench.sweep.proposals import next_batch
from offbench.sweep.space import expanded
from offbench.sweep.study import STARTUP, Search, study
from offbench.sweep.trials import Outcome, Trial

SPACE = {
    "expectile": {"low": 0.5, "high": 0.95},
    "learning_rate": {"low": 1e-4, "high": 1e-2, "scale": "log"},
    "batch_size": {"low": 8, "high": 64, "scale": "log"},
    "hidden": [[8], [4, 4]],
}


def small(file, space=SPACE, **search):
    return study("iql", [str(file)], space, Search(**search), {})


def told(study, worth, wanted, batches=next_batch):
    """Trials with what ``worth`` says of each, as a tuning makes them."""
    trials = []
    while len(trials) < wanted:
        for method in batches(study, trials):
            trials.append(Trial(len(trials), method, Outcome(worth(method.changes))))
    return trials


def test_random_search_makes_the_draws_of_a_sweep(pendulum_file):
    made = small(pendulum_file, trials=7)
    assert next_batch(made, []) == expanded("iql", SPACE, draws=7)
    more = small(pendulum_file, trials=9)
    assert next_batch(more, [])[:7] == next_batch(made, [])
    assert next_batch(small(pendulum_file, trials=7, search_seed=1), []) != next_batch(made, [])


def test_random_search_tries_no_configuration_twice(pendulum_file):
    made = small(pendulum_file, {"expectile": [0.5, 0.7, 0.9], "batch_size": [8, 16]}, trials=6)
    assert len({method.name for method in next_batch(made, [])}) == 6


def test_tpe_proposes_the_same_whoever_asks_and_learns_from_what_it_is_told(pendulum_file):
    made = small(pendulum_file, tuner="tpe", trials=40, batch=4)

    def near(changes):
        return -abs(changes["expectile"] - 0.8) - abs(np.log10(changes["learning_rate"]) + 3)

    trials = told(made, near, 40)
    # A process that comes later, and knows the trials from a file, is told the same.
    assert [each.method for each in trials[16:20]] == next_batch(made, trials[:16])
    assert [each.method for each in trials[36:]] == next_batch(made, trials[:36])
    other = [*trials[:15], Trial(15, trials[15].method, Outcome(None, {"tiny": "failed"}))]
    assert next_batch(made, other) != next_batch(made, trials[:16])
    early, late = (np.mean([each.value for each in part]) for part in (trials[:STARTUP], trials[-STARTUP:]))
    assert late > early + 0.2
    for each in trials:
        changes = each.method.changes
        assert 0.5 <= changes["expectile"] <= 0.95
        assert isinstance(changes["batch_size"], int)
        assert 8 <= changes["batch_size"] <= 64
        assert changes["hidden"] in ((8,), (4, 4))


def test_the_last_batch_is_as_large_as_the_budget_allows(pendulum_file):
    made = small(pendulum_file, tuner="tpe", trials=6, batch=4)
    trials = told(made, lambda changes: 0.0, 6)
    assert len(trials) == 6


def test_a_missing_optuna_is_one_sentence_and_random_search_needs_none(pendulum_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(OffbenchError, match=r"needs Optuna: pip install 'offbench\[tuning\]'"):
        next_batch(small(pendulum_file, tuner="tpe"), [])
    assert len(next_batch(small(pendulum_file, trials=3), [])) == 3
