"""Fitting dynamics to what matters for a value function, and measuring them by it.

A small network that is fitted to all of the next state spends what it has on what varies most, of use or not. Value
gradients say what is of use. Source: Voelcker et al. 2022, VaGraM (arXiv 2204.01464); the inner product is the first
order of value-aware model learning (Farahmand et al. 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from offbench.data.transitions import Transitions
from offbench.errors import OffbenchError

Loss = Literal["likelihood", "value_gradient", "value_aware"]
# Values of states in the environment's own units, of one function or of several.
Values = Callable[[Float[Tensor, "rows observation"]], Float[Tensor, "functions rows"]]
ROWS = 10_000  # rows whose gradients are taken at once


def value_gradients(values: Values, view: Transitions) -> Float[Tensor, "rows functions observation"]:
    """dV_f/ds' at the true next state of each transition, in a learner's units.

    Where an episode terminated it is the gradient at the state that terminated it, as everywhere else: whether the
    model terminates there depends on where it says the state is.

    Args:
        values: of states; no state's value may depend on another's.
        view: whose next states.

    Raises:
        OffbenchError: a gradient is not finite.
    """
    mean, std = (torch.as_tensor(part, dtype=view.dtype, device=view.device) for part in _scaling(view))
    found = []
    for rows in torch.split(torch.arange(len(view), device=view.device), ROWS):
        states = view.batch(rows.unsqueeze(0)).next_observations[0].detach().requires_grad_()
        each = values(states * std + mean)
        parts = [torch.autograd.grad(own.sum(), states, retain_graph=True)[0] for own in each]
        found.append(torch.stack(parts, 1))
    gradients = torch.cat(found)
    if not bool(gradients.isfinite().all()):
        raise OffbenchError("the value function's gradient is not finite at every next state of the data")
    return gradients


def value_losses(
    means: Float[Tensor, "seeds members batch observation+1"],
    targets: Float[Tensor, "*#stack batch observation+1"],
    gradients: Float[Tensor, "*#stack batch functions observation"],
    loss: Loss,
) -> Float[Tensor, "seeds members"]:
    """The mean over the batch of what an error e = s^' - s' moves the values by, plus (r^ - r)^2.

    A stack is seeds and members, of which there may be one for all.

    "value_gradient": the mean over dimensions and functions of (dV_f/ds'_j e_j)^2, 0 at e = 0 alone where no gradient
    is 0. "value_aware": the mean over functions of (sum_j dV_f/ds'_j e_j)^2, also 0 where errors cancel.
    """
    errors = means - targets
    moved = gradients * errors[..., :-1].unsqueeze(-2)  # (seeds, members, batch, functions, observation)
    rewards = (errors[..., -1] ** 2).mean(-1)
    if loss == "value_gradient":
        return (moved**2).mean((-3, -2, -1)) + rewards
    return (moved.sum(-1) ** 2).mean((-2, -1)) + rewards


def value_error(
    values: Values, predicted: Float[Tensor, "rows observation"], true: Float[Tensor, "rows observation"]
) -> Float[Tensor, ""]:
    """The mean over rows and functions of |V(s^') - V(s')|, of states in the environment's own units."""
    with torch.no_grad():
        return (values(predicted) - values(true)).abs().mean()


def check_gradients(loss: Loss, probabilistic: bool, rows: int, gradients: Tensor | None) -> None:
    """Refuse gradients that a loss does not need, lacks, or that are of other data.

    Raises:
        OffbenchError: with what would be right.
    """
    if (loss == "likelihood") != (gradients is None):
        need = "takes no value gradients" if gradients is not None else "needs value gradients; see value_gradients"
        raise OffbenchError(f"the loss {loss} {need}")
    if loss != "likelihood" and probabilistic:
        raise OffbenchError(
            f"the loss {loss} fits means alone, so that no variance is learned; set probabilistic=False"
        )
    if gradients is not None and len(gradients) != rows:
        raise OffbenchError(f"there are value gradients of {len(gradients):,} transitions and not of all {rows:,}")


def _scaling(view: Transitions) -> tuple[object, object]:
    return view.scaling.mean, view.scaling.std
