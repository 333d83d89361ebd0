import math

import numpy as np
import pytest
import torch
from golden import Trace, check_weights, load

from offbench.algorithms.awac import AWAC, AWACConfig
from offbench.algorithms.base import Sizes
from offbench.algorithms.bc import BC, BCConfig
from offbench.algorithms.cql import CQL, CQLConfig
from offbench.algorithms.edac import EDAC
from offbench.algorithms.iql import IQL, IQLConfig
from offbench.algorithms.rebrac import ReBRAC, ReBRACConfig
from offbench.algorithms.sac_n import SACN
from offbench.algorithms.td3_bc import TD3BC, TD3BCConfig
from offbench.algorithms.xql import XQL, XQLConfig

SIZES = Sizes(observation=6, action=3)


def replay(algorithm, trace: Trace) -> dict[str, np.ndarray]:
    """Losses (steps,) of each metric over the whole trace; NaN where an update does not make one."""
    rows = []
    for i in range(trace.steps):
        algorithm.phase = i % algorithm.period
        made = algorithm.update(trace.batch(i))
        rows.append([float(made[name]) if name in made else np.nan for name in algorithm.metrics])
    return dict(zip(algorithm.metrics, np.array(rows).T, strict=True))


@pytest.mark.parametrize("name", ["iql", "iql_deterministic"])
def test_iql_replays_the_reference(name):
    trace = Trace(name)
    c = trace.config
    config = IQLConfig(
        expectile=c["expectile"],
        beta=c["beta"],
        discount=c["discount"],
        polyak=c["polyak"],
        learning_rate=c["lr"],
        hidden=tuple(c["hidden"]),
        actor="deterministic" if c["deterministic_actor"] else "gaussian",
        log_std_range=tuple(c["log_std_clip"]),
    )
    algorithm = IQL(config, SIZES, seeds=[0], total=c["cosine_actor_lr_steps"])
    networks = {
        "critic": ("q1", "q2"),
        "target_critic": ("q1_target", "q2_target"),
        "value": ("v",),
        "actor": ("actor",),
    }
    for network, recorded in networks.items():
        load(algorithm, network, trace.parameters("init", *recorded))
    losses = replay(algorithm, trace)
    np.testing.assert_allclose(losses["value_loss"], trace.metric("value_loss"), rtol=1e-4)
    np.testing.assert_allclose(losses["critic_loss"], trace.metric("q_loss"), rtol=1e-4)
    np.testing.assert_allclose(losses["actor_loss"], trace.metric("actor_loss"), rtol=1e-4)
    for network, recorded in networks.items():
        check_weights(algorithm, network, trace.parameters("final", *recorded))


def test_bc_replays_the_reference():
    trace = Trace("bc")
    config = BCConfig(hidden=tuple(trace.config["hidden"]), learning_rate=trace.config["lr"])
    algorithm = BC(config, SIZES, seeds=[0], total=trace.steps)
    load(algorithm, "actor", trace.parameters("init", "actor"))
    losses = replay(algorithm, trace)
    np.testing.assert_allclose(losses["actor_loss"], trace.metric("actor_loss"), rtol=1e-4)
    check_weights(algorithm, "actor", trace.parameters("final", "actor"))


def test_td3_bc_replays_the_reference():
    trace = Trace("td3_bc")
    c = trace.config
    assert c["policy_freq"] == TD3BC.period
    config = TD3BCConfig(
        alpha=c["alpha"],
        target_noise=c["policy_noise"],
        noise_clip=c["noise_clip"],
        discount=c["discount"],
        polyak=c["polyak"],
        learning_rate=c["lr"],
        hidden=tuple(c["hidden"]),
    )
    algorithm = TD3BC(config, SIZES, seeds=[0], total=trace.steps)
    networks = {
        "critic": ("q1", "q2"),
        "target_critic": ("q1_target", "q2_target"),
        "actor": ("actor",),
        "target_actor": ("actor_target",),
    }
    for network, recorded in networks.items():
        load(algorithm, network, trace.parameters("init", *recorded))
    losses = replay(algorithm, trace)
    np.testing.assert_allclose(losses["critic_loss"], trace.metric("critic_loss"), rtol=1e-4)
    np.testing.assert_allclose(losses["actor_loss"], trace.metric("actor_loss"), rtol=1e-4)
    for network, recorded in networks.items():
        check_weights(algorithm, network, trace.parameters("final", *recorded))


def test_awac_replays_the_reference():
    trace = Trace("awac")
    c = trace.config
    config = AWACConfig(
        temperature=c["awac_lambda"],
        discount=c["discount"],
        polyak=c["polyak"],
        learning_rate=c["lr"],
        hidden=tuple(c["hidden"]),
        log_std_range=tuple(c["log_std_clip"]),
    )
    algorithm = AWAC(config, SIZES, seeds=[0], total=trace.steps)
    networks = {"critic": ("q1", "q2"), "target_critic": ("q1_target", "q2_target"), "actor": ("actor",)}
    for network, recorded in networks.items():
        load(algorithm, network, trace.parameters("init", *recorded))
    losses = replay(algorithm, trace)
    np.testing.assert_allclose(losses["critic_loss"], trace.metric("critic_loss"), rtol=1e-4)
    np.testing.assert_allclose(losses["actor_loss"], trace.metric("actor_loss"), rtol=1e-4)
    for network, recorded in networks.items():
        check_weights(algorithm, network, trace.parameters("final", *recorded))


@pytest.mark.parametrize(("name", "kind"), [("sac_n", SACN), ("edac", EDAC)])
def test_sac_n_and_edac_replay_the_reference(name, kind):
    trace = Trace(name)
    c = trace.config
    config = {"critics": c["critics"], "discount": c["discount"], "polyak": c["polyak"], "learning_rate": c["lr"]}
    config |= {"hidden": tuple(c["hidden"]), "log_std_range": tuple(c["log_std_clip"])}
    if kind is EDAC:
        config["diversity"] = c["eta"]
    algorithm = kind(kind.Config(**config), SIZES, seeds=[0], total=trace.steps)
    load(algorithm, "critic", trace.ensemble("init", "critics"))
    load(algorithm, "target_critic", trace.ensemble("init", "critics_target"))
    load(algorithm, "actor", trace.squashed_gaussian("init"))
    losses = replay(algorithm, trace)
    for own, recorded in (("temperature", "alpha"), ("actor", "actor"), ("critic", "critic")):
        np.testing.assert_allclose(losses[f"{own}_loss"], trace.metric(f"{recorded}_loss"), rtol=1e-4)
    check_weights(algorithm, "critic", trace.ensemble("final", "critics"))
    check_weights(algorithm, "target_critic", trace.ensemble("final", "critics_target"))
    check_weights(algorithm, "actor", trace.squashed_gaussian("final"))
    check_weights(algorithm, "temperature", {"log": torch.from_numpy(trace.arrays["final/log_alpha"])[None]})


def test_cql_replays_the_reference():
    trace = Trace("cql")
    c = trace.config
    assert c["importance_sampling"]
    assert not any(c[name] for name in ("lagrange", "max_target_backup", "backup_entropy"))
    config = CQLConfig(
        conservatism=c["cql_alpha"],
        lowest_gap=c["clip_min"],
        sampled_actions=c["n_actions"],
        discount=c["discount"],
        polyak=c["polyak"],
        hidden=(c["hidden_width"],) * 3,
        critic_hidden=(c["hidden_width"],) * c["q_layers"],
        learning_rate=c["q_lr"],
        actor_learning_rate=c["policy_lr"],
        log_std_range=tuple(c["log_std_clip"]),
    )
    # Ours draws uniform actions from normal numbers, so that all noise is of one kind.
    uniform = torch.from_numpy(trace.arrays.pop("noise/cql_random_action")).double()
    trace.arrays["noise/uniform"] = (math.sqrt(2) * torch.erfinv(uniform)).float().numpy()
    trace.arrays["noise/target_action"] = trace.arrays.pop("noise/next_action")[:, :, None]
    for own, recorded in (("action", "policy"), ("present", "cql_current"), ("next", "cql_next")):
        trace.arrays[f"noise/{own}"] = trace.arrays.pop(f"noise/{recorded}_action")
    algorithm = CQL(config, SIZES, seeds=[0], total=trace.steps)

    def actor(when: str) -> dict[str, torch.Tensor]:
        parameters = trace.parameters(when, "actor")
        numbers = {"scale": parameters.pop("log_std_multiplier"), "shift": parameters.pop("log_std_offset")}
        return parameters | {f"log_std.{name}": value.reshape(1, 1, 1) for name, value in numbers.items()}

    load(algorithm, "critic", trace.parameters("init", "q1", "q2"))
    load(algorithm, "target_critic", trace.parameters("init", "q1_target", "q2_target"))
    load(algorithm, "actor", actor("init"))
    losses = replay(algorithm, trace)
    np.testing.assert_allclose(losses["actor_loss"], trace.metric("policy_loss"), rtol=1e-4)
    np.testing.assert_allclose(losses["temperature_loss"], trace.metric("alpha_loss"), rtol=1e-4, atol=1e-6)
    parts = [trace.metric(f"{part}qf{i}_loss") for i in (1, 2) for part in ("", "cql_min_")]
    np.testing.assert_allclose(losses["critic_loss"], sum(parts), rtol=1e-4)
    check_weights(algorithm, "critic", trace.parameters("final", "q1", "q2"), 1e-5)
    check_weights(algorithm, "target_critic", trace.parameters("final", "q1_target", "q2_target"), 1e-5)
    check_weights(algorithm, "actor", actor("final"), 1e-5)
    check_weights(algorithm, "temperature", {"log": torch.from_numpy(trace.arrays["final/log_alpha"]).reshape(1, 1)})


def normalised(parameters: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Scale and shift of layer normalisation as ours are called, shaped like a bias."""
    found = {}
    for name, value in parameters.items():
        if name.startswith("norm"):
            layer, part = name.removeprefix("norm").split(".")
            name, value = f"layer{layer}.{'scale' if part == 'weight' else 'shift'}", value.reshape(*value.shape)
            value = value.unsqueeze(-2) if value.dim() == 2 else value
        found[name] = value
    return found


def test_rebrac_replays_the_reference():
    trace = Trace("rebrac")
    c = trace.config
    assert c["policy_freq"] == ReBRAC.period
    config = ReBRACConfig(
        actor_penalty=c["actor_bc"],
        critic_penalty=c["critic_bc"],
        target_noise=c["policy_noise"],
        noise_clip=c["noise_clip"],
        discount=c["discount"],
        polyak=c["polyak"],
        hidden=tuple(c["hidden"]),
        learning_rate=c["lr"],
        critic_learning_rate=c["lr"],
    )
    algorithm = ReBRAC(config, SIZES, seeds=[0], total=trace.steps)
    parts = {
        "critic": lambda when: normalised(trace.ensemble(when, "critics")),
        "target_critic": lambda when: normalised(trace.ensemble(when, "critics_target")),
        "actor": lambda when: trace.parameters(when, "actor"),
        "target_actor": lambda when: trace.parameters(when, "actor_target"),
    }
    for network, recorded in parts.items():
        load(algorithm, network, recorded("init"))
    losses = replay(algorithm, trace)
    np.testing.assert_allclose(losses["critic_loss"], trace.metric("critic_loss"), rtol=1e-4)
    made = ~np.isnan(losses["actor_loss"])
    np.testing.assert_allclose(losses["actor_loss"][made], trace.metric("actor_loss")[made], rtol=1e-4)
    for network, recorded in parts.items():
        check_weights(algorithm, network, recorded("final"), 2e-4)


def test_xql_replays_the_reference():
    trace = Trace("xql")
    c = trace.config
    config = XQLConfig(
        temperature=c["loss_temp"],
        largest_exponent=c["max_clip"],
        beta=c["beta"],
        discount=c["discount"],
        polyak=c["polyak"],
        hidden=tuple(c["hidden"]),
        learning_rate=c["lr"],
        log_std_range=tuple(c["log_std_clip"]),
    )
    algorithm = XQL(config, SIZES, seeds=[0], total=c["cosine_actor_lr_steps"])
    parts = {
        "critic": lambda when: trace.parameters(when, "q1", "q2"),
        "target_critic": lambda when: trace.parameters(when, "q1_target", "q2_target"),
        "value": lambda when: normalised(trace.parameters(when, "v")),
        "actor": lambda when: trace.parameters(when, "actor"),
    }
    for network, recorded in parts.items():
        load(algorithm, network, recorded("init"))
    losses = replay(algorithm, trace)
    for name in ("value_loss", "critic_loss", "actor_loss"):
        np.testing.assert_allclose(losses[name], trace.metric(name), rtol=1e-4)
    for network, recorded in parts.items():
        check_weights(algorithm, network, recorded("final"), 2e-4)
