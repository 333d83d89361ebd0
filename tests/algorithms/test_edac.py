import torch
from batches import batch, make

from offbench.algorithms.edac import EDAC
from offbench.nn.ensembles import NORM_EPSILON


def diversity(algorithm, critic, b):
    """L_ES by autograd: the mean over pairs of the cosine between the gradients of single critics, times N."""

    def total(member):
        own = {name: value[:, member : member + 1] for name, value in critic.items()}

        def q(actions):
            x = torch.cat([b.observations, actions], -1)[:, None]
            for layer in range(3):
                x = x @ own[f"layer{layer}.weight"] + own[f"layer{layer}.bias"]
                x = torch.relu(x) if layer < 2 else x
            return x.sum()

        return torch.func.grad(q)(b.actions)[0]

    members = algorithm.config.critics
    gradients = [total(member) for member in range(members)]
    units = [g / (torch.linalg.vector_norm(g, dim=-1, keepdim=True) + NORM_EPSILON) for g in gradients]
    cosines = [(units[i] * units[j]).sum(-1).mean() for i in range(members) for j in range(members) if i != j]
    return sum(cosines) / (members - 1)


def test_the_loss_adds_eta_times_the_cosine_between_the_critics_gradients_and_so_does_its_gradient():
    plain, diverse = make(EDAC, critics=4, diversity=0.0), make(EDAC, critics=4, diversity=3.0)
    b = batch(plain)

    def by_definition(critic):
        networks = plain.networks | {"critic": critic}
        return plain.critic_loss(networks, b)["critic_loss"][0] + 3.0 * diversity(plain, critic, b)

    def own(critic):
        return diverse.critic_loss(diverse.networks | {"critic": critic}, b)["critic_loss"][0]

    critic = plain.networks["critic"]
    torch.testing.assert_close(own(critic), by_definition(critic))
    gradients, expected = torch.func.grad(own)(critic), torch.func.grad(by_definition)(critic)
    for name, value in expected.items():
        torch.testing.assert_close(gradients[name], value, msg=lambda m, n=name: f"{n}: {m}")


def test_diversity_turns_the_critics_gradients_apart():
    cosines = {}
    for eta in (0.0, 10.0):
        algorithm = make(EDAC, critics=4, diversity=eta, learning_rate=3e-3)
        for update in range(100):
            algorithm.update(batch(algorithm, seed=update % 5))
        cosines[eta] = float(diversity(algorithm, algorithm.networks["critic"], batch(algorithm)))
    assert cosines[10.0] < 0 < cosines[0.0]
