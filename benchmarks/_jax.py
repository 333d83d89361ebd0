"""IQL as its users write it in JAX: trees of parameters, one jitted scan of updates, several seeds by vmap.

That is how JAX-CORL and Unifloral go about it; libraries of layers and optimisers, which cost nothing once jitted, are
left out. What it computes is what ours does in the default configuration, in float32. Rows are drawn within the scan.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from offbench.algorithms.iql import MAX_WEIGHT

# On a GPU the default is TensorFloat-32, where torch's is float32.
jax.config.update("jax_default_matmul_precision", "float32")

Layers = list[tuple[jax.Array, jax.Array]]  # weight (inputs, outputs) and bias (outputs,)


class State(NamedTuple):
    """One seed: networks by name, the two moments of those that are trained, updates done."""

    networks: dict[str, Any]
    moments: dict[str, Any]
    count: jax.Array


class Batch(NamedTuple):
    """Columns of transitions, or rows of them."""

    observations: jax.Array
    actions: jax.Array
    rewards: jax.Array
    next_observations: jax.Array
    terminations: jax.Array


def initial(networks: dict[str, Any]) -> State:
    """A seed of these networks: critic and target_critic (two of them), value, actor (layers, log_std)."""
    trained = {name: networks[name] for name in ("critic", "value", "actor")}
    zeros = partial(jax.tree.map, jnp.zeros_like)
    moments = {name: (zeros(tree), zeros(tree)) for name, tree in trained.items()}
    return State(networks, moments, jnp.zeros((), jnp.int32))


def drawn(key: jax.Array, hidden: tuple[int, ...], observation: int, action: int) -> dict[str, Any]:
    """Fresh networks of one seed."""

    def layers(key: jax.Array, inputs: int, outputs: int) -> Layers:
        sizes, made = [inputs, *hidden, outputs], []
        for m, n, own in zip(sizes[:-1], sizes[1:], jax.random.split(key, len(sizes) - 1), strict=True):
            bound = m**-0.5
            made.append((jax.random.uniform(own, (m, n), minval=-bound, maxval=bound), jnp.zeros(n)))
        return made

    one, two, three, four = jax.random.split(key, 4)
    critic = [layers(own, observation + action, 1) for own in (one, two)]
    critic = jax.tree.map(lambda *each: jnp.stack(each), *critic)  # a leading axis of two
    actor = {"layers": layers(four, observation, action), "log_std": jnp.zeros(action)}
    return {"critic": critic, "target_critic": critic, "value": layers(three, observation, 1), "actor": actor}


def mlp(layers: Layers, x: jax.Array) -> jax.Array:
    for weight, bias in layers[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    return x @ layers[-1][0] + layers[-1][1]


def twin(critic: Layers, s: jax.Array, a: jax.Array) -> jax.Array:
    """(2, batch)."""
    sa = jnp.concatenate([s, a], -1)
    return jax.vmap(lambda layers: mlp(layers, sa)[:, 0])(critic)


def adam(parameters: Any, gradient: Any, moments: Any, count: jax.Array, rate: jax.Array | float) -> tuple[Any, Any]:
    """Parameters and moments after one step; ``count`` steps were made before."""
    t = count + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], gradient)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, moments[1], gradient)

    def moved(p: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
        return p - rate * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)

    return jax.tree.map(moved, parameters, first, second), (first, second)


def update(c: Any, total: int, state: State, batch: Batch) -> tuple[State, dict[str, jax.Array]]:
    """One update of one seed, and its losses; ``c`` is our config, ``total`` the updates that the schedule spans."""
    nets = state.networks
    s, a, r, s_next, terminal = batch
    q_target = twin(nets["target_critic"], s, a).min(0)
    y = r + c.discount * (1 - terminal) * mlp(nets["value"], s_next)[:, 0]
    weight = jnp.minimum(jnp.exp(c.beta * (q_target - mlp(nets["value"], s)[:, 0])), MAX_WEIGHT)

    def value_loss(value: Layers) -> jax.Array:
        u = q_target - mlp(value, s)[:, 0]
        return (jnp.where(u > 0, c.expectile, 1 - c.expectile) * u**2).mean()

    def critic_loss(critic: Layers) -> jax.Array:
        return ((twin(critic, s, a) - y) ** 2).mean()

    def actor_loss(actor: dict[str, Any]) -> jax.Array:
        mean, log_std = jnp.tanh(mlp(actor["layers"], s)), jnp.clip(actor["log_std"], *c.log_std_range)
        log_prob = jax.scipy.stats.norm.logpdf(a, mean, jnp.exp(log_std)).sum(-1)
        return -(weight * log_prob).mean()

    rates = {"actor": c.learning_rate * 0.5 * (1 + jnp.cos(jnp.pi * state.count / total))}
    networks, moments, losses = dict(nets), dict(state.moments), {}
    each: dict[str, Callable[[Any], jax.Array]] = {"value": value_loss, "critic": critic_loss, "actor": actor_loss}
    for name, loss in each.items():
        losses[f"{name}_loss"], gradient = jax.value_and_grad(loss)(nets[name])
        rate = rates.get(name, c.learning_rate)
        networks[name], moments[name] = adam(nets[name], gradient, moments[name], state.count, rate)
    networks["target_critic"] = jax.tree.map(
        lambda old, new: (1 - c.polyak) * old + c.polyak * new, nets["target_critic"], networks["critic"]
    )
    return State(networks, moments, state.count + 1), losses


def scanned(c: Any, total: int, updates: int, columns: Batch, state: State, key: jax.Array) -> Any:
    """``updates`` updates of one seed on rows that are drawn by a key: state, key and losses afterwards."""

    def one(carry: tuple[State, jax.Array], _: None) -> Any:
        state, key = carry
        key, own = jax.random.split(key)
        rows = jax.random.randint(own, (c.batch_size,), 0, len(columns.rewards))
        state, losses = update(c, total, state, Batch(*(column[rows] for column in columns)))
        return (state, key), losses

    (state, key), losses = jax.lax.scan(one, (state, key), None, length=updates)
    return state, key, jax.tree.map(jnp.mean, losses)


class Jitted:
    """``seeds`` seeds, vmapped where they are several, a scan of ``multiple`` updates a call."""

    multiple = 20  # updates of a scan

    def __init__(self, config: Any, view: Any, seeds: int, total: int) -> None:
        import torch

        everything = view.batch(torch.arange(len(view))[None])[:5]
        self.columns = Batch(*(jnp.asarray(part[0].cpu().numpy()) for part in everything))
        made = partial(drawn, hidden=config.hidden, observation=view.observation_size, action=view.action_size)
        keys = jax.random.split(jax.random.key(0), seeds)
        several = partial(scanned, config, total, self.multiple)
        if seeds == 1:
            self.run, self.keys, self.state = jax.jit(several), keys[0], initial(made(keys[0]))
        else:
            self.run, self.keys = jax.jit(jax.vmap(several, in_axes=(None, 0, 0))), keys
            self.state = jax.vmap(lambda key: initial(made(key)))(keys)

    def advance(self, updates: int) -> None:
        """At least so many updates of every seed, in whole scans."""
        for _ in range(-(-updates // self.multiple)):
            self.state, self.keys, losses = self.run(self.columns, self.state, self.keys)
        jax.block_until_ready(losses)
