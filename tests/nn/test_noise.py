import torch
from scipy import stats

from offbench.nn.noise import dropout_masks, standard_normal


def masks(keys, step, rate=0.25):
    return dropout_masks(torch.tensor(keys), torch.tensor(step), (64, 32), 50, rate)


def test_drops_the_asked_share_and_keeps_the_mean():
    first, second = masks([0, 1, 2, 3], 7)
    assert (first.shape, second.shape) == ((4, 50, 64), (4, 50, 32))
    dropped = float((first == 0).double().mean())
    assert abs(dropped - 0.25) < 0.01  # 12,800 units: a standard error of 0.004
    assert set(first.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}


def test_is_a_function_of_seed_and_update_alone():
    together, alone = masks([5, 8], 3)[0], masks([8], 3)[0]
    assert torch.equal(together[1], alone[0])
    assert not torch.equal(masks([8], 4)[0], alone)
    assert not torch.equal(together[0], together[1])


def test_units_steps_and_seeds_are_uncorrelated():
    drawn = torch.stack([masks([0, 1], step, 0.5)[0].flatten() for step in range(40)])
    correlations = torch.corrcoef((drawn > 0).double())
    off = correlations - torch.eye(40)
    assert off.abs().max() < 5 / 80  # 6,400 units: a standard error of 1/80


def normals(keys, step, name="action", shape=(500, 8)):
    return standard_normal(torch.tensor(keys), torch.tensor(step), name, shape, torch.float64)


def test_normal_numbers_are_standard_normal():
    drawn = normals([0, 1, 2, 3], 11)
    assert drawn.shape == (4, 500, 8)
    assert stats.kstest(drawn.flatten().numpy(), "norm").pvalue > 1e-3


def test_normal_numbers_of_seeds_updates_and_names_are_uncorrelated():
    sets = [normals([seed], step, name) for seed in (0, 1) for step in range(10) for name in ("action", "target")]
    correlations = torch.corrcoef(torch.stack([drawn.flatten() for drawn in sets]))
    assert (correlations - torch.eye(40)).abs().max() < 5 / 4000**0.5


def test_normal_numbers_do_not_depend_on_which_seeds_train_together():
    assert torch.equal(normals([5, 8], 3)[1], normals([8], 3)[0])
