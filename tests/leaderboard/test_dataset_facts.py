import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from offbench.catalog import store
from offbench.catalog.cards import card
from offbench.data.trajectories import Trajectories
from offbench.leaderboard.dataset_facts import facts, measured

PENDULUM = "offbench/pendulum/swingup-v0"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_numbers_of_a_dataset():
    data = Trajectories(
        observations=np.zeros((7, 2), np.float32),
        actions=np.zeros((5, 1), np.float32),
        rewards=np.array([1, 2, 3, 4, 5], np.float32),
        offsets=np.array([0, 2, 5]),
        terminations=np.array([False, True, False, False, False]),
        truncations=np.array([False, False, False, False, True]),
    )
    found = measured(data, None)
    assert (found.episodes, found.steps, found.observation, found.action) == (2, 5, (2,), (1,))
    assert found.lengths == (2.0, 2.5, 3.0)
    assert found.returns == (3.0, 7.5, 12.0)
    assert found.terminated == 0.5
    assert found.scores is None
    assert sum(found.counts) == 2
    assert (found.edges[0], found.edges[-1]) == (3.0, 12.0)


def test_data_that_are_not_here_are_neither_fetched_nor_generated(tmp_path: Path):
    for name in (PENDULUM, "d4rl/hopper-medium-v2"):
        found = facts(card(name), tmp_path)
        assert found.statistics is None
        assert f"offbench data fetch {name}" in (found.missing or "")
    assert list(tmp_path.rglob("*")) == []


def test_facts_and_pictures_are_made_once(cache: Path):
    first = facts(card(PENDULUM), cache, generate=True)
    assert first.statistics is not None
    assert first.statistics.episodes == 500
    assert first.statistics.scores is not None
    assert first.strip is not None
    assert first.film is not None
    with Image.open(first.strip) as strip, Image.open(first.film) as film:
        assert strip.size == (3 * 240, 2 * 180)
        assert film.n_frames > 20  # type: ignore[attr-defined]
    # What was kept is enough: the data are not looked at again.
    store.generated_path(card(PENDULUM), cache).unlink()
    assert facts(card(PENDULUM), cache) == first


@pytest.mark.parametrize("content", ["{", "{}", None])
def test_kept_facts_that_are_broken_or_old_are_not_shown(content: str | None, cache: Path, tmp_path: Path):
    facts(card(PENDULUM), cache, generate=True)
    (kept,) = (cache / "leaderboard").glob("*.json")
    copy = tmp_path / "leaderboard" / kept.name
    copy.parent.mkdir()
    copy.write_text(content or json.dumps({**json.loads(kept.read_text()), "version": 0}))
    assert facts(card(PENDULUM), tmp_path).statistics is None
