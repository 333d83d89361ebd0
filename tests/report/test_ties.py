from typing import Any

import numpy as np
import pytest
from scipy import stats
from synthetic_records import make_evaluation, make_record, seeds

from offbench.report.ties import LEVEL, tied


def unpaired(scores: list[float], first: int) -> list[Any]:
    """One record a seed, none of whose starts another method has."""
    return [
        make_record(
            seed=seed, evaluations=[make_evaluation(1000, [-1200 + 10.5 * score], first_seed=first + 10 * seed)]
        )
        for seed, score in enumerate(scores)
    ]


@pytest.mark.parametrize("paired", [False, True])
def test_a_tie_is_a_difference_that_a_t_test_and_holm_leave_open(paired: bool) -> None:
    generator = np.random.default_rng(0)
    for _ in range(5):
        best, *others = (generator.normal(mean, 3, size=5) for mean in (60, 58, 54, 50))
        test = stats.ttest_rel if paired else lambda a, b: stats.ttest_ind(a, b, equal_var=False)
        p = [test(best, other).pvalue for other in others]
        rejected, still = [False] * 3, True
        for rank, i in enumerate(np.argsort(p)):  # Holm (1979), step by step
            still = still and p[i] <= LEVEL / (3 - rank)
            rejected[i] = still
        runs = [seeds(list(one)) if paired else unpaired(list(one), 1000 * i) for i, one in enumerate([best, *others])]
        assert tied(runs[0], runs[1:]) == [not one for one in rejected]


def test_methods_that_share_one_seed_of_many_are_not_tied_for_that() -> None:
    best = seeds([90.0, 91.0, 92.0, 93.0, 94.0])
    other = [record.model_copy(update={"seed": record.seed + 4}) for record in seeds([10.0, 11.0, 12.0, 13.0, 14.0])]
    assert tied(best, [other]) == [False]


def test_one_seed_is_tied_with_nothing_and_constants_only_with_themselves() -> None:
    assert tied(seeds([3.0]), [seeds([3.0, 4.0]), seeds([2.0])]) == [False, False]
    assert tied(seeds([3.0, 4.0]), [seeds([3.0]), seeds([2.0, 5.0])]) == [False, True]
    assert tied(seeds([3.0, 3.0]), [seeds([3.0, 3.0]), seeds([2.0, 2.0])]) == [True, False]
    assert tied(seeds([3.0, 3.0]), []) == []
