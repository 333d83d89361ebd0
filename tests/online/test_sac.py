import torch

from offbench.algorithms.base import Sizes
from offbench.data.transitions import Batch
from offbench.nn.noise import standard_normal
from offbench.online.sac import SAC, SACConfig

SIZES, BATCH = Sizes(3, 2), 64


def learner(seeds=(0, 1), **config) -> SAC:
    return SAC(SACConfig(hidden=(16, 16), batch_size=BATCH, **config), SIZES, seeds, 1, dtype=torch.float64)


def batch(terminal: float = 0.0, seeds: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(seeds, BATCH, *shape, generator=generator, dtype=torch.float64)

    noise = {"action": draw(2), "next_action": draw(2)}
    return Batch(draw(3), draw(2).tanh(), draw(), draw(3), torch.full((seeds, BATCH), terminal).double(), noise)


def test_at_a_termination_the_target_is_the_reward():
    sac, b = learner(), batch(terminal=1.0)
    q = sac.critic(sac.networks["critic"], torch.cat([b.observations, b.actions], -1))[..., 0]
    expected = ((q - b.rewards[:, None]) ** 2).mean(-1).sum(1)
    torch.testing.assert_close(sac.losses(sac.networks, b)["critic_loss"], expected)


def test_the_target_holds_the_entropy_of_the_next_action():
    sac, b = learner(discount=0.5), batch()
    sac.networks["temperature"]["log"].fill_(torch.log(torch.tensor(0.3)).item())
    a, log_prob = sac.actor.sample(sac.networks["actor"], b.next_observations, b.noise["next_action"])
    q_next = sac.critic(sac.networks["target_critic"], torch.cat([b.next_observations, a], -1))[..., 0]
    y = b.rewards + 0.5 * (torch.minimum(q_next[:, 0], q_next[:, 1]) - 0.3 * log_prob)
    q = sac.critic(sac.networks["critic"], torch.cat([b.observations, b.actions], -1))[..., 0]
    expected = ((q - y[:, None]) ** 2).mean(-1).sum(1)
    torch.testing.assert_close(sac.losses(sac.networks, b)["critic_loss"], expected)


def test_the_temperature_rises_where_the_policy_is_too_narrow_and_falls_where_it_is_wide():
    for log_std, rises in ((-4.0, True), (0.0, False)):
        sac = learner()
        for name, value in sac.networks["actor"].items():
            value.zero_()
            if name == "layer2.bias":
                value[..., 2:] = log_std
        sac.update(batch())
        assert bool((sac.networks["temperature"]["log"] > 0).all()) is rises


def test_no_loss_moves_the_networks_of_another():
    sac, b = learner(), batch()
    for loss, own in (("critic_loss", "critic"), ("actor_loss", "actor"), ("temperature_loss", "temperature")):

        def value(networks, loss=loss):
            return sac.losses(sac.networks | networks, b)[loss].sum()

        trained = {name: sac.networks[name] for name in ("critic", "actor", "temperature")}
        gradients = torch.func.grad(value)(trained)
        moved = {name for name in gradients if any(part.abs().max() > 0 for part in gradients[name].values())}
        assert moved == {own}


def test_a_seed_trains_alone_as_in_a_group():
    together, alone = learner((0, 1)), learner((1,))
    data = batch()
    for _ in range(20):
        for sac, part in ((together, data), (alone, Batch(*(x[1:] for x in data[:5])))):
            noise = {
                name: standard_normal(sac.keys, sac.count, name, shape, torch.float64)
                for name, shape in sac.noise().items()
            }
            sac.update(part._replace(noise=noise))
            sac.count.add_(1)
    for name, value in alone.state().items():
        if value.dim():
            torch.testing.assert_close(value, together.state()[name][1:], rtol=1e-8, atol=1e-10)
