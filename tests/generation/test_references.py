"""References of the tasks: from other starts than those that measured them, uniformly random actions score 0."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from offbench.environments.task import Reference, task, tasks
from offbench.generation import references
from offbench.generation.references import HIGH, LOW, OTHER_SEED, PUBLISHED, Check, check

# Neither NeoRL-2 nor, with MuJoCo 4.0, D4RL's kitchen can be simulated here.
SIMULATED = [name for name in tasks() if not name.startswith(("neorl2-", "kitchen"))]
# What they score in D4RL's frame where its constant is no return of theirs: docs/simulators.md.
ELSEWHERE = {"hopper-d4rl": 1.2, "ant-d4rl": 6.5}


def test_deviations_are_in_standard_errors_of_the_difference() -> None:
    reference = Reference(mean=10.0, policy="none", source="none")
    assert Check(17.0, 3.0, reference, 4.0).deviation == pytest.approx(1.4)
    assert Check(10.0, 0.0, reference, 0.0).deviation == 0
    assert Check(11.0, 0.0, reference, 0.0).deviation == np.inf


def test_the_command_prints_rows_of_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["references", "--check", "--episodes", "20", "pendulum", "neorl2-dmsd"])
    references.main()
    low, high, absent = capsys.readouterr().out.splitlines()
    assert low.startswith("| `pendulum` | uniformly random | -1,")
    assert "| -1,225.40 ± 8.90 |" in low
    assert high.startswith("| `pendulum` | controller | -1")
    assert absent.startswith("| `neorl2-dmsd` | not simulated: ")
    # D4RL's expert stays what scores 100, so that only random actions are measured.
    monkeypatch.setattr(sys, "argv", ["references", "--episodes", "2", "hopper-v4"])
    references.main()
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")] == ["[hopper-v4.low]"]
    monkeypatch.setattr(sys, "argv", ["references", "maze2d-umaze"])
    with pytest.raises(SystemExit, match="there is no task with measured references named 'maze2d-umaze'"):
        references.main()


def test_checks_and_measurements_share_no_start() -> None:
    assert references.FIRST_SEED + references.EPISODES < OTHER_SEED


def test_d4rls_constants_of_maze2d_are_met_from_few_starts() -> None:
    chosen = task("maze2d-umaze")
    low, high = check(chosen, LOW[0], chosen.low, 60), check(chosen, PUBLISHED["maze2d-umaze"][0], chosen.high, 60)
    assert abs(low.deviation) < 3
    assert abs(high.deviation) < 3
    assert low.mean < high.mean
    # D4RL's 100 episodes are no exact number either.
    assert 3 < low.reference_error < 8


@pytest.mark.slow
@pytest.mark.parametrize("name", SIMULATED)
def test_uniformly_random_actions_score_0(name: str) -> None:
    found = check(task(name), LOW[0], task(name).low, 100)
    if name not in ELSEWHERE:
        # Where few episodes reach a goal, a hundred that lack one seem to spread less than they do: the reference's own
        # spread counts where it is larger.
        error = max(found.error, found.reference_error * math.sqrt(task(name).low.episodes or 1) / 10)
        together = math.hypot(error, found.reference_error)
        shown = references.row(task(name), "uniformly random", found)
        assert abs(found.mean - found.reference.mean) <= 3 * together, shown
        return
    error = float(task(name).scale(found.error))
    assert float(task(name).score(found.mean)) == pytest.approx(ELSEWHERE[name], abs=3 * error + 0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*HIGH, *PUBLISHED])
def test_controllers_score_100(name: str) -> None:
    found = check(task(name), {**HIGH, **PUBLISHED}[name][0], task(name).high, 100)
    assert abs(found.deviation) <= 3, references.row(task(name), "controller", found)
