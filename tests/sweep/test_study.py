"""A tuning is one that can be meant, or one sentence says what is wrong."""

import pytest

from offbench.errors import OffbenchError
from offbench.selection.fqe import FQEConfig
from offbench.sweep.proposals import check_space
from offbench.sweep.space import Range
from offbench.sweep.study import Search, read_study, study

SPACE = {"expectile": {"low": 0.5, "high": 0.9}}


def small(file, space=SPACE, options=None, algorithm="iql", **search):
    return study(algorithm, [str(file)], space, Search(**search), options or {})


def test_test_seeds_begin_after_the_last_tuning_seed(pendulum_file):
    made = small(pendulum_file)
    assert (made.seeds, made.test_seeds) == ([0, 1, 2], [3, 4, 5, 6, 7])
    made = small(pendulum_file, options={"seeds": (9, 4)}, test_seeds=2)
    assert (made.seeds, made.test_seeds) == ([9, 4], [10, 11])
    made = small(pendulum_file, options={"first_seed": 10, "seeds": 2}, test_seeds=(0, 1))
    assert (made.seeds, made.test_seeds) == ([10, 11], [0, 1])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"test_seeds": (2, 3)}, "seed 2 is both a tuning seed and a test seed"),
        ({"space": {}}, "the space of iql is empty"),
        ({"space": {"expectil": [0.5, 0.6]}}, "expectile"),
        ({"space": {"batch_size": ["many", 8]}}, "must be a whole number"),
        ({"space": {"batch_size": {"low": 0.5, "high": 8.5}}}, "must be a whole number"),
        ({"trials": 0}, "trials"),
        ({"batch": 0}, "batch"),
        ({"test_seeds": 0}, "seeds must be"),
        ({"tuner": "grid"}, "random"),
        ({"select": "fqe", "objective": "auc"}, "a choice by FQE has none of"),
        (
            {"select": "fqe", "algorithm": "faulty_learners:Picky", "space": {"level": [0.1, 0.2]}},
            "policies .* are not kept",
        ),
        ({"select": "fqe", "algorithm": "dt", "space": {"context": [2, 3]}}, "remember what happened"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes, told, pendulum_file):
    with pytest.raises(OffbenchError, match=told):
        small(pendulum_file, **changes)


@pytest.mark.parametrize("tuner", ["random", "tpe"])
def test_a_space_that_holds_fewer_configurations_than_trials_is_refused(tuner, pendulum_file):
    space = {"expectile": [0.5, 0.7], "batch_size": [8, 16, 16]}
    check_space(small(pendulum_file, space, trials=4, tuner=tuner))
    with pytest.raises(OffbenchError, match="holds 4 configurations, and 5 trials were asked for"):
        check_space(small(pendulum_file, space, trials=5, tuner=tuner))
    with pytest.raises(OffbenchError, match="a single configuration, so there is nothing to choose"):
        check_space(small(pendulum_file, {"expectile": [0.5]}, trials=2, tuner=tuner))


def test_a_plan_is_read(pendulum_file, tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text(
        f'algorithm = "iql"\ndatasets = ["{pendulum_file}"]\ntrials = 6\ntuner = "tpe"\nselect = "fqe"\nbatch = 2\n'
        'seeds = [7, 8]\ntest_seeds = [0, 1]\nsteps = 50\noutput = "there"\n[space]\nhidden = [[8], [4, 4]]\n'
        'learning_rate = {low = 1e-4, high = 1e-2, scale = "log"}\n[fqe]\nupdates = 10\nhidden = [8]\n'
    )
    made = read_study(plan)
    assert made.search == Search(6, "tpe", "last", "fqe", (0, 1), 0, 2)
    assert made.fqe == FQEConfig(updates=10, hidden=(8,))
    assert made.space["learning_rate"] == Range(1e-4, 1e-2, log=True)
    assert made.written_space == {
        "hidden": [[8], [4, 4]],
        "learning_rate": {"low": 1e-4, "high": 1e-2, "scale": "log"},
    }
    assert (made.seeds, made.test_seeds, made.options["steps"], str(made.output)) == ([7, 8], [0, 1], 50, "there")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no algorithm"),
        ('algorithm = "iql"', "a list of ids or paths"),
        ('algorithm = "iql"\ndatasets = ["DATA"]\n', "is empty"),
        ('algorithm = "iql"\ndatasets = ["DATA"]\nspace = 3\n', r"a table \[space\]"),
        ('algorithm = "iql"\ndatasets = ["DATA"]\ntrails = 3\n', "trials"),
        ('algorithm = "iql"\ndatasets = ["DATA"]\n[space]\nexpectile = [0.5, 0.6]\n[fqe]\nupdate = 3\n', "updates"),
        (
            'algorithm = "iql"\ndatasets = ["DATA"]\n[space]\nexpectile = [0.5, 0.6]\n[fqe]\nupdates = 3\n',
            "takes --select",
        ),
        ('algorithm = "iql"\ndatasets = ["DATA", "DATA"]\n[space]\nexpectile = [0.5, 0.6]\n', "named twice"),
    ],
)
def test_a_plan_that_is_none_is_one_sentence_with_its_name(text, told, pendulum_file, tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text(text.replace("DATA", str(pendulum_file)))
    with pytest.raises(OffbenchError, match=rf"plan\.toml: .*{told}"):
        read_study(plan)
