"""A hundred evaluation episodes of Hopper, HalfCheetah and Walker2d, against the loop that other suites evaluate with.

The rival is that loop: ``gymnasium.make``, one environment, a torch policy with a batch of one, episode after episode.
offbench steps all episodes at once. Policy, starts and so the actions are the same but for the rounding of a matrix
product. The policy has two hidden layers of 256; its weights are those of the best behaviour that ships with offbench
where there is one, for long episodes, and random otherwise. The rival plays as many episodes as fit a time limit, and
its seconds a step count for the steps that offbench took.

The limit is MuJoCo itself: the same episodes, with the actions that were taken, as bare ``mj_step`` calls in as many
threads as offbench uses, each with whole episodes and nothing to wait for. All are timed in turns, because machines are
noisy, and medians count.
"""

import argparse
import statistics
import threading
import time
import warnings
from collections import deque

import gymnasium
import mujoco
import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from offbench.basis.cores import default_workers
from offbench.behaviours.ladder import folder, ladder
from offbench.environments.simulator import make_simulator
from offbench.environments.single import make_environment
from offbench.environments.task import Task, task
from offbench.evaluation.rollout import returns

TASKS, HIDDEN, EPISODES = ("hopper-v4", "halfcheetah-v4", "walker2d-v4"), 256, 100


def actor(chosen: Task, observation: int, action: int) -> tuple[nn.Module, str]:
    """The policy's network, without the last tanh's scale (actions lie in [-1, 1]), and where its weights come from."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(observation, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, action)
    )
    origin = "random weights"
    if (folder(chosen.name) / "ladder.json").exists():
        rung = ladder(chosen.name).expert.name
        weights = {
            name: value.float() for name, value in load_file(folder(chosen.name) / f"{rung}.safetensors").items()
        }
        with torch.no_grad():
            for i, layer in enumerate(network[::2]):
                # The last layer also gives standard deviations, after the means.
                size = layer.out_features
                layer.weight.copy_(weights[f"layer{i}.weight"][:, :size].T)
                layer.bias.copy_(weights[f"layer{i}.bias"][0, :size])
        origin = f"behaviour {rung}"
    return nn.Sequential(network, nn.Tanh()), origin


class Recorder:
    """A batched policy that keeps its actions."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.actions = network, []

    def act(self, observations: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            actions = self.network(torch.from_numpy(observations).float()).numpy()
        self.actions.append(actions)
        return actions

    def reset(self, mask: np.ndarray) -> None:
        self.actions = []


def rival(chosen: Task, network: nn.Module, limit: float) -> tuple[int, float]:
    """Steps and seconds of the loop over one environment, over whole episodes until ``limit`` seconds have passed."""
    environment = gymnasium.make(chosen.environment, **chosen.arguments)
    environment.reset(seed=0)
    steps, start = 0, time.perf_counter()
    for seed in range(EPISODES):
        observation, _ = environment.reset(seed=seed)
        ended = False
        while not ended:
            with torch.no_grad():
                state = torch.tensor(observation, dtype=torch.float32).unsqueeze(0)
                action = network(state).squeeze(0).numpy()
            observation, _, terminated, truncated, _ = environment.step(action)
            ended = terminated or truncated
            steps += 1
        if time.perf_counter() - start > limit:
            break
    seconds = time.perf_counter() - start
    environment.close()
    return steps, seconds


def bare(chosen: Task, actions: np.ndarray, lengths: list[int], threads: int) -> float:
    """Seconds of the physics alone: actions (time, episodes, action) of episodes of ``lengths`` steps."""
    environment = make_environment(chosen)
    inner = environment.unwrapped
    states = []
    for seed in range(EPISODES):
        environment.reset(seed=seed)
        states.append(mujoco.MjData(inner.model))
        mujoco.mj_copyData(states[-1], inner.model, inner.data)
    waiting = deque(sorted(range(EPISODES), key=lambda i: -lengths[i]))

    def work() -> None:
        while True:
            try:
                i = waiting.popleft()
            except IndexError:
                return
            state, control = states[i], states[i].ctrl
            for action in actions[: lengths[i], i]:
                control[:] = action
                mujoco.mj_step(inner.model, state, inner.frame_skip)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - start
    environment.close()
    return seconds


def compare(name: str, rounds: int, limit: float) -> None:
    """Time all three in turns; print rates, the ratio and the share of the physics' own rate."""
    chosen, threads = task(name), default_workers()
    simulator = make_simulator(chosen, EPISODES)
    network, origin = actor(chosen, simulator.observation_size, len(simulator.action_low))
    policy = Recorder(network)
    returns(simulator, policy, range(EPISODES))
    rates: dict[str, list[float]] = {"rival": [], "offbench": [], "mj_step": []}
    for _ in range(rounds):
        start = time.perf_counter()
        totals, lengths = returns(simulator, policy, range(EPISODES))
        rates["offbench"].append(sum(lengths) / (time.perf_counter() - start))
        rates["mj_step"].append(sum(lengths) / bare(chosen, np.stack(policy.actions), lengths, threads))
        steps, seconds = rival(chosen, network, limit)
        rates["rival"].append(steps / seconds)
    simulator.close()
    median = {key: statistics.median(values) for key, values in rates.items()}
    episodes = f"{EPISODES} episodes of {statistics.mean(lengths):.0f} steps, mean return {statistics.mean(totals):.0f}"
    print(f"{name}: {origin}, {episodes}, {threads} threads")
    for key, values in rates.items():
        print(f"  {key:9} {median[key]:7.0f} steps a second ({min(values):.0f} to {max(values):.0f})")
    ratio, most = median["offbench"] / median["rival"], median["mj_step"] / median["rival"]
    took = sum(lengths) / median["offbench"]
    print(
        f"  {took:.1f} s; {ratio:.2f} times the rival, {100 * ratio / most:.0f}% of the {most:.2f} of bare physics",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=3.0, help="seconds of the rival in one round and environment")
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    arguments = parser.parse_args()
    # For a hundred observations a second thread wins nothing, and while it waits for more it takes MuJoCo's processor.
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message=".*is out of date", category=DeprecationWarning)
    for name in arguments.tasks:
        compare(name, arguments.rounds, arguments.limit)


if __name__ == "__main__":
    main()
