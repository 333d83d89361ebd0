import pytest
import torch
from batches import make, moved, q_values
from comparisons import LABELS, compared, normal

from offbench.algorithms.ipl import IPL, Steps
from offbench.errors import OffbenchError


def made(**changes) -> IPL:
    return make(IPL, size=8, **{"pairs": 4} | changes)


def constant(algorithm: IPL, network: str, outputs: list[float]) -> None:
    """Let a network give these numbers, one a member, whatever it is shown."""
    for name, value in algorithm.networks[network].items():
        value.zero_()
        if name == "layer2.bias":
            value.copy_(torch.tensor(outputs, dtype=value.dtype).view(value.shape))


def by_hand() -> Steps:
    """One pair of segments of two rewards each, the second preferred, and two transitions, of which one is an end."""
    going_on = torch.tensor([[1.0, 1.0, 1.0, 1.0, 1.0, 0.0]], dtype=torch.float64)
    labels = torch.tensor([[1.0]], dtype=torch.float64)
    return Steps(normal(1, 6, 3), normal(1, 6, 2), normal(1, 6, 3), going_on, [2, 2, 2], labels)


def test_the_implied_reward_is_q_less_the_discounted_value_of_what_follows():
    algorithm, x = made(discount=0.9, target_clipping=False), by_hand()
    constant(algorithm, "critic", [3.0, 5.0])
    constant(algorithm, "value", [2.0])
    rewards = algorithm.implied_rewards(algorithm.networks, x)[0]
    # 3 - 0.9 * 2 and 5 - 0.9 * 2; after the end nothing follows.
    expected = [[1.2, 1.2, 1.2, 1.2, 1.2, 3.0], [3.2, 3.2, 3.2, 3.2, 3.2, 5.0]]
    torch.testing.assert_close(rewards, torch.tensor(expected, dtype=torch.float64))


def test_the_value_of_what_follows_is_clipped_at_what_rewards_can_add_up_to():
    algorithm, x = made(discount=0.9, regulariser=2.0), by_hand()
    constant(algorithm, "critic", [0.0, 0.0])
    for value, clipped in ((50.0, 5.0), (-50.0, -5.0), (4.0, 4.0)):  # 1 / (2 (1 - 0.9)) = 5
        constant(algorithm, "value", [value])
        rewards = algorithm.implied_rewards(algorithm.networks, x)[0, 0]
        torch.testing.assert_close(rewards[:5], torch.full((5,), -0.9 * clipped, dtype=torch.float64))


def test_the_loss_of_q_and_its_penalty_are_those_by_hand():
    algorithm, x = made(regulariser=0.5, replay_weight=0.25, target_clipping=False, discount=0.0), by_hand()
    rewards = torch.tensor([[[1.0, 2.0, 0.5, 1.0, 3.0, 1.0], [0.0, 0.0, 2.0, 2.0, 2.0, 4.0]]], dtype=torch.float64)
    algorithm.implied_rewards = lambda networks, x: rewards
    values = algorithm.critic_losses(algorithm.networks, x)
    # The second is preferred: -log sigma(R_2 - R_1), with 1.5 - 3 in one Q and 4 - 0 in the other.
    gaps = torch.tensor([-1.5, 4.0], dtype=torch.float64)
    torch.testing.assert_close(values["preference_loss"][0], -torch.nn.functional.logsigmoid(gaps).mean())
    # Means over both Q of r^2: first (1 + 4) / 4, second (0.25 + 1 + 8) / 4, data (9 + 1 + 4 + 16) / 4.
    expected = 0.5 * (0.75 * (1.25 + 9.25 / 4) / 2 + 0.25 * 7.5)
    torch.testing.assert_close(float(values["reward_penalty"]), expected)


@pytest.mark.parametrize(("label", "sign"), [(0.0, -1.0), (1.0, 1.0)])
def test_q_learns_the_order_that_labels_say(label, sign):
    algorithm, batch = made(pairs=1, learning_rate=1e-2, regulariser=0.01), compared((label,))
    for _ in range(100):
        algorithm.update(batch)
    x = algorithm.steps(batch)
    first, second, _ = torch.split(algorithm.implied_rewards(algorithm.networks, x).mean(1), x.sizes, -1)
    assert sign * float((second - first).sum()) > 1


def test_a_tie_is_least_wrong_where_both_sums_are_equal():
    algorithm, x = made(), by_hand()._replace(labels=torch.tensor([[0.5]], dtype=torch.float64))
    losses = []
    for gap in (-1.0, 0.0, 1.0):
        rewards = torch.tensor([[0.0, 0.0, gap, 0.0, 0.0, 0.0]] * 2, dtype=torch.float64)[None]
        algorithm.implied_rewards = lambda networks, x, rewards=rewards: rewards
        losses.append(float(algorithm.critic_losses(algorithm.networks, x)["preference_loss"]))
    assert losses[1] < losses[0] == pytest.approx(losses[2])


def test_steps_are_those_of_the_segments_less_the_last_and_then_the_data():
    algorithm, batch = made(), compared(length=5, transitions=8, terminal=1.0)
    x = algorithm.steps(batch)
    assert x.sizes == [16, 16, 8]
    torch.testing.assert_close(x.s[:, :4], batch.first_observations[:, 0, :4])
    torch.testing.assert_close(x.s_next[:, :4], batch.first_observations[:, 0, 1:])
    torch.testing.assert_close(x.a[:, 16 + 4 : 16 + 8], batch.second_actions[:, 1, :4])
    torch.testing.assert_close(x.s_next[:, 32:], batch.transitions.next_observations)
    assert x.going_on[0].tolist() == [1.0] * 32 + [0.0] * 8


def test_longer_segments_are_read_from_every_place_on_each_by_itself():
    algorithm, seen = made(segment_steps=3), set()
    batch = compared(length=5)
    numbered = torch.arange(5, dtype=torch.float64).view(1, 1, 5, 1).expand(1, 4, 5, 3)
    batch = batch._replace(first_observations=numbered, second_observations=numbered)
    for update in range(20):
        algorithm.count.fill_(update)
        x = algorithm.steps(batch)
        assert x.sizes == [8, 8, 8]
        torch.testing.assert_close(x.s_next[:, :16], x.s[:, :16] + 1)
        starts = x.s[0, :16:2, 0]
        assert bool((x.s[0, 1:16:2, 0] == starts + 1).all())
        seen |= set(enumerate(starts.tolist()))
    assert seen == {(segment, start) for segment in range(8) for start in (0.0, 1.0, 2.0)}


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_value_and_policy_weigh_segments_and_data_as_the_equations_written_out(weight):
    algorithm, batch = made(replay_weight=weight, temperature=0.5), compared()
    x = algorithm.steps(batch)
    v = algorithm.value(algorithm.networks["value"], x.s)[0, :, 0]
    q = q_values(algorithm, "target_critic", x.s, x.a).amin(0)
    u = q - v
    value = torch.where(u > 0, 0.7, 0.3) * u**2
    normals = torch.distributions.Normal(algorithm.act(x.s)[0], 1.0)
    actor = -torch.exp(u / 0.5).clamp(max=100) * normals.log_prob(x.a[0]).sum(-1)
    for losses, name, each in (
        (algorithm.value_losses, "value_loss", value),
        (algorithm.actor_losses, "actor_loss", actor),
    ):
        expected = (1 - weight) * (each[:16].mean() + each[16:32].mean()) / 2 + weight * each[32:].mean()
        torch.testing.assert_close(losses(algorithm.networks, x)[name][0], expected, rtol=1e-12, atol=0)


def test_each_loss_moves_its_own_network():
    algorithm = made()
    x = algorithm.steps(compared())
    assert moved(algorithm, algorithm.value_losses, x) == {"value"}
    assert moved(algorithm, algorithm.critic_losses, x) == {"critic"}
    assert moved(algorithm, algorithm.actor_losses, x) == {"actor"}


def test_q_and_the_policy_see_the_new_value():
    algorithm, batch = made(), compared()
    other = made()
    x = other.steps(batch)
    other.descend(other.value_losses, ["value"], x)
    expected = other.critic_losses(other.networks, x)["preference_loss"]
    torch.testing.assert_close(algorithm.update(batch)["preference_loss"], expected, rtol=1e-12, atol=0)


def test_what_it_cannot_learn_from_is_said():
    assert len(LABELS) == 4
    with pytest.raises(OffbenchError, match="IPL needs segments of at least 2 steps to know a next state, not 1"):
        made().steps(compared(length=1))
    for changes, sentence in (
        ({"pairs": 9}, r"pairs must lie in \[1, 8\], not 9"),
        ({"segment_steps": 1}, r"segment_steps must lie in \[2, inf\], not 1"),
        ({"discount": 1.0}, r"discount must lie in \[0, 1\), not 1.0"),
        ({"regulariser": 0.0}, r"regulariser must lie in \(0, inf\], not 0.0"),
    ):
        with pytest.raises(OffbenchError, match=sentence):
            made(**changes)
