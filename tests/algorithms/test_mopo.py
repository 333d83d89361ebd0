"""MOPO and the base without pessimism: what is imagined, what is subtracted, what is bootstrapped."""

import math
import os
import signal
import time

import pytest
import torch

import offbench
from offbench.algorithms.base import Sizes
from offbench.algorithms.mopo import MOPO, MOPOConfig
from offbench.conformance.toys import toy
from offbench.data.transitions import Batch, Transitions
from offbench.dynamics.network import Prediction
from offbench.dynamics.worlds import Outcome
from offbench.errors import OffbenchError
from offbench.nn.smoothness import adversarial_change
from offbench.training.group import Group
from offbench.training.interruption import Interrupted

SMALL = {"hidden": (16, 16), "dynamics_hidden": (8,), "rollout_count": 20, "rollout_length": 3, "rollout_every": 10,
         "batch_size": 16, "termination": "HalfCheetah"}  # fmt: skip


def mopo(seeds=(0, 1), **changes) -> MOPO:
    return MOPO(MOPOConfig(**SMALL | changes), Sizes(3, 2), seeds, 100, dtype=torch.float64)


class Sure:
    """States stay, each step earns 1, and two members disagree by what the actions say."""

    def step(self, observations, actions, moment):
        reward = torch.ones_like(observations[..., 0])
        mean = torch.cat([observations, reward.unsqueeze(-1)], -1)
        stds = torch.full_like(mean, 0.5)
        prediction = Prediction(torch.stack([mean, mean], 1), torch.stack([stds, 3 * stds], 1))
        return Outcome(observations, reward, torch.zeros_like(reward, dtype=torch.bool), prediction)


@pytest.mark.parametrize(("penalty", "expected"), [("none", 1.0), ("max_aleatoric", 1 - 2 * math.sqrt(4) * 1.5)])
def test_the_penalty_is_subtracted_before_rewards_are_kept(penalty, expected) -> None:
    algorithm = mopo(penalty=penalty, penalty_weight=2.0)
    algorithm.imagination.world = Sure()
    algorithm.before(0, Transitions(toy(), dtype=torch.float64))
    rewards = torch.split(algorithm.imagination.rows[:, :60], algorithm.imagination.parts, -1)[2]
    torch.testing.assert_close(rewards, torch.full_like(rewards, expected))


def test_a_cut_branch_bootstraps_and_a_terminated_one_does_not() -> None:
    algorithm = mopo()
    s = torch.randn(2, 16, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    a, r, ends = torch.zeros(2, 16, 2).double(), torch.zeros(2, 16).double(), torch.zeros(2, 16).double()
    ends[:, 8:] = 1
    noise = {"action": torch.zeros_like(a), "next_action": torch.zeros_like(a)}
    batch = Batch(s, a, r, s + 1, ends, noise)
    loss = algorithm.critic_loss(algorithm.networks, batch)["critic_loss"]
    q = algorithm.critic(algorithm.networks["critic"], torch.cat([s, a], -1))[..., 0]
    y = 0.99 * algorithm.next_value(batch) * (1 - ends)
    torch.testing.assert_close(loss, ((q - y.unsqueeze(1)) ** 2).mean(-1).sum(1))
    assert float(y[:, :8].abs().min()) > 0 == float(y[:, 8:].abs().max())


def batch_of(algorithm: MOPO) -> Batch:
    s, s_next = (torch.randn(2, 16, 3, generator=torch.Generator().manual_seed(i)).double() for i in (0, 1))
    a = torch.rand(2, 16, 2, generator=torch.Generator().manual_seed(2)).double() * 2 - 1
    noise = {"action": torch.zeros_like(a), "next_action": torch.zeros_like(a)}
    return Batch(s, a, s[..., 0], s_next, torch.zeros_like(s[..., 0]), noise)


def test_smoothing_adds_what_the_worst_small_step_changes() -> None:
    plain, smooth = mopo(), mopo(critic_smoothing=3.0, critic_smoothing_radius=0.05)
    smooth.networks["dynamics"]["input.std"][..., 1] = 4.0  # steps are as large as the states vary
    batch = batch_of(plain)
    base = plain.critic_loss(plain.networks, batch)["critic_loss"]
    found = smooth.critic_loss(smooth.networks, batch)["critic_loss"]
    radius = torch.tensor([0.05, 0.2, 0.05]).double().expand(2, 1, 3)
    changes = adversarial_change(smooth.critic, smooth.networks["critic"], batch.observations, batch.actions, radius)
    torch.testing.assert_close(found, base + 3 * changes.mean(-1).sum(1))
    assert float(changes.mean()) > 0


def test_bounded_layers_stay_bounded_and_those_of_the_target_too() -> None:
    algorithm = mopo(critic_norm=0.3, critic_learning_rate=0.05)
    for _ in range(5):
        algorithm.update(batch_of(algorithm))
        for network in ("critic", "target_critic"):
            norms = [torch.linalg.matrix_norm(algorithm.networks[network][f"layer{i}.weight"], 2) for i in (0, 1, 2)]
            assert max(float(each.max()) for each in norms[:2]) < 0.3 * 1.1
    assert float(norms[2].max()) > 0.35  # the last layer is free


def test_a_single_model_has_one_member_and_no_penalty_of_several() -> None:
    algorithm = mopo(dynamics_members=1)
    assert algorithm.networks["dynamics"]["layer0.weight"].shape[1] == 1
    assert algorithm.imagination.world.elites == 1
    for penalty in ("ensemble_std", "pairwise_difference", "loo_kl"):
        with pytest.raises(OffbenchError, match=f"the penalty {penalty} compares members"):
            mopo(dynamics_members=1, penalty=penalty)


def test_branches_are_rolled_out_when_it_is_time() -> None:
    algorithm = mopo()
    group = Group(algorithm, Transitions(toy(), dtype=torch.float64), MOPO.step)
    filled = []
    for update in range(21):
        group.advance(update, update + 1)
        filled.append(int(algorithm.imagination.filled[0]))
    assert filled == [60] * 10 + [120] * 10 + [180]


def test_a_run_fits_the_dynamics_once_and_one_that_died_goes_on_exactly(pendulum_file, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    settings = SMALL | {"dynamics_epochs": 2, "seeds": 2, "episodes": 2, "quiet": True, "compile": "never"}
    del settings["termination"]

    def train(folder, **more):
        arguments = {"steps": 40, "evaluate_every": 20, "checkpoint_every": 15, **settings, **more}
        return offbench.train("mopo", pendulum_file, output=tmp_path / folder, **arguments)

    whole = train("whole")
    assert whole.records[0].config["termination"] == "Pendulum"
    assert len(list((tmp_path / "cache" / "dynamics").glob("*.safetensors"))) == 2
    advance = Group.advance

    def dying(self, start, stop):
        if start >= 30:
            raise RuntimeError("power cut")
        advance(self, start, stop)

    monkeypatch.setattr(Group, "advance", dying)
    with pytest.raises(OffbenchError, match="power cut"):
        train("died")
    monkeypatch.setattr(Group, "advance", advance)
    # What was imagined before the cut lies in the checkpoint; the dynamics, too.
    monkeypatch.setattr("offbench.dynamics.store.fit", lambda *arguments: pytest.fail("fitted again"))
    for one, other in zip(whole.records, train("died", resume=True).records, strict=True):
        assert one.evaluations == other.evaluations
        assert one.losses == other.losses


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_while_dynamics_are_fitted_ends_the_run_at_once(
    number, pendulum_file, tmp_path, monkeypatch
) -> None:
    settings = SMALL | {"seeds": 1, "steps": 20, "episodes": 1, "quiet": True, "compile": "never", "workers": 1}
    settings |= {"dynamics_epochs": 1, "output": tmp_path / "run"}
    prepare, went_on = MOPO.prepare, []

    def interrupted(self, data, say):
        os.kill(os.getpid(), number)
        time.sleep(0.01)  # a signal is heard between two steps of the interpreter
        went_on.append(number)

    monkeypatch.setattr(MOPO, "prepare", interrupted)
    with pytest.raises(Interrupted, match=r"before the first update; .* --resume to go on"):
        offbench.train("mopo", pendulum_file, **settings)
    assert went_on == []
    monkeypatch.setattr(MOPO, "prepare", prepare)
    assert offbench.train("mopo", pendulum_file, **settings, resume=True).records[0].steps == 20


def test_a_task_without_a_rule_is_refused() -> None:
    with pytest.raises(OffbenchError, match="no rule says when an episode of this task terminates"):
        mopo(termination=None)
