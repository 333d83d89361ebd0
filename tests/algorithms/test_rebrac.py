import pytest
import torch
from batches import batch, make, moved, q_values

from offbench.algorithms import registry
from offbench.algorithms.rebrac import ReBRAC
from offbench.errors import OffbenchError
from offbench.training.views import make_view


def target_actions(algorithm, b):
    pi = torch.tanh(algorithm.actor.network(algorithm.networks["target_actor"], b.next_observations))
    return (pi + (0.2 * b.noise["target_action"]).clamp(-0.5, 0.5)).clamp(-1, 1)


def test_the_bootstrap_pays_for_leaving_the_next_action_of_the_data():
    algorithm = make(ReBRAC, critic_penalty=0.7, discount=0.9)
    b = batch(algorithm, next_actions=True)
    a_next = target_actions(algorithm, b)
    penalty = ((a_next - b.next_actions) ** 2).sum(-1)[0]
    y = b.rewards[0] + 0.9 * (
        q_values(algorithm, "target_critic", b.next_observations, a_next).min(0).values - 0.7 * penalty
    )
    q1, q2 = q_values(algorithm, "critic", b.observations, b.actions)
    expected = ((q1 - y) ** 2).mean() + ((q2 - y) ** 2).mean()
    torch.testing.assert_close(algorithm.critic_loss(algorithm.networks, b)["critic_loss"][0], expected)


def test_after_a_termination_neither_value_nor_penalty_counts():
    algorithm = make(ReBRAC, critic_penalty=1.0)
    b = batch(algorithm, terminations=1.0, next_actions=True)
    expected = ((q_values(algorithm, "critic", b.observations, b.actions) - b.rewards[0]) ** 2).mean(1).sum()
    torch.testing.assert_close(algorithm.critic_loss(algorithm.networks, b)["critic_loss"][0], expected)


def test_the_policy_pays_the_sum_over_dimensions_and_maximises_the_smaller_q_normalised():
    algorithm = make(ReBRAC, actor_penalty=0.3)
    b = batch(algorithm, next_actions=True)
    pi = algorithm.act(b.observations)
    q = q_values(algorithm, "critic", b.observations, pi).min(0).values
    expected = 0.3 * ((pi - b.actions) ** 2).sum(-1).mean() - q.mean() / q.abs().mean()
    torch.testing.assert_close(algorithm.actor_loss(algorithm.networks, b)["actor_loss"][0], expected)


def test_each_loss_moves_its_own_network_only():
    algorithm = make(ReBRAC)
    b = batch(algorithm, next_actions=True)
    assert moved(algorithm, algorithm.critic_loss, b) == {"critic"}
    assert moved(algorithm, algorithm.actor_loss, b) == {"actor"}


def test_targets_follow_the_policy_before_and_the_critics_after_the_first_of_two_updates():
    algorithm = make(ReBRAC, polyak=0.25)
    before = {name: own["layer0.weight"].clone() for name, own in algorithm.networks.items()}
    for network in ("target_actor", "target_critic"):
        algorithm.networks[network]["layer0.weight"] += 1.0
        before[network] += 1.0
    algorithm.phase = 0
    algorithm.update(batch(algorithm, next_actions=True))
    after = {name: own["layer0.weight"].clone() for name, own in algorithm.networks.items()}
    torch.testing.assert_close(after["target_actor"], 0.75 * before["target_actor"] + 0.25 * before["actor"])
    torch.testing.assert_close(after["target_critic"], 0.75 * before["target_critic"] + 0.25 * after["critic"])
    assert not torch.equal(after["actor"], before["actor"])
    algorithm.phase = 1
    algorithm.update(batch(algorithm, seed=1, next_actions=True))
    for network in ("actor", "target_actor", "target_critic"):
        assert torch.equal(algorithm.networks[network]["layer0.weight"], after[network])
    assert not torch.equal(algorithm.networks["critic"]["layer0.weight"], after["critic"])


def test_its_data_hold_the_next_action(toy):
    view = make_view(ReBRAC, ReBRAC.Config(), toy)
    b = view.batch(torch.arange(len(view))[None])
    lengths = toy.lengths - ~toy.terminations[toy.offsets[1:] - 1]  # the last step of a truncated episode is left out
    assert b.next_actions.shape[1] == lengths.sum()
    assert b.next_actions[0, 0].tolist() == toy.actions[1].tolist()


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("d4rl/hopper-medium-replay-v2", (0.05, 0.5, 1e-3, 1e-3, 1024, 0.99, "none")),
        ("d4rl/walker2d-random-v2", (0.01, 0.0, 1e-3, 1e-3, 1024, 0.99, "none")),
        ("d4rl/antmaze-umaze-v2", (0.003, 0.002, 3e-4, 5e-5, 256, 0.999, "times_100")),
        ("d4rl/antmaze-umaze-diverse-v2", (0.003, 0.001, 3e-4, 5e-5, 256, 0.999, "times_100")),
        ("d4rl/pen-human-v1", (0.1, 0.5, 3e-4, 3e-4, 256, 0.99, "none")),
    ],
)
def test_presets_are_those_of_the_table(dataset, expected):
    c = registry.configure(ReBRAC, dataset, {})
    penalties = c.actor_penalty, c.critic_penalty
    rest = c.learning_rate, c.critic_learning_rate, c.batch_size, c.discount, c.reward_transform
    assert penalties + rest == expected
    assert len(ReBRAC.presets) == 39


def test_hyperparameters_without_meaning_are_refused():
    with pytest.raises(OffbenchError, match=r"critic_penalty must lie in \[0, inf\], not -0.1"):
        ReBRAC.Config(critic_penalty=-0.1)
