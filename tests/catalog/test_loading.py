import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from offbench.catalog import loading
from offbench.catalog.cards import Card, card
from offbench.catalog.loading import load, load_card
from offbench.catalog.store import generated_path
from offbench.errors import DataError, OffbenchError, UnknownNameError
from offbench.formats import native

STITCH = "offbench/pointmaze/stitch-v0"


@pytest.fixture
def small(monkeypatch) -> Card:
    """A stitch of 8 episodes that load() takes for the whole one."""
    original = card(STITCH)
    few = original.model_copy(update={"steps": 1600, "recipe": original.recipe.model_copy(update={"episodes": 8})})
    monkeypatch.setattr(loading, "cards", lambda: {STITCH: few})
    monkeypatch.setattr(loading, "card", {STITCH: few}.__getitem__)
    return few


def test_generated_on_first_use_and_mapped_afterwards(small, tmp_path, monkeypatch):
    first = load(STITCH, cache=tmp_path)
    assert first.steps == 1600
    assert first.provenance.dataset == STITCH
    assert first.provenance.task == "pointmaze-stitch"
    monkeypatch.setattr("offbench.catalog.generated.generate", lambda *_: pytest.fail("generated a second time"))
    again = load(STITCH, cache=tmp_path)
    assert again.digest == first.digest
    assert again.provenance == first.provenance
    assert not again.observations.flags.writeable


def test_the_cache_folder_can_be_moved(small, tmp_path, monkeypatch):
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "elsewhere"))
    load(STITCH)
    assert generated_path(small).is_file()
    assert generated_path(small).is_relative_to(tmp_path / "elsewhere")


def test_revision_and_recipe_change_the_file(small, tmp_path):
    paths = {
        generated_path(changed, tmp_path)
        for changed in (
            small,
            small.model_copy(update={"revision": 2}),
            small.model_copy(update={"recipe": small.recipe.model_copy(update={"seed": 9})}),
        )
    }
    assert len(paths) == 3


def test_a_damaged_cache_file_is_made_anew(small, tmp_path):
    digest = load(STITCH, cache=tmp_path).digest
    path = generated_path(small, tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    assert load(STITCH, cache=tmp_path).digest == digest
    assert native.load(path).digest == digest


def test_two_at_once_end_with_one_good_file(small, tmp_path):
    digests = []
    threads = [threading.Thread(target=lambda: digests.append(load(STITCH, cache=tmp_path).digest)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(digests) == 3
    assert len(set(digests)) == 1
    assert list(tmp_path.rglob("*.*")) == [generated_path(small, tmp_path)]


def test_a_cache_that_cannot_be_written_is_named(small, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OffbenchError, match=r"cannot write .*file"):
        load(STITCH, cache=tmp_path / "file")


def test_native_files_and_hdf5_files_load_by_path(small, shared, tmp_path):
    made = load_card(small, tmp_path)
    native.save(made, tmp_path / "copy.offbench")
    assert load(str(tmp_path / "copy.offbench")).digest == made.digest
    for suffix in ("hdf5", "data"):
        copy = tmp_path / f"slice.{suffix}"
        shutil.copy(shared / "real" / "d4rl_slices" / "hopper_medium-v2.hdf5", copy)
        episodes = load(copy)
        assert episodes.returns.tolist() == pytest.approx([1465.2, 1412.7], abs=0.1)


def test_what_does_not_exist_is_told_apart(tmp_path):
    for source in (
        "missing.hdf5",
        "missing.npz",
        "missing.toml",
        "./missing",
        "~/missing",
        str(tmp_path / "missing"),
        Path("missing"),
    ):
        with pytest.raises(DataError, match=r"there is no file .*missing"):
            load(source)
    with pytest.raises(DataError, match="is an empty folder"):
        load(tmp_path)
    with pytest.raises(UnknownNameError, match=r"no dataset named 'offbench/pointmaze/stitch'.*stitch-v0"):
        load("offbench/pointmaze/stitch")


def test_a_file_that_is_neither_is_refused(tmp_path):
    for name in ("text.txt", "text.hdf5"):
        (tmp_path / name).write_text("hello")
        with pytest.raises(DataError, match=name):
            load(tmp_path / name)


def test_a_cached_dataset_needs_no_simulator(small, tmp_path):
    load_card(small, tmp_path)
    script = (
        "import sys; from pathlib import Path; from offbench.catalog.loading import load\n"
        f"load(Path({str(generated_path(small, tmp_path))!r}))\n"
        "assert not {'torch', 'gymnasium', 'mujoco'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])
