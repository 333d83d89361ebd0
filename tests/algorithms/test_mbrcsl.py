"""MBRCSL: what is regressed, what is asked for, and that runs are the same however they are made."""

import numpy as np
import pytest
import torch
from test_asking import two_kinds

import offbench
from offbench.algorithms import registry
from offbench.algorithms.base import Sizes
from offbench.algorithms.mbrcsl import MBRCSL, MBRCSLConfig
from offbench.conformance.toys import toy
from offbench.data.transitions import Transitions
from offbench.dynamics.episodes import ConditionedBatch
from offbench.dynamics.worlds import Outcome
from offbench.environments.task import task
from offbench.errors import OffbenchError
from offbench.nn.noise import standard_normal, uniform
from offbench.training.group import Group
from offbench.training.views import completed, make_view

SMALL = {"hidden": (16, 16), "dynamics_hidden": (8,), "dynamics_epochs": 2, "diffusion_steps": 3, "behaviour_width": 8,
         "behaviour_blocks": 1, "behaviour_updates": 10, "behaviour_batch_size": 16, "rollouts_needed": 6,
         "rollout_count": 8, "batch_size": 16}  # fmt: skip
GIVEN = SMALL | {"keep_above": -1e6, "episode_limit": 5, "termination": "HalfCheetah"}


def mbrcsl(seeds=(0, 1), **changes) -> MBRCSL:
    return MBRCSL(MBRCSLConfig(**GIVEN | changes), Sizes(3, 2), seeds, 100, dtype=torch.float64)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))


def test_the_loss_and_its_decay_are_the_equations_in_numpy() -> None:
    algorithm, rng = (
        mbrcsl(seeds=(0,), return_scale=4.0, weight_decay=0.3, learning_rate=1e-3),
        np.random.default_rng(0),
    )
    s, a, g = rng.normal(size=(16, 3)), rng.uniform(-1, 1, (16, 2)), rng.normal(size=16)
    weights = {name: value[0].numpy().copy() for name, value in algorithm.networks["actor"].items()}

    def forward(w):
        x = np.concatenate([s, g[:, None] / 4], 1)
        for layer in range(3):
            x = x @ w[f"layer{layer}.weight"] + w[f"layer{layer}.bias"]
            x = np.maximum(x, 0) if layer < 2 else x
        return x

    batch = ConditionedBatch(*(torch.from_numpy(part)[None] for part in (s, a, g)))
    found = algorithm.update(batch)["actor_loss"]
    np.testing.assert_allclose(found, [((forward(weights) - a) ** 2).mean()], rtol=1e-12)
    # The first step of Adam is against the sign of gradient + 0.3 weight; here of the last layer's bias.
    slope = 2 * (forward(weights) - a).sum(0) / a.size + 0.3 * weights["layer2.bias"][0]
    moved = algorithm.networks["actor"]["layer2.bias"][0, 0].numpy() - weights["layer2.bias"][0]
    np.testing.assert_allclose(moved, -1e-3 * np.sign(slope), rtol=1e-4)


def test_each_seed_is_asked_for_its_best_rollout_less_what_was_observed() -> None:
    algorithm = mbrcsl(return_scale=2.0)
    algorithm.episodes.target.copy_(torch.tensor([10.0, 4.0]))
    states = torch.randn(1, 3, 3, dtype=torch.float64).expand(2, -1, -1)
    asked = algorithm.acting()
    asked.reset(torch.ones(2, 3, dtype=torch.bool))
    torch.testing.assert_close(asked.act(states), algorithm.act(states))
    inputs = torch.cat([states, torch.tensor([5.0, 2.0]).double().view(2, 1, 1).expand(-1, 3, -1)], -1)
    expected = algorithm.network(algorithm.networks["actor"], inputs).clamp(-1, 1)
    torch.testing.assert_close(algorithm.act(states), expected)
    rewards = torch.tensor([[1.0, 0.0, -2.0]], dtype=torch.float64).expand(2, -1)
    asked.observe(rewards)
    asked.observe(rewards)
    assert asked.memory["to_go"].tolist() == [[8.0, 10.0, 14.0], [2.0, 4.0, 8.0]]
    asked.reset(torch.tensor([[True, False, False]] * 2))
    assert asked.memory["to_go"].tolist() == [[10.0, 10.0, 14.0], [4.0, 4.0, 8.0]]
    with pytest.raises(OffbenchError, match=r"call reset\(mask\) first"):
        algorithm.acting().act(states)


def test_seeds_together_are_those_alone() -> None:
    def trained(seeds):
        algorithm, view = mbrcsl(seeds), Transitions(toy(), dtype=torch.float64)
        algorithm.prepare(view, lambda line: None)
        Group(algorithm, view, MBRCSL.step).advance(0, 5)
        return algorithm.state()

    both, alone = trained([0, 7]), trained([7])
    for name, value in alone.items():
        torch.testing.assert_close(value[0] if value.dim() else value, both[name][1] if value.dim() else both[name])
    assert both["imagination/kept"].tolist() == [6, 6]
    assert both["imagination/filled"].tolist() == [30, 30]


def test_threshold_limit_and_rule_come_from_data_and_task() -> None:
    data = two_kinds()
    config = completed(MBRCSLConfig(), data, task("pointmaze-stitch"))
    assert (config.keep_above, config.episode_limit, config.termination) == (8.0, 200, "PointMaze")
    assert completed(MBRCSLConfig(keep_above=3.0), data, None).keep_above == 3.0
    with pytest.raises(OffbenchError, match="MBRCSL needs keep_above and episode_limit"):
        MBRCSL(MBRCSLConfig(termination="PointMaze"), Sizes(2, 1), [0], 1)
    with pytest.raises(OffbenchError, match="no rule says when an episode of this task terminates"):
        mbrcsl(termination=None)
    with pytest.raises(OffbenchError, match=r"rollouts_needed must lie in \[1, "):
        mbrcsl(rollouts_needed=0)
    published = registry.configure(MBRCSL, "offbench/pointmaze/stitch-v0", {})
    assert (published.rollouts_needed, published.weight_decay, published.hidden) == (100, 0.1, (1024, 1024))


class Pushing:
    """States say nothing; each action above 0 earns 1."""

    def step(self, observations, actions, moment):
        ends = torch.zeros_like(observations[..., 0], dtype=torch.bool)
        following = standard_normal(*moment[:2], moment.name, observations.shape[1:], observations.dtype)
        return Outcome(following, (actions[..., 0] > 0).to(observations.dtype), ends)


def coin(observations, moment):
    """Push or pull, each step anew."""
    side = uniform(moment.keys, moment.update, f"{moment.name}/coin", (observations.shape[1], 1))
    return torch.where(side < 0.5, 0.6, -0.6).to(observations.dtype)


def test_episodes_above_those_of_the_data_teach_what_they_did() -> None:
    config = MBRCSLConfig(
        **GIVEN | {"episode_limit": 8, "keep_above": 5.0, "rollouts_needed": 80},
        learning_rate=1e-2, weight_decay=1e-4,
    )  # fmt: skip
    algorithm, view = MBRCSL(config, Sizes(2, 1), [0], 300), make_view(MBRCSL, config, two_kinds())
    algorithm.episodes.collect(Pushing(), coin, view, algorithm.keys, 5.0, count=200, batches=10)
    assert int(algorithm.episodes.kept) == 80
    assert algorithm.episodes.rows[0, ::8, -1].unique().tolist() == [6, 7, 8]  # what of 8 such tosses beats 5
    assert float(algorithm.episodes.target) == 8
    Group(algorithm, view, MBRCSL.step).advance(0, 300)
    states = torch.randn(1, 50, 2, generator=torch.Generator().manual_seed(0))
    assert float(algorithm.act(states).mean()) > 0.3
    assert float(algorithm.choose(states, torch.zeros(1, 50)).mean()) < -0.3


def test_a_run_that_died_goes_on_exactly_without_rolling_out_again(pendulum_file, tmp_path, monkeypatch) -> None:
    settings = SMALL | {"keep_above": -1e6, "seeds": 2, "episodes": 2, "quiet": True, "compile": "never"}

    def train(folder, **more):
        arguments = {"steps": 40, "evaluate_every": 20, "checkpoint_every": 15, **settings, **more}
        return offbench.train("mbrcsl", pendulum_file, output=tmp_path / folder, **arguments)

    whole = train("whole")
    assert whole.records[0].config["termination"] == "Pendulum"
    assert whole.records[0].config["episode_limit"] == 200
    advance = Group.advance

    def dying(self, start, stop):
        if start >= 30:
            raise RuntimeError("power cut")
        advance(self, start, stop)

    monkeypatch.setattr(Group, "advance", dying)
    with pytest.raises(OffbenchError, match="power cut"):
        train("died")
    monkeypatch.setattr(Group, "advance", advance)
    monkeypatch.setattr(MBRCSL, "prepare", lambda *arguments: pytest.fail("prepared again"))
    for one, other in zip(whole.records, train("died", resume=True).records, strict=True):
        assert one.evaluations == other.evaluations
        assert one.losses == other.losses


def test_a_run_whose_rollouts_beat_nothing_says_what_to_change(pendulum_file, tmp_path) -> None:
    with pytest.raises(OffbenchError, match=r"seed 0 has nothing to learn from: of 8 rollouts none .* than 1000, the"):
        offbench.train(
            "mbrcsl", pendulum_file, steps=4, output=tmp_path / "run", quiet=True, compile="never", episodes=2,
            **SMALL | {"keep_above": 1000.0, "rollout_batches": 1},
        )  # fmt: skip
