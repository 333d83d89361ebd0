"""The plane, its oracle, and that the study's page is made of its records."""

import json

import numpy as np
import pytest
import torch

from offbench.cli.main import main
from offbench.data.transitions import Transitions
from offbench.dynamics.worlds import Moment
from offbench.studies import edge_of_reach as study
from offbench.studies import plane
from offbench.studies.edge_page import best_return, text


def test_what_branches_reach_and_act_in() -> None:
    """Random branches never act at the edge, and some end there when they head outwards."""
    states = torch.full((1, 1, 2), plane.START)
    world, moment = plane.Plane(), Moment(torch.tensor([0]), torch.tensor(0), "x")
    for step in range(plane.LENGTH):
        assert not plane.at_the_edge(states).any(), step
        states = world.step(states, torch.ones(1, 1, 2), moment).observations
    assert plane.at_the_edge(states).all()
    assert float(states.max()) == plane.START + plane.LENGTH * plane.STRIDE


def test_the_oracle_is_the_best_policys_value() -> None:
    oracle = plane.Oracle(0.9, 12.0, steps=400)
    states = torch.tensor([[10.0, 10.0], [-2.25, 1.5], [11.75, -12.0]], dtype=torch.float64)
    goal = torch.tensor(plane.GOAL, dtype=torch.float64)
    value, current = torch.zeros(3, dtype=torch.float64), states
    for step in range(400):
        current = current + (goal - current).clamp(-1, 1)
        value += 0.9**step * plane.reward(current)
    torch.testing.assert_close(oracle(states), value)
    between = torch.tensor([[0.1, 0.2]], dtype=torch.float64)
    corners = torch.tensor([[0.0, 0.0], [0.25, 0.0], [0.0, 0.25], [0.25, 0.25]], dtype=torch.float64)
    weights = torch.tensor([0.6 * 0.2, 0.4 * 0.2, 0.6 * 0.8, 0.4 * 0.8], dtype=torch.float64)
    torch.testing.assert_close(oracle(between)[0], (weights * oracle(corners)).sum())
    # No action of a step is better than the one it takes.
    best = oracle(states)
    for action in torch.tensor([[1.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [0.5, -0.5]], dtype=torch.float64):
        following = states + action
        assert (plane.reward(following) + 0.9 * oracle(following) <= best + 2e-2).all()


def test_the_data_are_single_steps_that_are_cut_off() -> None:
    data = plane.data(50)
    assert len(Transitions(data)) == 50
    assert not data.terminations.any()
    starts = data.observations[::2]
    assert np.abs(starts).max() <= plane.START
    np.testing.assert_allclose(data.observations[1::2], starts + data.actions, atol=1e-6)


def test_the_patch_takes_the_oracles_value_at_the_edge_alone() -> None:
    budget = study.Budget(updates=2, every=1, seeds=2, branches=4)
    base, patched = (study.made(method, 2, budget) for method in ("base", "patched"))
    states = torch.zeros(2, 256, 2)
    states[:, ::2, 0] = plane.START + plane.LENGTH * plane.STRIDE
    batch = base.imagination.mixed(
        Transitions(plane.data(300)), torch.arange(512).view(2, 256) % 300, base.keys, base.count
    )._replace(
        next_observations=states, noise={"action": torch.zeros(2, 256, 2), "next_action": torch.zeros(2, 256, 2)}
    )
    ours, theirs = base.next_value(batch), patched.next_value(batch)
    assert torch.equal(ours[:, 1::2], theirs[:, 1::2])
    torch.testing.assert_close(theirs[:, ::2], patched.oracle(states[:, ::2]))


def test_the_study_runs_resumes_and_rebuilds_its_page(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(study.BUDGETS, "small", study.Budget(updates=20, every=10, seeds=2, branches=20))
    arguments = ["study", "edge-of-reach", "--output", str(tmp_path)]
    assert main(arguments) == 0
    records = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in study.METHODS}
    assert [len(record["curves"]) for record in records.values()] == [2, 2, 2]
    page = (tmp_path / "page.md").read_text()
    assert page == text(records)
    assert all(f"| {title} |" in page for title in ("base", "oracle patch", "RAVL"))
    (tmp_path / "page.md").unlink()
    (tmp_path / "ravl.json").unlink()
    written = (tmp_path / "base.json").stat().st_mtime_ns
    assert main([*arguments, "--page-only"]) == 0
    assert "RAVL" not in (tmp_path / "page.md").read_text()
    assert main(arguments) == 0
    assert (tmp_path / "base.json").stat().st_mtime_ns == written
    monkeypatch.setitem(study.BUDGETS, "small", study.Budget(updates=30, every=10, seeds=2, branches=20))
    assert main(arguments) == 2
    assert "is of 20 updates and 2 seeds, not of 30 and 2" in capsys.readouterr().err


def test_the_best_return_is_that_of_the_way_straight_to_the_hill() -> None:
    expected = []
    for start in plane.starts(1000).double().numpy():
        goal = np.array(plane.GOAL)
        way = [start + np.clip(goal - start, -step, step) for step in range(1, plane.HORIZON + 1)]
        expected.append(sum(np.exp(-((goal - at) ** 2).sum() / (2 * plane.WIDTH**2)) for at in way))
    assert best_return() == pytest.approx(np.mean(expected), rel=1e-5)
