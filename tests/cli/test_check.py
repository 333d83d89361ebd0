import sys
from pathlib import Path

import pytest

from offbench.cli.main import main

EXAMPLES = Path(__file__).resolve().parents[1] / "conformance"


@pytest.fixture(autouse=True)
def examples(monkeypatch):
    """The algorithms that break one rule each, as modules of the current folder."""
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(EXAMPLES))])
    for name in ("broken", "learners"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_a_sound_learner_passes(capsys):
    assert main(["check", "learners:Ridge"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[1] for line in lines[:-1]] == [
        "shapes",
        "determinism",
        "independence",
        "extreme inputs",
        "learning",
    ]
    assert lines[-1] == "learners:Ridge passes 5 checks"


def test_a_broken_one_fails_with_its_sentence_and_what_depends_on_it_is_left_out(capsys):
    assert main(["check", "learners:Sampling"]) == 2
    printed = capsys.readouterr()
    assert "gives different actions for the same observations" in printed.out
    assert "determinism must pass first" in printed.out
    *fits, last = printed.err.splitlines()
    assert fits == [f"  fitting seed {seed} with a budget of 2,000 steps" for seed in (0, 3, 3, 0)]  # as they come
    assert last == "error: learners:Sampling fails 1 of 5 checks: determinism"


def test_an_algorithm_that_cannot_be_built_fails_without_a_traceback(capsys):
    assert main(["check", "broken:CannotBeBuilt"]) == 2
    printed = capsys.readouterr()
    assert "it raised TypeError: no networks today" in printed.out
    assert printed.err == "error: broken:CannotBeBuilt fails 1 of 12 checks: shapes\n"


def test_hyperparameters_are_flags(capsys, monkeypatch):
    monkeypatch.setattr("offbench.conformance.checks.compiler", lambda: None)  # to generate code takes long
    # Actions that only differ from zero by chance cannot be learned from, which shows that the flag arrives.
    assert main(["check", "broken:Sound", "--learning-rate", "1e-12", "--steps", "300"]) == 2
    assert "fails 1 of 12 checks: learning" in capsys.readouterr().err
    assert main(["check", "broken:Sound", "--help"]) == 0
    assert "--learning-rate" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "check needs an algorithm"),
        (["--dropout", "0.1"], "check needs an algorithm"),
        (["iqk"], "nearest: iql"),
        (["pathlib:Path"], "pathlib:Path is no algorithm"),
    ],
)
def test_what_cannot_be_checked_is_refused(arguments, sentence, capsys):
    assert main(["check", *arguments]) == 2
    assert sentence in capsys.readouterr().err
