"""Two ways to a critic that changes slowly with the state: a penalty on adversarial steps, and bounded layers.

What a model's error is worth is at most the Lipschitz constant of the value times the distance of the model's next
states from the true ones. Zheng et al. 2023, "Is Model Ensemble Necessary? Model-based RL via a Single Model with
Lipschitz Regularized Value Function" (arXiv 2302.01244), hold that ensembles help by smoothing the value, and that a
single model does where the value is smoothed outright. The equations are as remembered: their code was not at hand.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.nn.mlp import MLP, Parameters

ITERATIONS = 10  # of the power iteration, from the same start each time, so that nothing has to be remembered
_SMALLEST = 1e-12


def adversarial_change(
    critic: MLP,
    parameters: Parameters,
    states: Float[Tensor, "seeds batch observation"],
    actions: Float[Tensor, "seeds batch action"],
    radius: Float[Tensor, "seeds 1 #observation"],
) -> Float[Tensor, "seeds members batch"]:
    """(Q(s + delta, a) - Q(s, a))^2 of each critic, delta = radius sign(dQ/ds), one step of the fast gradient sign.

    For Q = w s it is (radius |w|_1)^2. The step itself is a constant: no gradient flows through it. Source of the step:
    Goodfellow et al. 2015 (arXiv 1412.6572).
    """
    size = states.shape[-1]
    pairs = torch.cat([states, actions], -1)
    with torch.no_grad():
        _, gradients = critic.with_input_gradient(parameters, pairs, first=0)
        steps = radius.unsqueeze(1) * gradients[..., :size].sign()  # (seeds, members, batch, observation)
        moved = pairs.unsqueeze(1) + torch.nn.functional.pad(steps, (0, actions.shape[-1]))
    near, far = critic(parameters, pairs), critic(parameters, moved)  # each member has moved elsewhere
    return (far - near)[..., 0] ** 2


def spectral_norm(
    weight: Float[Tensor, "*stack inputs outputs"], iterations: int = ITERATIONS
) -> Float[Tensor, "*stack 1 1"]:
    """The largest singular value of each matrix, by power iteration: never more than it, and close where it stands out.

    Source: Miyato et al. 2018 (arXiv 1802.05957), who go on from the vectors of the update before; here each begins
    anew, so that an update remains a function of its state.
    """
    # Nothing special of a network is orthogonal to this start, as a vector of ones may be.
    v = torch.cos(torch.arange(1, weight.shape[-1] + 1, device=weight.device, dtype=weight.dtype)).unsqueeze(-1)
    for _ in range(iterations):
        v = weight.transpose(-2, -1) @ (weight @ v)
        v = v / torch.linalg.vector_norm(v, dim=-2, keepdim=True).clamp(min=_SMALLEST)
    length: Tensor = torch.linalg.vector_norm(weight @ v, dim=-2, keepdim=True)
    return length


def bound_layers(parameters: Parameters, bound: float, layers: int) -> None:
    """Scale the weights of the first ``layers`` down to a spectral norm of ``bound`` where it is more, in place.

    ReLU never stretches, so that what these layers make of two inputs is at most bound^layers as far apart. Layers
    beyond them are left as they are: the scale of Q is theirs. A mean of bounded weights, as a target network is, is
    bounded, too.
    """
    for layer in range(layers):
        weight = parameters[f"layer{layer}.weight"]
        weight.mul_(bound / spectral_norm(weight).clamp(min=bound))
