"""The dynamics study: its worlds and values, its correlations, and that its page is made of its records."""

import json

import numpy as np
import pytest
import torch

from offbench.cli.main import main
from offbench.data.scaling import Scaling
from offbench.dynamics.truth import Simulated
from offbench.dynamics.worlds import Moment, Outcome
from offbench.environments.own_tasks import chosen_task
from offbench.studies import distractors, mismatch, single_model, swing_up
from offbench.studies import dynamics as study
from offbench.studies.dynamics_page import text
from offbench.studies.swing_up import BestValue

TINY = study.Budget(2, 2, 4, 2, 4, 2, 2, 4, 2)


@pytest.fixture(scope="module")
def value() -> BestValue:
    return BestValue(0.9, angles=120, speeds=81, torques=5)


def test_the_value_is_0_upright_and_the_same_all_around(value) -> None:
    states = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 1e-9, 0.0], [-1.0, -1e-9, 0.0], [0.5, 0.0, 0.0], [0.0, 1.0, 9.0]])
    found = value(states)[0]
    assert float(found[0]) == pytest.approx(0, abs=0.1)
    assert float(found[1]) == pytest.approx(float(found[2]), abs=1e-3)
    assert float(found[3]) == pytest.approx(float(found[0]))  # off the circle, at the same angle
    assert float(found[4]) == float(value(torch.tensor([[0.0, 1.0, 8.0]]))[0, 0])
    assert float(found[1]) == float(found.min())


def test_the_value_obeys_bellmans_equation_in_the_simulator(value) -> None:
    angle, speed = torch.arange(120)[::11] * (2 * torch.pi / 120) - torch.pi, torch.linspace(-8, 8, 81)[::16]
    grid = torch.stack(torch.meshgrid(angle, speed, indexing="ij"), -1).reshape(-1, 2).double()
    states = torch.stack([grid[:, 0].cos(), grid[:, 0].sin(), grid[:, 1]], -1).unsqueeze(0)
    low = np.full(1, -2, np.float32)
    world = Simulated(chosen_task("pendulum"), Scaling(np.zeros(3), np.ones(3), low, -low))
    backups = []
    for action in (-1.0, -0.5, 0.0, 0.5, 1.0):
        actions = torch.full((1, len(grid), 1), action, dtype=torch.float64)
        outcome = world.step(states, actions, Moment(torch.tensor([0]), torch.tensor(0), "x"))
        backups.append(outcome.rewards[0] + 0.9 * value(outcome.observations[0])[0])
    torch.testing.assert_close(value(states[0])[0], torch.stack(backups).amax(0), rtol=0, atol=0.1)


class Shifted:
    def __init__(self, by: float) -> None:
        self.by = by

    def step(self, observations, actions, moment):
        ends = (moment.keys % 2 == 1).unsqueeze(1).expand(observations.shape[:2])
        return Outcome(observations + self.by, actions[..., 0], ends)


def test_worlds_lie_apart_each_with_its_own_seeds() -> None:
    world = mismatch.Apart([Shifted(1.0), Shifted(2.0)], 2)
    outcome = world.step(torch.zeros(4, 3, 2), torch.ones(4, 3, 1), Moment(torch.arange(4), torch.tensor(0), "x"))
    assert outcome.observations[:, 0, 0].tolist() == [1, 1, 2, 2]
    assert outcome.terminations[:, 0].tolist() == [False, True, False, True]
    assert outcome.prediction is None


def test_correlations_of_pairs_whose_ranks_are_known(monkeypatch) -> None:
    monkeypatch.setattr(mismatch, "REPETITIONS", 300)
    x = np.arange(1.0, 6.0)
    assert mismatch.spearman(x, np.exp(3 * x)) == pytest.approx(1)
    assert mismatch.pearson(x, np.exp(3 * x)) < 0.8
    assert mismatch.spearman(x, np.array([2.0, 1.0, 4.0, 3.0, 5.0])) == pytest.approx(1 - 6 * 4 / (5 * 24))
    assert mismatch.spearman(x, np.array([1.0, 1.0, 2.0, 2.0, 3.0])) == pytest.approx(0.9486833)  # ties share a rank
    assert np.isnan(mismatch.pearson(x, np.ones(5)))
    noisy = np.array([1.0, 3.0, 2.0, 5.0, 4.0])
    assert mismatch.closer(x, noisy, -x) == pytest.approx(1 - 0.8)
    low, high = mismatch.interval(mismatch.spearman, x, noisy)
    assert low < 0.8 < high <= 1 + 1e-9
    assert mismatch.interval(mismatch.spearman, x, noisy) == (low, high)


def test_distractors_are_wide_and_what_matters_is_known_from_the_step_before() -> None:
    view = distractors.data(4000, 0)
    before, after = view.observations[::2], view.observations[1::2]
    x, v, a = before[:, 0], before[:, 1], view.actions[:, 0]
    np.testing.assert_allclose(after[:, 0], x + 0.3 * v, atol=1e-5)
    np.testing.assert_allclose(after[:, 1], 0.9 * v + 0.3 * a - 0.4 * np.sin(2 * x), atol=1e-5)
    assert before[:, 2:].std() == pytest.approx(after[:, 2:].std(), rel=0.03)
    assert (after[:, 2:] - before[:, 2:]).std() > 2 > after[:, :2].std()


def test_the_study_runs_resumes_and_rebuilds_its_page(tmp_path, monkeypatch, capsys, pendulum_file) -> None:
    monkeypatch.setattr(swing_up, "DATASET", str(pendulum_file))
    monkeypatch.setattr(study, "BUDGETS", {"small": TINY})
    monkeypatch.setattr(distractors, "TRANSITIONS", 300)
    monkeypatch.setattr(distractors, "TESTED", 100)
    monkeypatch.setattr(mismatch, "SIZES", {"8": (8,), "64-64": (16,)})
    monkeypatch.setattr(mismatch, "STAGES", (1, 2))
    monkeypatch.setattr(swing_up, "EPISODES", 2)
    monkeypatch.setattr(mismatch, "BestValue", lambda: BestValue(0.9, 20, 11, 3))
    monkeypatch.setattr(mismatch, "REPETITIONS", 50)
    monkeypatch.setattr(single_model, "HIDDEN", (8, 8))
    arguments = ["study", "dynamics", "--output", str(tmp_path)]
    assert main(arguments) == 0
    records = {part: json.loads((tmp_path / f"{part}.json").read_text()) for part in study.PARTS}
    assert [len(row["returns"]) for row in records["mismatch"]["rows"]] == [2, 2, 2, 2]
    assert np.shape(records["mismatch"]["rows"][0]["by_step"]) == (mismatch.STEPS, 2)
    sizes = {name: records[f"single-model-{name}"]["bytes"] for name in single_model.VARIANTS}
    assert 6 < sizes["ensemble"] / sizes["single"] <= 7
    page = (tmp_path / "index.md").read_text()
    assert page == text(records)
    for part in ("| 128 | VaGraM |", "| value error (log) |", "| seven networks |", "(mismatch.png)"):
        assert part in page, part
    (tmp_path / "single-model-bounded.json").unlink()
    written = (tmp_path / "mismatch.json").stat().st_mtime_ns
    assert main([*arguments, "--page-only"]) == 0
    assert "layers bounded by" not in (tmp_path / "index.md").read_text()
    assert main(arguments) == 0
    assert (tmp_path / "mismatch.json").stat().st_mtime_ns == written
    monkeypatch.setattr(study, "BUDGETS", {"small": study.Budget(2, 2, 4, 2, 4, 2, 2, 8, 2)})
    assert main(arguments) == 2
    assert "is of another budget than small" in capsys.readouterr().err
