"""What each network computes, against torch's own layers and formulas written out."""

import math

import pytest
import torch

from offbench.labelling.reward_models import RewardConfig
from offbench.labelling.reward_networks import Attentive, Markovian, Recurrent

OBSERVATION, ACTION, LENGTH = 3, 2, 6
NETWORKS = {
    "markovian": Markovian(OBSERVATION + ACTION, (16, 16)),
    "lstm": Recurrent(OBSERVATION + ACTION, 8),
    "transformer": Attentive(OBSERVATION, ACTION, 8, 2, 2, 10),
    "plain head": Attentive(OBSERVATION, ACTION, 8, 1, 2, 10, attends=False),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param]


def steps(seeds: int = 2, batch: int = 3, length: int = LENGTH) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(seeds, batch, length, OBSERVATION + ACTION, generator=generator, dtype=torch.float64)


def test_rewards_depend_on_nothing_later_and_on_both_state_and_action(network):
    parameters, given = network.initialise([0, 1], "r"), steps()
    plain = network.rewards(parameters, given)
    for column in (0, OBSERVATION):
        changed = given.clone()
        changed[:, :, 3, column] += 1
        moved = (network.rewards(parameters, changed) - plain).abs().amax((0, 1))
        assert (moved[:3] == 0).all()
        assert moved[3] > 0
        assert bool((moved[4:] > 0).all()) is network.looks_back


def test_the_last_reward_alone_is_the_last_of_all(network):
    parameters, given = network.initialise([0, 1], "r"), steps()
    alone = network.rewards(parameters, given, last=True)
    torch.testing.assert_close(alone, network.rewards(parameters, given)[:, :, -1:], rtol=1e-12, atol=1e-14)


def test_masks_of_ones_drop_nothing_and_fit(network):
    parameters, given = network.initialise([0, 1], "r"), steps()
    masks = [torch.ones(2, 3, size, dtype=torch.float64) for size in network.mask_sizes(LENGTH)]
    kept = network.judged(parameters, given, masks)
    torch.testing.assert_close(kept, network.judged(parameters, given), rtol=1e-10, atol=1e-12)
    if masks:
        gone = network.judged(parameters, given, [torch.zeros_like(mask) for mask in masks])
        assert gone.std((1, 2)).max() < 1e-12  # nothing of the steps is left


def test_the_mlp_begins_small_and_has_no_offset():
    network = Markovian(5, (300, 400))
    parameters = network.initialise([0], "r")
    weight = parameters["layer2.weight"]
    assert weight.abs().max() <= math.sqrt(3 * 0.01 / 400)
    assert weight.var().item() == pytest.approx(0.01 / 400, rel=0.1)
    assert not parameters["layer2.bias"].any()


def test_the_lstm_is_torchs():
    network = NETWORKS["lstm"]
    parameters, given = network.initialise([3], "r"), steps(1)
    size = 4
    lstm = torch.nn.LSTM(size, size, batch_first=True, dtype=torch.float64)
    weight, bias = parameters["gates.layer0.weight"][0], parameters["gates.layer0.bias"][0, 0]
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(weight[:size].T)
        lstm.weight_hh_l0.copy_(weight[size:].T)
        lstm.bias_ih_l0.copy_(bias)
        lstm.bias_hh_l0.zero_()

        def layers(part, x, count, last):
            for i in range(count):
                x = x @ parameters[f"{part}.layer{i}.weight"][0] + parameters[f"{part}.layer{i}.bias"][0]
                x = x if i == count - 1 and last else torch.relu(x)
            return x

        read = layers("read", given[0], 3, last=False)
        expected = layers("tell", torch.cat([read, lstm(read)[0]], -1), 4, last=True)[..., 0]
    torch.testing.assert_close(network.rewards(parameters, given)[0], expected)


def test_preference_attention_weighs_all_steps_by_all_others():
    network = NETWORKS["transformer"]
    parameters, given = network.initialise([0], "r"), steps(1)
    for name in ("attend.weight", "attend.bias"):  # initial weights attend to all alike
        parameters[name] = torch.randn(parameters[name].shape, generator=torch.Generator().manual_seed(1)).double()
    told = network._told(parameters, network._read(parameters, given, None, slice(1, None, 2)))
    queries, keys, rewards = told[..., :8], told[..., 8:16], told[..., 16]
    torch.testing.assert_close(rewards, network.rewards(parameters, given))
    expected = torch.zeros(1, 3, LENGTH, dtype=torch.float64)
    for pair in range(3):
        for t in range(LENGTH):
            scores = torch.stack([queries[0, pair, t] @ keys[0, pair, j] for j in range(LENGTH)]) / math.sqrt(8)
            weights = torch.exp(scores) / torch.exp(scores).sum()
            expected[0, pair, t] = (weights * rewards[0, pair]).sum()
    torch.testing.assert_close(network.judged(parameters, given), expected)
    changed = given.clone()
    changed[:, :, -1] += 1
    assert ((network.judged(parameters, changed) - expected).abs()[..., 0] > 0).all()  # the first looks ahead


def test_without_preference_attention_segments_are_judged_by_rewards():
    network = NETWORKS["plain head"]
    parameters, given = network.initialise([0, 1], "r"), steps()
    assert torch.equal(network.judged(parameters, given), network.rewards(parameters, given))


def test_times_tell_steps_apart():
    network = NETWORKS["plain head"]
    parameters = network.initialise([0], "r")
    same = steps(1, 1, 1).expand(-1, -1, LENGTH, -1)
    assert network.rewards(parameters, same).std() > 0
    parameters["time.weight"] = torch.zeros_like(parameters["time.weight"])
    assert network.rewards(parameters, same).std() < 1e-12


def test_configs_name_the_networks():
    config = RewardConfig(model="transformer", embedding=8, layers=2, heads=2, longest=10)
    assert config.network(OBSERVATION, ACTION) == NETWORKS["transformer"]
    assert RewardConfig(model="lstm", embedding=8).network(OBSERVATION, ACTION) == NETWORKS["lstm"]
    assert RewardConfig(hidden=(16, 16)).network(OBSERVATION, ACTION) == NETWORKS["markovian"]
