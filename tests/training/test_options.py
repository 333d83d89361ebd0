import dataclasses
import inspect
from pathlib import Path

import pytest

import offbench
from offbench.cli.train import _parse
from offbench.errors import OffbenchError
from offbench.training.options import NAMES, Options, parted


def test_train_takes_each_option_by_name_and_the_command_as_a_flag():
    parameters = inspect.signature(offbench.train).parameters
    assert list(parameters) == ["algorithm", "dataset", *NAMES, "hyperparameters"]
    defaults = {field.name: field.default for field in dataclasses.fields(Options)}
    assert {name: parameters[name].default for name in NAMES} == defaults
    options, changes = _parse(["bc", "tiny"], [])
    assert options == Options()
    assert not set(changes) & set(NAMES)


def test_the_docstring_of_train_names_every_option():
    assert all(name in offbench.train.__doc__ for name in NAMES if name != "first_seed")


@pytest.mark.parametrize(
    ("flags", "seeds"),
    [
        ([], [0, 1, 2, 3, 4]),
        (["--seeds", "2"], [0, 1]),
        (["--seeds", "2", "--first-seed", "7"], [7, 8]),
        (["--seeds", "3", "9"], [3, 9]),
    ],
)
def test_seeds_are_a_count_or_a_choice(flags, seeds):
    assert _parse(["bc", "tiny"], flags)[0].chosen_seeds == seeds


def test_keywords_are_options_or_hyperparameters():
    options, changes = parted({"seeds": [4, 2], "output": "somewhere", "expectile": 0.9, "workers": 3})
    assert (options.chosen_seeds, options.output, options.workers) == ([4, 2], Path("somewhere"), 3)
    assert changes == {"expectile": 0.9}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"workers": 0}, "workers must be at least 1, not 0"),
        ({"steps": -1}, "steps must be at least 1, not -1"),
        ({"seeds": ()}, "seeds must be different non-negative numbers and at least one"),
        ({"seeds": (1, 1)}, "seeds must be different"),
        ({"seeds": 0}, "seeds must be different non-negative numbers and at least one"),
        ({"first_seed": -1}, "seeds must be different non-negative"),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(wrong, sentence):
    with pytest.raises(OffbenchError, match=sentence):
        Options(**wrong)
