"""The rivals of benchmarks/updates.py are the same methods: same weights, rows and noise, same losses."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from offbench.algorithms import registry
from offbench.algorithms.base import Algorithm, Sizes
from offbench.data.trajectories import Trajectories
from offbench.training.views import completed, make_view

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import _jax
import _plain as plain
import jax
import jax.numpy as jnp
from _corl import STYLED

# Small networks, and rates at which a wrong step of any network shows in the losses of the next update.
FAST = {"learning_rate": 1e-2, "batch_size": 16}
CRITICS = FAST | {"hidden": (8, 8), "polyak": 0.2}
SMALL = {
    "awac": CRITICS,
    "bc": FAST | {"hidden": (8, 8)},
    "cql": CRITICS | {"actor_learning_rate": 1e-2, "sampled_actions": 4},
    "dt": FAST
    | {"context": 4, "embedding": 8, "layers": 2, "heads": 2, "dropout": 0.0, "warmup": 3, "weight_decay": 0.5},
    "edac": CRITICS | {"critics": 4},
    "iql": CRITICS,
    "rebrac": CRITICS | {"critic_learning_rate": 1e-2, "actor_penalty": 0.7, "critic_penalty": 0.9},
    "rvs": FAST | {"hidden": (8, 8)},
    "sac_n": CRITICS | {"critics": 4},
    "td3_bc": CRITICS,
    "xql": CRITICS,
}
# So greedy that weights and exponents reach their bounds.
GREEDY = {
    "awac": {"temperature": 0.01},
    "iql": {"beta": 100.0},
    "xql": {"temperature": 0.05, "largest_exponent": 1.0, "beta": 100.0, "initialisation": "torch"},
}
TOTAL = 20  # of the schedules
# What imagines has no rival yet: it would have to fit dynamics and roll branches or episodes out, too. RAVL's updates
# are tested to be EDAC's, which has one. SS-ORL's and V-PTR's are those of their learner. What learns from comparisons
# has none either.
RIVALLED = registry.OURS.keys() - {
    *("combo", "mbrcsl", "mobile", "mopo", "ravl", "ss_orl", "v_ptr"),
    *("cpl", "ipl", "oppo", "reward_model"),
}


def data() -> Trajectories:
    """Twelve episodes of 3 to 14 steps, of which half are terminated and half truncated."""
    generator = np.random.default_rng(0)
    lengths = np.arange(3, 15)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ends = np.zeros((2, offsets[-1]), dtype=bool)
    ends[np.arange(12) % 2, offsets[1:] - 1] = True
    return Trajectories(
        observations=generator.normal(1, 2, (offsets[-1] + 12, 3)),
        offsets=offsets,
        terminations=ends[0],
        truncations=ends[1],
        actions=np.tanh(generator.normal(size=(offsets[-1], 2))),
        rewards=generator.normal(size=offsets[-1]),
    )


def both(name: str, rivals=plain.RIVALS, **changes):
    """Our algorithm, one seed in float64, the rival with its weights, and their data."""
    found = registry.algorithm(name)
    trajectories = data()
    config = completed(found.Config(**SMALL[name] | changes), trajectories, None)
    view = make_view(found, config, trajectories, dtype=torch.float64)
    ours = found(config, Sizes(3, 2), [0], TOTAL, dtype=torch.float64)
    rival = rivals[name](config, view, TOTAL).double()
    (give_transformer if name == "dt" else give)(rival, ours)
    return ours, rival, view


def give(rival: nn.Module, ours: Algorithm) -> None:
    """Copy our first seed's weights into a rival of perceptrons."""
    for network, parameters in ours.networks.items():
        own = {name: value[0] for name, value in parameters.items()}
        if network == "temperature":
            rival.log_alpha.data.copy_(own["log"])
            continue
        module = getattr(rival, network)
        if isinstance(module, nn.ModuleList):
            for number, member in enumerate(module):
                fill(member, {name: value[number] for name, value in own.items()})
        else:
            fill(module, own)
        for name, single in {"log_std": "log_std", "log_std.scale": "log_std_scale"}.items():
            if name in own:
                getattr(rival, single).data.copy_(own[name].squeeze())


def fill(module: nn.Module, own: dict[str, torch.Tensor]) -> None:
    """Layers in their order; (in, out) becomes (out, in) but for ensembles, which are batched products there too."""
    parts = list(module.modules())
    for layer, part in enumerate(part for part in parts if isinstance(part, nn.Linear | plain.EnsembleLinear)):
        weight, bias = own[f"layer{layer}.weight"], own[f"layer{layer}.bias"]
        part.weight.data.copy_(weight if weight.dim() == 3 else weight.T)
        part.bias.data.copy_(bias if bias.dim() == 3 else bias[0])
    for layer, part in enumerate(part for part in parts if isinstance(part, nn.LayerNorm)):
        part.weight.data.copy_(own[f"layer{layer}.scale"][0])
        part.bias.data.copy_(own[f"layer{layer}.shift"][0])


def give_transformer(rival: nn.Module, ours: Algorithm) -> None:
    own = {name: value[0] for name, value in ours.networks["actor"].items()}
    modules = {"return": rival.embed_return, "state": rival.embed_state, "action": rival.embed_action}
    modules |= {"head": rival.head, "first_norm": rival.first_norm, "last_norm": rival.last_norm}
    rival.embed_time.weight.data.copy_(own["time.weight"])
    for i, block in enumerate(rival.blocks):
        modules |= {f"block{i}.norm1": block.norm1, f"block{i}.norm2": block.norm2}
        modules |= {f"block{i}.widen": block.wide[0], f"block{i}.narrow": block.wide[2]}
        modules[f"block{i}.projection"] = block.attention.out_proj
        block.attention.in_proj_weight.data.copy_(own[f"block{i}.attention.weight"].T)
        block.attention.in_proj_bias.data.copy_(own[f"block{i}.attention.bias"][0])
    for name, module in modules.items():
        normal = isinstance(module, nn.LayerNorm)
        module.weight.data.copy_(own[f"{name}.scale"][0] if normal else own[f"{name}.weight"].T)
        module.bias.data.copy_(own[f"{name}.shift" if normal else f"{name}.bias"][0])


def rows(rival, view, indices: torch.Tensor) -> list[torch.Tensor]:
    """The rival's own batch of those transitions or windows."""
    if not isinstance(rival, plain.DT):
        return rival.rows(indices)
    numbers = torch.searchsorted(view.offsets, indices, right=True) - 1
    firsts = indices - view.offsets[numbers]
    return rival.stacked([rival.window(*pair) for pair in zip(numbers.tolist(), firsts.tolist(), strict=True)])


CASES = [(name, {}) for name in sorted(RIVALLED)] + list(GREEDY.items())
CORL = [(name, changes) for name, changes in CASES if name in STYLED]


@pytest.mark.parametrize(
    ("name", "changes", "rivals"),
    [(*case, plain.RIVALS) for case in CASES] + [(*case, STYLED) for case in CORL],
)
def test_the_losses_of_several_updates_are_ours(name, changes, rivals):
    ours, rival, view = both(name, rivals, **changes)
    generator = torch.Generator().manual_seed(1)
    for update in range(6):
        indices = torch.randint(len(view), (1, ours.config.batch_size), generator=generator)
        noise = {
            key: torch.randn(1, *shape, generator=generator, dtype=torch.float64) for key, shape in ours.noise().items()
        }
        ours.phase = update % ours.period
        expected = ours.update(view.batch(indices)._replace(noise=noise))
        rival.normal = lambda key, like, drawn=noise: drawn[key][0].view(like.shape)
        rival.uniform = lambda key, like, drawn=noise: torch.erf(drawn[key][0].view(like.shape) / math.sqrt(2))
        rival.log = {}
        rival.learn(*rows(rival, view, indices[0]))
        rival.count += 1
        made = {key: float(value) for key, value in expected.items() if key != "multiplier_loss"}
        assert rival.log == pytest.approx(made, rel=1e-6, abs=1e-8), f"update {update}"


@pytest.mark.parametrize(
    ("name", "rivals"), [(name, plain.RIVALS) for name in sorted(RIVALLED)] + [(name, STYLED) for name in STYLED]
)
def test_updates_on_rows_of_its_own_move_every_trained_parameter(name, rivals):
    _, rival, _ = both(name, rivals)
    before = {key: value.clone() for key, value in rival.named_parameters()}
    for _ in range(3):
        rival.update()
    assert all(math.isfinite(value) for value in rival.log.values())
    assert not [key for key, value in rival.named_parameters() if torch.equal(value, before[key])]


def test_every_registered_method_of_ours_has_a_rival():
    assert plain.RIVALS.keys() == RIVALLED


def in_jax(ours: Algorithm) -> dict:
    """Our first seed's weights as the rival in JAX has them."""

    def layers(network: str) -> list:
        own = {name: jnp.asarray(value[0].numpy()) for name, value in ours.networks[network].items()}
        return [
            (own[f"layer{i}.weight"], own[f"layer{i}.bias"].squeeze(-2)) for i in range(len(ours.config.hidden) + 1)
        ]

    log_std = jnp.asarray(ours.networks["actor"]["log_std"][0].numpy().reshape(-1))
    return {name: layers(name) for name in ("critic", "target_critic", "value")} | {
        "actor": {"layers": layers("actor"), "log_std": log_std}
    }


@pytest.mark.parametrize("changes", [{}, GREEDY["iql"]])
def test_the_losses_of_several_updates_in_jax_are_ours(changes):
    ours, _, view = both("iql", **changes)
    generator = torch.Generator().manual_seed(1)
    with jax.enable_x64(True):
        state = _jax.initial(in_jax(ours))
        for _ in range(6):
            batch = view.batch(torch.randint(len(view), (1, ours.config.batch_size), generator=generator))
            expected = {name: float(value) for name, value in ours.update(batch).items()}
            rows = _jax.Batch(*(jnp.asarray(part[0].numpy()) for part in batch[:5]))
            state, losses = _jax.update(ours.config, TOTAL, state, rows)
            assert {name: float(value) for name, value in losses.items()} == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("seeds", [1, 3])
def test_updates_in_jax_on_rows_of_its_own_move_every_trained_parameter_of_every_seed(seeds):
    _, _, view = both("iql")
    config = registry.algorithm("iql").Config(hidden=(8, 8), batch_size=16)
    rival = _jax.Jitted(config, view, seeds, TOTAL)
    before = jax.tree.leaves(rival.state.networks)
    rival.advance(3)
    assert rival.state.count.tolist() == (20 if seeds == 1 else [20] * 3)
    for old, new in zip(before, jax.tree.leaves(rival.state.networks), strict=True):
        moved = (np.asarray(old) != np.asarray(new)).reshape(seeds, -1)
        assert moved.any(1).all()
    if seeds > 1:
        first = jax.tree.leaves(rival.state.networks)[0]
        assert not np.array_equal(first[0], first[1])
