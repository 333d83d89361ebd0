"""A file on disk is known as a card's by its content, or by its published name."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import offbench
from offbench.algorithms import registry
from offbench.catalog import identify as module
from offbench.catalog.cards import Card, File
from offbench.catalog.identify import identify, published
from offbench.data.trajectories import Trajectories


@pytest.fixture
def hopper(shared: Path) -> Path:
    return shared / "real" / "d4rl_slices" / "hopper_medium-v2.hdf5"


def test_d4rls_own_name_of_a_file_brings_the_presets(hopper: Path) -> None:
    data = offbench.load(hopper)
    assert data.provenance.like == "d4rl/hopper-medium-v2"
    assert data.provenance.task is None  # its content is another
    assert "its name is that of a file of d4rl/hopper-medium-v2, and its content is another" in data.provenance.notes
    config = registry.configure(registry.algorithm("iql"), data.provenance.like, {})
    assert config.actor == "deterministic"
    assert published(str(hopper)) == "d4rl/hopper-medium-v2"


def test_any_name_of_the_published_content_is_the_dataset(
    hopper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = hopper.read_bytes()
    file = File(url="https://host/x.hdf5", size=len(content), sha256=hashlib.sha256(content).hexdigest())
    card = Card(
        id="test/hopper-v0", task="hopper-v4", description="x", files=(file,), reader="d4rl", known_defects=("odd",)
    )
    monkeypatch.setattr(module, "_single_files", lambda: ((card, file),))
    copy = tmp_path / "downloaded (1).hdf5"
    copy.write_bytes(content)
    data = offbench.load(copy)
    provenance = data.provenance
    assert (provenance.dataset, provenance.task, provenance.like) == (card.id, "hopper-v4", card.id)
    assert "odd" in provenance.notes
    copy.write_bytes(content[:-1] + b"x")  # as long, and another
    assert identify(copy) is None


def test_what_nobody_published_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.hdf5"
    path.write_bytes(b"mine")
    assert identify(path) is None
    assert identify(tmp_path) is None
    assert published(str(path)) == published("nowhere/nothing-v0") == ""
    assert published("offbench/hopper/medium-v0") == "d4rl/hopper-medium-v2"
    assert published("d4rl/pen-human-v1?actions=none") == "d4rl/pen-human-v1"


def test_what_is_like_a_dataset_stays_so_when_it_is_cut(hopper: Path) -> None:
    data = offbench.load(hopper)
    assert isinstance(data, Trajectories)
    assert data[:1].provenance.like == data.best(0.5).provenance.like == "d4rl/hopper-medium-v2"
