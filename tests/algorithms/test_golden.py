import numpy as np
import pytest
import torch
from golden import Trace, check_weights, load

from offbench.algorithms.awac import AWAC, AWACConfig
from offbench.algorithms.base import Sizes
from offbench.algorithms.bc import BC, BCConfig
from offbench.algorithms.edac import EDAC
from offbench.algorithms.iql import IQL, IQLConfig
from offbench.algorithms.sac_n import SACN
from offbench.algorithms.td3_bc import TD3BC, TD3BCConfig

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
