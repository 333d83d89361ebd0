"""Distances between reward functions of finite decision processes: STARC and EPIC, exactly.

STARC (Skalse et al. 2024, "STARC: A General Framework for Quantifying Differences Between Reward Functions",
https://arxiv.org/abs/2309.15257): each reward is canonicalised, scaled to norm 1, and half the norm of the difference
is taken: 0 for rewards that order all policies alike, 1 for opposite ones. (The authors' code leaves the factor 1/2
out.) Of the canonicalisations, VAL is invariant to potential shaping, to a positive factor, and to moving reward
between the states that one action may lead to; EPIC (Gleave et al. 2021, https://arxiv.org/abs/2006.13900) to the first
two alone.

Rewards are (states, actions, next states), transitions are probabilities of the same shape. What is known by samples
alone is in `offbench.labelling.sampled_rewards`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from offbench.basis.shapes import Array
from offbench.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    from jaxtyping import Float, Float64

Canonicalisation = Literal["val", "value-potential", "epic", "minimal", "none"]
Norm = Literal[1, 2, "max"]

_NOTHING = 1e-12  # of the norm before canonicalisation, below which what is left is rounding


def starc(
    one: Array,
    two: Array,
    transitions: Array,
    discount: float,
    canonicalisation: Canonicalisation = "val",
    norm: Norm = 2,
) -> float:
    """The distance of two rewards, in [0, 1].

    Args:
        one, two: the rewards, (states, actions, states).
        transitions: probabilities of next states, (states, actions, states).
        discount: in [0, 1).
        canonicalisation: "val" for STARC as its authors recommend it; "epic" for EPIC; "none" compares rewards as they
            are but for their scale.
        norm: of vectors over states and actions (and next states, except for "val"): sum of magnitudes, Euclidean, or
            largest magnitude.

    Raises:
        DataError: shapes that differ, or probabilities or a discount that are none.
    """
    return distance(
        canonical(one, transitions, discount, canonicalisation),
        canonical(two, transitions, discount, canonicalisation),
        norm,
        (_norm(np.asarray(one), norm), _norm(np.asarray(two), norm)),
    )


def canonical(
    reward: Array,
    transitions: Array,
    discount: float,
    canonicalisation: Canonicalisation = "val",
) -> Float64[Array, "states actions *states"]:
    """What stands for all rewards that differ by a potential: (states, actions) for "val", else with next states.

    V is the value under uniform actions.

    - ``val``: c(s, a) = E_s'[R(s, a, s') + γ V(s') - V(s)].
    - ``value-potential``: the same without the expectation.
    - ``epic``: c(s, a, s') = R(s, a, s') + E[γ R(s', A, S') - R(s, A, S') - γ R(S, A, S')], all of S, A and S' uniform.
    - ``minimal``: R(s, a, s') + γ φ(s') - φ(s) with the φ that makes its Euclidean norm least.

    Raises:
        DataError, UnknownNameError: see `starc`.
    """
    if canonicalisation not in get_args(Canonicalisation):
        raise UnknownNameError("canonicalisation of rewards", canonicalisation, get_args(Canonicalisation))
    _check(reward, transitions, discount)
    reward, transitions = np.asarray(reward, np.float64), np.asarray(transitions, np.float64)
    if canonicalisation == "none":
        return reward
    if canonicalisation == "epic":
        uniform = reward.mean((1, 2))  # E[R(s, A, S')]
        return _shaped(reward, uniform, discount) - discount * float(uniform.mean())
    if canonicalisation == "minimal":
        return _shaped(reward, _least_potential(reward, discount), discount)
    shaped = _shaped(reward, value(reward, transitions, discount), discount)
    expected: Array = (transitions * shaped).sum(2)
    return expected if canonicalisation == "val" else shaped


def value(
    reward: Float64[Array, "states actions states"],
    transitions: Float64[Array, "states actions states"],
    discount: float,
) -> Float64[Array, " states"]:
    """The discounted value of each state under uniform actions."""
    step = transitions.mean(1)
    found: Array = np.linalg.solve(np.eye(len(step)) - discount * step, (transitions * reward).sum(2).mean(1))
    return found


def distance(
    one: Float[Array, "*places"],
    two: Float[Array, "*places"],
    norm: Norm = 2,
    sizes: tuple[float, float] = (0.0, 0.0),
) -> float:
    """Half the norm of the difference of two canonical rewards, each scaled to norm 1; what is 0 stays 0.

    Args:
        one, two: canonical rewards.
        norm: see `starc`.
        sizes: norms before canonicalisation, in comparison with which rounding counts as 0.
    """
    scaled = []
    for each, size in zip((one, two), sizes, strict=True):
        length = _norm(np.asarray(each, np.float64), norm)
        scaled.append(np.asarray(each, np.float64) / length if length > _NOTHING * size else np.zeros_like(each))
    return _norm(scaled[0] - scaled[1], norm) / 2


def _norm(values: Array, norm: Norm) -> float:
    flat = np.abs(values).ravel()
    if norm == "max":
        return float(flat.max(initial=0.0))
    if norm not in (1, 2):
        raise UnknownNameError("norm of rewards", str(norm), ["1", "2", "max"])
    return float((flat**norm).sum() ** (1 / norm))


def _shaped(reward: Array, potential: Array, discount: float) -> Array:
    """R(s, a, s') + γ φ(s') - φ(s)."""
    found: Array = reward + discount * potential - potential[:, None, None]
    return found


def _least_potential(reward: Array, discount: float) -> Array:
    """The φ that makes ‖R + γ φ(s') - φ(s)‖₂ least: what is summed over actions decides it."""
    states = len(reward)
    from_, to = (np.repeat(np.eye(states), states, 0), np.tile(np.eye(states), (states, 1)))
    change = discount * to - from_  # a row a pair (s, s')
    found: Array = np.linalg.lstsq(change, -reward.mean(1).ravel(), rcond=None)[0]
    return found


def _check(reward: Array, transitions: Array, discount: float) -> None:
    shape = np.shape(transitions)
    if len(shape) != 3 or shape[0] != shape[2] or np.shape(reward) != shape or 0 in shape:
        raise DataError(
            f"rewards and transitions have shapes {np.shape(reward)} and {shape}; (states, actions, states) of both "
            "would be right"
        )
    if not np.isfinite(reward).all():
        raise DataError("rewards hold NaN or infinite values")
    if not (np.min(transitions) >= 0 and np.allclose(np.sum(transitions, 2), 1)):
        raise DataError("transitions are no probabilities: they must be at least 0 and sum to 1 over next states")
    if not 0 <= discount < 1:
        raise DataError(f"the discount must lie in [0, 1), not {discount}")
