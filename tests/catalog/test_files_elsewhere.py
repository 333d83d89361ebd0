"""Second hosts, files that other libraries have downloaded already, and what is said where nothing helps."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from offbench.catalog import elsewhere, store
from offbench.catalog.cards import Card, card, cards, read_cards
from offbench.catalog.download import fetch
from offbench.catalog.http import Patience
from offbench.errors import OffbenchError


def hopper(content: bytes) -> Card:
    """A card of D4RL whose published file has this content."""
    found = card("d4rl/hopper-medium-v2")
    file = found.files[0].model_copy(update={"size": len(content), "sha256": hashlib.sha256(content).hexdigest()})
    return found.model_copy(update={"files": (file,)})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OFFBENCH_OFFLINE", "1")
    monkeypatch.delenv(elsewhere.D4RL_VARIABLE, raising=False)
    return tmp_path


def test_every_d4rl_file_with_a_checksum_has_two_hosts():
    for each in cards().values():
        if each.id.startswith("d4rl/"):
            hosts = {url.split("/")[2] for url in each.files[0].urls}
            assert hosts == {"rail.eecs.berkeley.edu"} | ({"huggingface.co"} if each.files[0].sha256 else set())
            assert all(url.rpartition("/")[2] == each.files[0].name for url in each.files[0].urls)


def test_mirrors_of_a_family_are_completed_and_checked(tmp_path: Path):
    path = tmp_path / "cards.toml"
    text = """
reader = "d4rl"
address = "http://one/folder/"
mirrors = {mirrors}

[[dataset]]
id = "a/one"
description = "x"
files = [{{ url = "deep/one.hdf5", sha256 = "{digits}" }}]

[[dataset]]
id = "a/two"
description = "x"
files = [{{ url = "two.hdf5" }}]
"""
    path.write_text(text.format(mirrors='["https://two/all/"]', digits=64 * "0"))
    one, two = read_cards(path)
    assert one.files[0].urls == ("http://one/folder/deep/one.hdf5", "https://two/all/one.hdf5")
    assert two.files[0].urls == ("http://one/folder/two.hdf5",)  # nothing would tell whether the bytes are the same
    path.write_text(text.format(mirrors='"https://two/all"', digits=64 * "0"))
    with pytest.raises(OffbenchError, match=r"mirrors: a list of addresses that end in /"):
        read_cards(path)


@pytest.mark.parametrize("by_variable", [True, False])
def test_a_file_that_d4rl_has_is_used_without_a_copy(home: Path, monkeypatch: pytest.MonkeyPatch, by_variable: bool):
    folder = home / "data" if by_variable else home / ".d4rl" / "datasets"
    folder.mkdir(parents=True)
    if by_variable:
        monkeypatch.setenv(elsewhere.D4RL_VARIABLE, str(folder))
    found = hopper(b"published")
    there = folder / found.files[0].name
    there.write_bytes(b"published")
    path = store.fetch_file(found, found.files[0])
    assert path.is_symlink()
    assert path.resolve() == there.resolve()
    store.remove(found)
    assert there.read_bytes() == b"published"


def test_ogbenchs_folder_is_known(home: Path):
    found = card("ogbench/cube-single-play-v0")
    folder = home / ".ogbench" / "data"
    folder.mkdir(parents=True)
    (folder / found.files[0].name).write_bytes(b"no checksum was published")
    assert elsewhere.find(found, found.files[0]) == (folder / found.files[0].name).resolve()


def test_another_file_is_passed_over_or_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    found = hopper(b"published")
    folder = home / ".d4rl" / "datasets"
    folder.mkdir(parents=True)
    (folder / found.files[0].name).write_bytes(b"regenerated")
    assert elsewhere.find(found, found.files[0]) is None
    assert "is passed over" in capsys.readouterr().err
    monkeypatch.setenv(elsewhere.D4RL_VARIABLE, str(folder))
    with pytest.raises(OffbenchError, match=r"is not the published file .*--data hopper-medium-v2="):
        elsewhere.find(found, found.files[0])


def test_a_failed_download_says_what_else_there_is(home: Path):
    found = card("d4rl/hopper-medium-v2")
    with pytest.raises(OffbenchError) as error:
        store.fetch_file(found, found.files[0])
    told = str(error.value)
    assert "OFFBENCH_OFFLINE" in told
    assert "~/.d4rl/datasets/hopper_medium-v2.hdf5" in told
    assert "offbench data regenerate" in told
    assert "offbench/hopper/medium-100k-v0" in told or "offbench/hopper/medium-v0" in told


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("hopper-expert-v2", "offbench/hopper/expert-v0"),
        ("walker2d-full-replay-v2", "offbench/walker2d/medium-replay-v0"),
        ("maze2d-large-v1", "offbench/pointmaze/large-v0"),
        ("pen-human-v1", ""),
    ],
)
def test_the_nearest_generated_set(name: str, near: str):
    assert elsewhere.nearest(card(f"d4rl/{name}")) == near


def test_a_host_that_does_not_answer_is_given_up_soon(tmp_path: Path):
    patience = Patience(timeout=0.2, attempts=50, pause=0.01, longest=10)
    start = time.monotonic()
    with pytest.raises(OffbenchError, match="could not be downloaded"):
        fetch(("http://127.0.0.1:9/file.bin",), tmp_path / "file.bin", patience=patience)  # nobody listens there
    assert time.monotonic() - start < 2
