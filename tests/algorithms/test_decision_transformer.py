import json

import numpy as np
import pytest
import torch
from golden import FOLDER, check_weights, load

from offbench.algorithms import registry
from offbench.algorithms.base import Sizes
from offbench.algorithms.decision_transformer import DecisionTransformer, DecisionTransformerConfig
from offbench.data.sequences import SequenceBatch
from offbench.errors import OffbenchError
from offbench.nn.adam import gradient_norm
from offbench.nn.sequence_decoder import one_hot_lookup

SIZES = Sizes(observation=3, action=2)
SMALL = {"context": 4, "embedding": 16, "layers": 2, "heads": 2, "dropout": 0.0, "episode_limit": 30}
GIVEN = {"evaluation_target": 5.0, "return_scale": 10.0}


def make(seeds=(0,), sizes=SIZES, **changes) -> DecisionTransformer:
    """Small, and with weights large enough that every input matters."""
    config = DecisionTransformerConfig(**SMALL | GIVEN | changes)
    algorithm = DecisionTransformer(config, sizes, seeds, 100, dtype=torch.float64)
    for name, value in algorithm.networks["actor"].items():
        if name.endswith("weight") and "attention" not in name:
            value *= 10
    return algorithm


def windows(seeds=1, batch=5, steps=4) -> SequenceBatch:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(seeds, batch, steps, *shape, generator=generator, dtype=torch.float64)

    first = torch.randint(0, 25, (seeds, batch, 1), generator=generator)
    mask = (torch.arange(steps) < torch.randint(1, steps + 1, (seeds, batch, 1), generator=generator)).double()
    return SequenceBatch(normal(3), normal(2), normal(), normal(), first + torch.arange(steps), mask)


def predict(algorithm, batch: SequenceBatch) -> torch.Tensor:
    actor = algorithm.networks["actor"]
    times = one_hot_lookup(actor["time.weight"], batch.timesteps)
    return algorithm.decoder(actor, batch.returns_to_go.unsqueeze(-1), batch.observations, batch.actions, times)


# -------------------------------------------------------------------- the reference


class Recorded:
    """The reference trace; its modules' names and (out, in) weights become ours."""

    def __init__(self) -> None:
        self.arrays = dict(np.load(FOLDER / "decision_transformer.npz", allow_pickle=False))
        self.config = json.loads(str(self.arrays["config"]))

    def parameters(self, when: str) -> dict[str, torch.Tensor]:
        linear = {f"{name}": f"{name}_emb" for name in ("state", "action", "return")} | {"head": "action_head/0"}
        norms = {"first_norm": "emb_norm", "last_norm": "out_norm"}
        for i in range(self.config["layers"]):
            linear |= {f"block{i}.projection": f"blocks/{i}/attention/out_proj"}
            linear |= {f"block{i}.widen": f"blocks/{i}/mlp/0", f"block{i}.narrow": f"blocks/{i}/mlp/2"}
            norms |= {f"block{i}.norm{n}": f"blocks/{i}/norm{n}" for n in (1, 2)}
        found = {"time.weight": self._tensor(when, "timestep_emb/weight")}
        for own, theirs in linear.items():
            found[f"{own}.weight"] = self._tensor(when, f"{theirs}/weight").mT
            found[f"{own}.bias"] = self._tensor(when, f"{theirs}/bias")[None]
        for i in range(self.config["layers"]):
            found[f"block{i}.attention.weight"] = self._tensor(when, f"blocks/{i}/attention/in_proj_weight").mT
            found[f"block{i}.attention.bias"] = self._tensor(when, f"blocks/{i}/attention/in_proj_bias")[None]
        for own, theirs in norms.items():
            found[f"{own}.scale"] = self._tensor(when, f"{theirs}/weight")[None]
            found[f"{own}.shift"] = self._tensor(when, f"{theirs}/bias")[None]
        return found

    def batch(self, step: int) -> SequenceBatch:
        names = ("states", "actions", "returns_to_go", "time_steps", "mask")
        s, a, g, t, mask = (torch.from_numpy(self.arrays[f"batch/{name}"][step])[None] for name in names)
        return SequenceBatch(s, a, torch.zeros_like(g), g, t, mask)

    def _tensor(self, when: str, name: str) -> torch.Tensor:
        return torch.from_numpy(self.arrays[f"{when}/{name}"])[None]


def test_replays_the_reference():
    trace = Recorded()
    c = trace.config
    config = DecisionTransformerConfig(
        **GIVEN,
        episode_limit=c["episode_len"],
        context=c["seq_len"],
        embedding=c["embedding"],
        layers=c["layers"],
        heads=c["heads"],
        dropout=float(c["dropout"]),
        learning_rate=c["lr"],
        warmup=c["warmup"],
        weight_decay=c["weight_decay"],
        clip=c["clip_grad"],
    )
    algorithm = DecisionTransformer(config, Sizes(observation=6, action=3), seeds=[0], total=100)
    load(algorithm, "actor", trace.parameters("init"))
    first = trace.batch(0)
    predicted = predict(algorithm, first)[0] * first.mask[0].unsqueeze(-1)
    expected = torch.from_numpy(trace.arrays["predictions_first_batch"]) * first.mask[0].unsqueeze(-1)
    torch.testing.assert_close(predicted, expected, rtol=1e-4, atol=1e-6)
    losses, norms = [], []
    for step in range(len(trace.arrays["metrics/loss"])):
        batch = trace.batch(step)

        def loss(actor, batch=batch):
            return algorithm.losses({"actor": actor}, batch)["actor_loss"].sum()

        norms.append(float(gradient_norm(torch.func.grad(loss)(algorithm.networks["actor"]))))
        losses.append(float(algorithm.update(batch)["actor_loss"]))
    np.testing.assert_allclose(losses, trace.arrays["metrics/loss"], rtol=1e-4)
    np.testing.assert_allclose(norms, trace.arrays["metrics/grad_norm"], rtol=1e-4)
    check_weights(algorithm, "actor", trace.parameters("final"))


# -------------------------------------------------------------------- what a prediction depends on


@pytest.mark.parametrize("field", ["observations", "actions", "returns_to_go", "timesteps"])
def test_a_prediction_depends_on_its_own_step_and_earlier_ones_and_not_on_its_action(field):
    algorithm, batch = make(), windows()
    before = predict(algorithm, batch)
    for step in range(4):
        changed = getattr(batch, field).clone()
        changed[:, :, step] = 29 - changed[:, :, step] if field == "timesteps" else changed[:, :, step] + 3
        after = predict(algorithm, batch._replace(**{field: changed}))
        first = step + 1 if field == "actions" else step
        torch.testing.assert_close(after[:, :, :first], before[:, :, :first], rtol=0, atol=1e-12)
        assert bool(((after - before)[:, :, first:].abs().amax((0, 1, 3)) > 1e-6).all())


def test_padding_changes_neither_loss_nor_gradient():
    algorithm, batch = make(), windows()
    inside = batch.mask.unsqueeze(-1)

    def loss(actor, batch):
        return algorithm.losses({"actor": actor}, batch)["actor_loss"].sum()

    other = batch._replace(
        observations=torch.where(inside == 1, batch.observations, 7.0),
        actions=torch.where(inside == 1, batch.actions, -10.0),
        returns_to_go=torch.where(batch.mask == 1, batch.returns_to_go, 99.0),
        timesteps=torch.where(batch.mask == 1, batch.timesteps, 0),
    )
    assert not torch.equal(other.observations, batch.observations)
    actor = algorithm.networks["actor"]
    torch.testing.assert_close(loss(actor, other), loss(actor, batch), rtol=1e-12, atol=0)
    one, two = (torch.func.grad(loss)(actor, b) for b in (batch, other))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-9, atol=1e-14)


def test_the_loss_is_the_masked_squared_error_over_all_entries():
    algorithm, batch = make((0, 1)), windows(seeds=2)
    predicted = predict(algorithm, batch)
    for seed in range(2):
        total = 0.0
        for window in range(5):
            for step in range(int(batch.mask[seed, window].sum())):
                total += float(((predicted - batch.actions)[seed, window, step] ** 2).sum())
        loss = algorithm.losses(algorithm.networks, batch)["actor_loss"][seed]
        assert float(loss) == pytest.approx(total / (5 * 4 * 2), rel=1e-12)


def test_the_product_with_ones_and_zeros_looks_rows_up():
    table = torch.randn(2, 9, 4)
    places = torch.randint(0, 9, (2, 5, 3))
    rows = torch.arange(2)[:, None, None]
    assert torch.equal(one_hot_lookup(table, places), table[rows, places])
    weight = torch.randn(2, 5, 3, 4)
    one = torch.func.grad(lambda t: (one_hot_lookup(t, places) * weight).sum())(table)
    other = torch.func.grad(lambda t: (t[rows, places] * weight).sum())(table)
    torch.testing.assert_close(one, other)


# -------------------------------------------------------------------- acting


def naive_episode(algorithm, states, rewards, target):
    """Actions of one episode as the reference's evaluation makes them: the whole history, of which the last K steps."""
    returns, actions = [target / algorithm.scale], []
    for t, state_reward in enumerate(rewards):
        first = max(0, t + 1 - algorithm.config.context)
        history = torch.tensor(np.array([*actions, np.zeros(2)]))[first:]
        batch = SequenceBatch(
            torch.tensor(states[first : t + 1])[None, None],
            history[None, None],
            torch.zeros(1, 1, t + 1 - first),
            torch.tensor(returns[first:], dtype=torch.float64)[None, None],
            torch.arange(first, t + 1)[None, None],
            torch.ones(1, 1, t + 1 - first),
        )
        actions.append(predict(algorithm, batch)[0, 0, -1].numpy())
        returns.append(returns[-1] - state_reward / algorithm.scale)
    return np.array(actions)


def test_acting_equals_the_last_steps_of_the_whole_history_each_episode_with_its_own_start():
    algorithm, rng = make(), np.random.default_rng(0)
    states, rewards = rng.normal(size=(2, 11, 3)), rng.normal(size=(2, 11))
    window = algorithm.acting()
    window.reset(torch.ones(1, 2, dtype=torch.bool))
    acted = []
    for t in range(11):
        if t == 6:  # the second episode begins anew while the first goes on
            window.reset(torch.tensor([[False, True]]))
        acted.append(window.act(torch.tensor(states[:, t])[None])[0].numpy())
        window.observe(torch.tensor(rewards[:, t])[None])
    acted = np.array(acted)
    np.testing.assert_allclose(acted[:, 0], naive_episode(algorithm, states[0], rewards[0], 5.0), atol=1e-12)
    np.testing.assert_allclose(acted[:6, 1], naive_episode(algorithm, states[1, :6], rewards[1, :6], 5.0), atol=1e-12)
    np.testing.assert_allclose(acted[6:, 1], naive_episode(algorithm, states[1, 6:], rewards[1, 6:], 5.0), atol=1e-12)


def test_seeds_act_alike_alone_and_together_and_differ():
    together, alone = make((0, 3)), make((3,))
    states = torch.randn(1, 4, 3, dtype=torch.float64)
    both = together.act(states.expand(2, -1, -1))
    torch.testing.assert_close(both[1], alone.act(states)[0], rtol=0, atol=1e-12)
    assert not torch.allclose(both[0], both[1])


def test_the_return_that_is_asked_for_matters():
    states = torch.randn(1, 4, 3, dtype=torch.float64)
    assert not torch.allclose(make().act(states), make(evaluation_target=-50.0).act(states))


def test_what_the_memory_cannot_do_is_said():
    states = torch.zeros(1, 2, 3, dtype=torch.float64)
    window = make(episode_limit=3).acting()
    with pytest.raises(OffbenchError, match=r"was asked to act before its reset; call reset\(mask\) first"):
        window.act(states)
    window.reset(torch.ones(1, 2, dtype=torch.bool))
    for _ in range(3):
        window.act(states)
    with pytest.raises(OffbenchError, match="an episode exceeds 3 steps; train with a larger episode_limit"):
        window.act(states)


# -------------------------------------------------------------------- hyperparameters


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("d4rl/hopper-medium-v2", (3600.0, 1000.0, 4096, 8e-4)),
        ("d4rl/antmaze-umaze-v2", (1.0, 1.0, 64, 1e-4)),
        ("d4rl/antmaze-large-diverse-v2", (1.0, 1.0, 64, 1e-4)),
        ("d4rl/hammer-cloned-v1", (12800.0, 1.0, 4096, 8e-4)),
        ("offbench/pendulum/swingup-v0", (None, None, 64, 1e-4)),
    ],
)
def test_presets_are_those_of_the_specification(dataset, expected):
    c = registry.configure(DecisionTransformer, dataset, {})
    assert (c.evaluation_target, c.return_scale, c.batch_size, c.learning_rate) == expected
    preset = registry.preset(DecisionTransformer, dataset)
    assert preset is None or "tabulate the largest" in preset.source


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"heads": 3}, "embedding must be a multiple of heads, and 16 is none of 3"),
        ({"context": 0}, r"context must lie in \[1, inf\], not 0"),
        ({"return_scale": 0.0}, r"return_scale must lie in \(0, inf\], not 0.0"),
        ({"clip": 0.0}, r"clip must lie in \(0, inf\], not 0.0"),
        ({"evaluation_target": None}, "DT needs evaluation_target, return_scale and episode_limit"),
    ],
)
def test_hyperparameters_without_meaning_are_refused(changes, sentence):
    with pytest.raises(OffbenchError, match=sentence):
        make(**changes)
