import numpy as np
import pytest
from scipy import stats

from offbench.report.ties import LEVEL, tied


def test_a_tie_is_a_difference_that_welch_and_holm_leave_open() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        best, *others = (generator.normal(mean, 3, size=5) for mean in (60, 58, 54, 50))
        p = [stats.ttest_ind(best, other, equal_var=False).pvalue for other in others]
        rejected, still = [False] * 3, True
        for rank, i in enumerate(np.argsort(p)):  # Holm (1979), step by step
            still = still and p[i] <= LEVEL / (3 - rank)
            rejected[i] = still
        assert tied(best, others) == [not one for one in rejected]


def test_one_seed_is_tied_with_nothing_and_constants_only_with_themselves() -> None:
    assert tied([3.0], [[3.0, 4.0], [2.0]]) == [False, False]
    assert tied([3.0, 4.0], [[3.0], [2.0, 5.0]]) == [False, True]
    assert tied([3.0, 3.0], [[3.0, 3.0], [2.0, 2.0]]) == [True, False]
    assert tied([3.0, 3.0], []) == []


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_equal_methods_are_mostly_tied(seeds: int) -> None:
    generator = np.random.default_rng(seeds)
    trials = [tied(*(lambda a: (a[0], [a[1]]))(generator.normal(size=(2, seeds)))) for _ in range(300)]
    assert np.mean([one for (one,) in trials]) >= 0.92
