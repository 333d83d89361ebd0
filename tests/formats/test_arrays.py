"""Arrays of one's own as trajectories, and what trajectories lay out becomes them again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from trajectory_strategies import Episode, episode_lists, pack

from offbench.data.trajectories import Provenance
from offbench.errors import DataError
from offbench.formats.arrays import from_arrays


def rows(**changes: Any) -> dict[str, Any]:
    columns = {
        "observations": np.arange(12.0).reshape(6, 2),
        "actions": np.linspace(-1, 1, 6),
        "rewards": np.ones(6),
        "terminals": [0, 0, 1, 0, 0, 0],
        "timeouts": [0, 0, 0, 0, 0, 1],
    }
    return columns | changes


def test_rows_become_episodes() -> None:
    data = from_arrays(rows(goal=np.arange(6)), name="mine", task="pendulum", action_range=(-1, 1))
    assert data.lengths.tolist() == [3, 3]
    assert data.terminations.tolist() == [False, False, True, False, False, False]
    assert data.actions is not None
    assert data.actions.shape == (6, 1)
    assert [bound.tolist() for bound in data.action_range or ()] == [[-1], [1]]
    assert data.extras["goal"].tolist() == list(range(6))
    assert (data.provenance.dataset, data.provenance.task) == ("mine", "pendulum")
    assert from_arrays(rows(), action_range=([-2], [3])).action_range[1].tolist() == [3]  # type: ignore[index]


def test_other_names_are_known_and_told() -> None:
    named = rows()
    named["terminated"], named["truncated"] = named.pop("terminals"), named.pop("timeouts")
    named["obs"], named["next_obs"] = named.pop("observations"), np.arange(12.0).reshape(6, 2) + 2
    data = from_arrays(named)
    assert data.lengths.tolist() == [3, 3]
    assert data.final_observations is not None
    assert data.final_observations.all()
    assert any("obs" in note for note in data.provenance.notes)


def test_a_clock_ends_episodes_that_nothing_else_ends() -> None:
    data = from_arrays({"observations": np.zeros((7, 2))}, episode_limit=3)
    assert data.lengths.tolist() == [3, 3, 1]
    assert data.actions is None
    assert data.rewards is None


@settings(max_examples=60, deadline=None)
@given(episode_lists())
def test_what_is_laid_out_becomes_the_same_again(drawn: tuple[list[Episode], Episode]) -> None:
    data = pack(*drawn)
    flat = data.observations.dtype == np.float32 and data.final_observations is not None
    if not flat or not len(data) or not data.final_observations.all() or len(data.inner_terminations):  # type: ignore[union-attr]
        return
    if not (data.terminations | data.truncations)[data.offsets[1:] - 1][:-1].all():
        return  # an end without a flag is none in rows
    back = from_arrays(dict(data), action_range=data.action_range)  # type: ignore[call-overload]
    assert back.offsets.tolist() == data.offsets.tolist()
    for name in list(data.without(*data.extras).keys()):
        assert np.array_equal(back[name], data[name])
    assert back.provenance == Provenance(notes=back.provenance.notes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rewards": np.ones(5)}, "rewards of these arrays has 5 rows; 6 would be right"),
        ({"rewards": [None] * 6}, "rewards of these arrays has dtype object; an array of numbers"),
        ({"rewards": 1.0}, "rewards of these arrays has no rows"),
        ({"rewards": np.full(6, np.nan)}, "rewards of these arrays has NaN"),
        ({"done": np.ones(6), "dones": np.zeros(6)}, "has both done and dones, which differ"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        from_arrays(rows(**changes))
    with pytest.raises(DataError, match="these arrays has no observations"):
        from_arrays({"actions": np.zeros(3)})
