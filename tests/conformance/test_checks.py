import random
import re

import broken
import numpy as np
import pytest
import torch

from offbench.basis.compiler import compiler
from offbench.conformance.check import NotCheckedError
from offbench.conformance.checks import CHECKS
from offbench.conformance.report import findings
from offbench.conformance.subject import Subject

# What fails, and the sentence.
BROKEN = {
    "FlatActions": ("shapes", r"actions of the shape \(3, 7\) .* \(3, 7, 2\) would be right"),
    "UnreducedMetric": ("shapes", r"actor_loss in the shape \(3, 16\) for three seeds; \(3,\) would be right"),
    "ForgottenMetric": ("shapes", r"\['entropy'\], which update never gives"),
    "SamplingPolicy": ("shapes", "must not sample"),
    "BatchNormalisingPolicy": ("shapes", "act must treat each observation by itself"),
    "CannotBeBuilt": ("shapes", "it raised TypeError: no networks today"),
    "HiddenGenerator": ("determinism", r"draws from a global generator.* batch\.noise"),
    "PythonGenerator": ("determinism", "draws from a global generator"),
    "Clock": ("determinism", "no clock"),
    "OneInitialisation": ("determinism", "two seeds begin with the same parameters"),
    "MixedSeeds": ("seed grouping", "nothing may be averaged, normalised or clipped over the seed axis"),
    "UnsavedPolicy": ("save and load", "act uses something that state"),
    "UnsavedAverage": ("resume", r"something that state\(\) lacks"),
    "BootstrapsThroughTerminations": ("terminations", "it bootstraps through terminations"),
    "DiscountInNameOnly": ("terminations", "it bootstraps through terminations"),
    "TruncationsAsTerminations": ("truncations", "does not bootstrap through truncations"),
    "UnboundedExponential": ("extreme inputs", "is not finite after 50 updates"),
    "WrongSign": ("learning", "it does not learn: after 400 updates"),
    "LooksAtNumbers": ("device", r"update reads numbers on the host \(item\).*broken\.py, line \d+, in weights"),
    "LeavesTheGraph": ("compiled equals eager", "cannot be compiled as one graph"),
    "OtherwiseWhenCompiled": ("compiled equals eager", "compiled and eager updates differ by"),
    "NumpyPolicy": ("ONNX", "act cannot be written as an ONNX graph"),
    "OtherwiseWhenExported": ("ONNX", "the policy as an ONNX graph acts otherwise"),
}


DEAR = {"compiled equals eager", "ONNX"}  # seconds each: asked of what fails them, and of the sound one


def failed(found, asked=frozenset()):
    checks = [check for check in CHECKS if check.name not in DEAR or check.name in asked]
    return {one.check: one.sentence for one in findings(Subject(found, steps=400), checks) if one.outcome == "failed"}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_algorithm_fails_one_check_with_the_right_sentence(name):
    check, sentence = BROKEN[name]
    if check == "compiled equals eager" and compiler() is None:
        pytest.skip("there is no C++ compiler, so nothing is compiled")
    found = failed(getattr(broken, name), {check})
    assert list(found) == [check]
    assert re.search(sentence, found[check]), found[check]


def test_the_sound_one_passes():
    assert failed(broken.Sound, {"ONNX"}) == {}


def test_a_batch_without_terminations_is_said_to_show_nothing():
    check = next(check for check in CHECKS if check.name == "terminations")
    with pytest.raises(NotCheckedError, match="holds no terminated transition"):
        check.run(Subject(broken.BootstrapsThroughTerminations, {"batch_size": 1}))


def test_checking_leaves_the_global_generators_where_they_stood():
    before = torch.get_rng_state(), np.random.get_state()[1:3], random.getstate()
    failed(broken.HiddenGenerator)
    after = torch.get_rng_state(), np.random.get_state()[1:3], random.getstate()
    assert torch.equal(before[0], after[0])
    np.testing.assert_equal(before[1], after[1])
    assert before[2] == after[2]
