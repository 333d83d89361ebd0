import re

import learners
import pytest

from offbench.conformance.learners import CHECKS, Subject
from offbench.conformance.report import findings

# What fails, and the sentence.
BROKEN = {
    "Flat": ("shapes", r"gave actions of shape \(1,\); \(1, 2\) would be right"),
    "NoPolicy": ("shapes", r"gave ndarray; an object with act\(observations\)"),
    "ChangesTheData": ("shapes", "failed in fit with seed 0: .*read-only"),
    "Sampling": ("determinism", "gives different actions for the same observations"),
    "HiddenGenerator": ("determinism", "two fits with the same seed act differently"),
    "BatchNormalising": ("independence", "act must treat each environment by itself"),
    "Overflowing": ("extreme inputs", "gave actions that are not finite"),
    "WrongSign": ("learning", "it does not learn: with a budget of 2,000 steps"),
}


def failed(found):
    return {one.check: one.sentence for one in findings(Subject(found), CHECKS) if one.outcome == "failed"}


def test_a_sound_learner_passes():
    assert failed(learners.Ridge) == {}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_learner_fails_one_check_with_the_right_sentence(name):
    check, sentence = BROKEN[name]
    found = failed(getattr(learners, name))
    assert list(found) == [check]
    assert re.search(sentence, found[check]), found[check]
