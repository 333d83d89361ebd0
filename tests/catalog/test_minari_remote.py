"""Minari datasets by id, with a dataset that the minari library itself recorded here, and with a remote that fails."""

import warnings

import gymnasium
import numpy as np
import pytest

from offbench.catalog import minari_remote, store
from offbench.catalog.cards import Card, card
from offbench.catalog.loading import load, load_card
from offbench.errors import DataError, OffbenchError, UnknownNameError

minari = pytest.importorskip("minari")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OFFBENCH_OFFLINE", raising=False)


def create(name: str, lengths: tuple[int, ...]) -> None:
    """A dataset that the minari library writes: episodes of those lengths, a reward of 1 a step, truncated."""
    draw = np.random.default_rng(0)
    buffers = [
        minari.data_collector.EpisodeBuffer(
            observations=draw.normal(size=(length + 1, 3)).astype(np.float32),
            actions=draw.uniform(-1, 1, (length, 1)).astype(np.float32),
            rewards=[1.0] * length,
            terminations=[False] * length,
            truncations=[False] * (length - 1) + [True],
        )
        for length in lengths
    ]
    box = gymnasium.spaces.Box
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it misses an author
        minari.create_dataset_from_buffers(
            name, buffers, action_space=box(-1, 1, (1,)), observation_space=box(-np.inf, np.inf, (3,))
        )


@pytest.fixture
def recorded(surroundings):
    create("pendulum/random-v0", (5, 7, 9))


def test_a_dataset_that_minari_recorded_loads_by_its_id_and_is_cached(recorded, tmp_path, monkeypatch):
    first = load("minari/pendulum/random-v0")
    assert (len(first), first.steps) == (3, 21)
    assert first.truncations.sum() == 3
    assert first.observations.shape == (24, 3)
    assert first.returns.tolist() == [5, 7, 9]
    monkeypatch.setattr(minari_remote, "read_minari", lambda *_: pytest.fail("read a second time"))
    again = load("minari/pendulum/random-v0")
    assert again.digest == first.digest
    assert not again.observations.flags.owndata
    assert load("minari/pendulum/random-v0?actions=none").actions is None


def test_the_folder_of_a_minari_dataset_loads_too(recorded, tmp_path):
    assert load(tmp_path / "minari/pendulum/random-v0").steps == 21
    with pytest.raises(
        DataError, match=r"is a folder that holds .*Minari dataset, which has data/metadata.json, would be right"
    ):
        load(tmp_path)


def test_a_card_gives_task_and_id(recorded):
    chosen = Card(id="minari/pendulum/random-v0", task="pendulum", description="x", minari="pendulum/random-v0")
    assert not store.is_cached(chosen)
    loaded = load_card(chosen)
    assert store.is_cached(chosen)
    assert (loaded.provenance.dataset, loaded.provenance.task) == ("minari/pendulum/random-v0", "pendulum")
    removed = store.remove(chosen)
    assert [path.suffix for path in removed] == [".offbench"]
    assert load_card(chosen).digest == loaded.digest


def test_what_minari_lacks_is_downloaded_by_the_library_once(tmp_path, monkeypatch):
    asked = []

    def download(name):
        asked.append(name)
        create(name, (2,))

    monkeypatch.setattr(minari_remote.minari, "download_dataset", download)
    for _ in range(2):
        assert load("minari/mujoco/hopper/expert-v0").steps == 2
    assert asked == ["mujoco/hopper/expert-v0"]


def test_failures_of_the_remote_become_one_sentence(monkeypatch):
    def fail(name):
        raise ConnectionError("no route to host\nand a long tale")

    monkeypatch.setattr(minari_remote.minari, "download_dataset", fail)
    with pytest.raises(OffbenchError, match=r"could not download mujoco/hopper/expert-v0: no route to host$"):
        load("minari/mujoco/hopper/expert-v0")
    monkeypatch.setenv("OFFBENCH_OFFLINE", "1")
    with pytest.raises(OffbenchError, match="OFFBENCH_OFFLINE is set"):
        load_card(card("minari/D4RL/pen/human-v2"))


def test_an_id_that_neither_catalogue_nor_minari_know_lists_near_ones():
    with pytest.raises(UnknownNameError, match=r"nearest: .*minari/mujoco/hopper/expert-v0"):
        load("minari/mujoco/hoper/expert-v0")
