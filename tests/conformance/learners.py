"""A sound learner in NumPy, and others that each do one thing wrong."""

import numpy as np


def features(observations):
    return np.concatenate([observations, np.tanh(observations), np.ones((len(observations), 1))], axis=1)


class Policy:
    def __init__(self, weights):
        self.weights = weights

    def act(self, observations):
        return features(observations) @ self.weights


class Ridge:
    """Least squares from states to actions."""

    policy = Policy

    def fit(self, data, task, seed, budget):
        states = np.concatenate([episode.observations[:-1] for episode in data])
        x = features(states)
        return self.policy(np.linalg.solve(x.T @ x + 1e-3 * np.eye(x.shape[1]), x.T @ data.actions))


class FlatPolicy(Policy):
    def act(self, observations):
        return super().act(observations)[:, 0]


class Flat(Ridge):
    policy = FlatPolicy


class SamplingPolicy(Policy):
    def act(self, observations):
        return super().act(observations) + 0.1 * np.random.default_rng().normal(size=(len(observations), 2))


class Sampling(Ridge):
    policy = SamplingPolicy


class HiddenGenerator(Ridge):
    def fit(self, data, task, seed, budget):
        policy = super().fit(data, task, seed, budget)
        policy.weights = policy.weights + 0.01 * np.random.default_rng().normal(size=policy.weights.shape)
        return policy


class BatchNormalisingPolicy(Policy):
    def act(self, observations):
        return super().act(observations - observations.mean(0))


class BatchNormalising(Ridge):
    policy = BatchNormalisingPolicy


class Overflowing(Ridge):
    def fit(self, data, task, seed, budget):
        policy = super().fit(data, task, seed, budget)
        with np.errstate(over="ignore", invalid="ignore"):
            largest = np.exp(np.abs(data.observations)).max()
            policy.weights = policy.weights * (largest / largest)
        return policy


class WrongSign(Ridge):
    def fit(self, data, task, seed, budget):
        policy = super().fit(data, task, seed, budget)
        policy.weights = -policy.weights
        return policy


class NoPolicy(Ridge):
    def fit(self, data, task, seed, budget):
        return super().fit(data, task, seed, budget).weights


class ChangesTheData(Ridge):
    def fit(self, data, task, seed, budget):
        data.observations -= data.observations.mean(0)
        return super().fit(data, task, seed, budget)
