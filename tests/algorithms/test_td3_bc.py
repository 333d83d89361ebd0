import pytest
import torch
from batches import batch, make, moved, q_values, shifted

from offbench.algorithms.td3_bc import TD3BC
from offbench.errors import OffbenchError


def test_the_target_is_td3s_with_clipped_noise():
    algorithm = make(TD3BC, target_noise=0.3, noise_clip=0.2)
    b = batch(algorithm)
    networks = algorithm.networks
    pi = torch.tanh(algorithm.actor.network(networks["target_actor"], b.next_observations))
    a_next = (pi + (0.3 * b.noise["target_action"]).clamp(-0.2, 0.2)).clamp(-1, 1)
    y = b.rewards[0] + 0.99 * q_values(algorithm, "target_critic", b.next_observations, a_next).min(0).values
    q1, q2 = q_values(algorithm, "critic", b.observations, b.actions)
    expected = ((q1 - y) ** 2).mean() + ((q2 - y) ** 2).mean()
    torch.testing.assert_close(algorithm.critic_loss(networks, b)["critic_loss"][0], expected)


def test_a_termination_stops_the_bootstrap():
    algorithm = make(TD3BC)
    b = batch(algorithm, terminations=1.0)
    before = algorithm.critic_loss(algorithm.networks, b)["critic_loss"]
    shifted(algorithm, "target_critic", 100.0)
    assert torch.equal(algorithm.critic_loss(algorithm.networks, b)["critic_loss"], before)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_policy_weighs_q_alike_whatever_its_scale(scale):
    algorithm = make(TD3BC)
    b = batch(algorithm)
    last = "layer2.weight", "layer2.bias"

    def gradient():
        def loss(actor):
            return algorithm.actor_loss(algorithm.networks | {"actor": actor}, b)["actor_loss"].sum()

        return torch.func.grad(loss)(algorithm.networks["actor"])["layer0.weight"]

    before = gradient()
    for name in last:
        algorithm.networks["critic"][name] *= scale  # Q, and with it lambda Q's gradient, but for lambda
    torch.testing.assert_close(gradient(), before)


def test_lambda_is_alpha_over_the_mean_absolute_q_of_the_first_critic():
    algorithm = make(TD3BC, alpha=1.7)
    b = batch(algorithm)
    pi = algorithm.act(b.observations)
    q1, _ = q_values(algorithm, "critic", b.observations, pi)
    expected = -1.7 / q1.abs().mean() * q1.mean() + ((pi - b.actions) ** 2).mean()
    torch.testing.assert_close(algorithm.actor_loss(algorithm.networks, b)["actor_loss"][0], expected)


def test_each_loss_moves_its_own_network_only():
    algorithm = make(TD3BC)
    b = batch(algorithm)
    assert moved(algorithm, algorithm.critic_loss, b) == {"critic"}
    assert moved(algorithm, algorithm.actor_loss, b) == {"actor"}


def test_policy_and_targets_move_every_second_update():
    algorithm = make(TD3BC)
    for update in range(4):
        before = {name: own["layer0.weight"].clone() for name, own in algorithm.networks.items()}
        algorithm.phase = update % algorithm.period
        algorithm.update(batch(algorithm, seed=update))
        same = {name for name, own in algorithm.networks.items() if torch.equal(own["layer0.weight"], before[name])}
        assert same == (set() if update % 2 else {"actor", "target_actor", "target_critic"})
        assert int(algorithm.optimisers["actor"].count) == (update + 1) // 2


def test_without_alpha_it_is_behaviour_cloning():
    algorithm = make(TD3BC, alpha=0.0)
    b = batch(algorithm)
    expected = ((algorithm.act(b.observations) - b.actions) ** 2).mean()
    torch.testing.assert_close(algorithm.actor_loss(algorithm.networks, b)["actor_loss"][0], expected)


def test_hyperparameters_without_meaning_are_refused():
    with pytest.raises(OffbenchError, match=r"alpha must lie in \[0, inf\], not -1"):
        TD3BC.Config(alpha=-1.0)
    with pytest.raises(OffbenchError, match=r"learning_rate must lie in \(0, 1\], not 0"):
        TD3BC.Config(learning_rate=0.0)
