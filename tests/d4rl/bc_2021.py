# ruff: noqa
"""Linear behaviour cloning on D4RL in the style of 2021; test_scripts.py runs it, unedited."""

import argparse

import gym
import numpy as np
from gym.wrappers import RescaleAction

import d4rl


class NormalizeObs(gym.ObservationWrapper):
    def __init__(self, env, mean, std):
        super(NormalizeObs, self).__init__(env)
        self.mean, self.std = mean, std

    def observation(self, obs):
        return (obs - self.mean) / self.std


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--env", type=str, default="hopper-medium-v2")
    parser.add_argument("--h5path", type=str, default=None)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    env = gym.make(args.env)
    env.seed(args.seed)
    env.action_space.seed(args.seed)
    np.random.seed(args.seed)
    dataset = d4rl.qlearning_dataset(env, dataset=env.get_dataset(h5path=args.h5path))
    mean, std = dataset["observations"].mean(0), dataset["observations"].std(0) + 1e-3
    states = (dataset["observations"] - mean) / std
    weights = np.zeros((states.shape[1], env.action_space.shape[0]), dtype=np.float)
    for step in range(500):
        batch = np.random.randint(len(states), size=256)
        error = states[batch].dot(weights) - dataset["actions"][batch]
        weights -= 0.05 * states[batch].T.dot(error) / len(batch)
    env, returns = RescaleAction(NormalizeObs(env, mean, std), -1.0, 1.0), []
    for episode in range(2):
        obs, done, total, length = env.reset(), False, 0.0, 0
        while not done:
            obs, reward, done, info = env.step(np.clip(obs.dot(weights), -1, 1))
            total, length = total + reward, length + 1
        assert length <= env._max_episode_steps
        returns.append(total)
    print("rows %d error %.3f" % (len(states), np.square(error).mean()))
    print("D4RL score: %.3f" % (env.get_normalized_score(np.mean(returns)) * 100))
