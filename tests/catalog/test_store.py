"""Downloaded datasets in the cache: fetched, verified, recorded, described, removed."""

import hashlib
import shutil
from pathlib import Path

import pytest
from faulty_server import serving

from offbench.catalog import loading, store
from offbench.catalog.cards import Card, card, cards
from offbench.catalog.loading import card_of, load, load_card
from offbench.errors import DataError, OffbenchError
from offbench.formats import native


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "OFFBENCH_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OFFBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def slice_path(shared) -> Path:
    return shared / "real" / "d4rl_slices" / "hopper_medium-v2.hdf5"


def make_card(url: str, **file) -> Card:
    return Card.model_validate(
        {
            "id": "test/hopper-v0",
            "revision": 2,
            "task": "hopper-v4",
            "description": "Two episodes.",
            "reader": "d4rl",
            "known_defects": ["it has two episodes alone"],
            "files": [{"url": url, "name": "hopper.hdf5", **file}],
        }
    )


def certain(path: Path) -> dict[str, object]:
    content = path.read_bytes()
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_a_published_file_is_fetched_verified_read_and_described(slice_path, tmp_path, capsys):
    with serving(slice_path.read_bytes()) as server:
        chosen = make_card(server.url, **certain(slice_path))
        assert not store.is_cached(chosen)
        first = load_card(chosen)
        again = load_card(chosen)
        assert len(server.requests) == 1
    assert store.is_cached(chosen)
    assert first.returns.tolist() == pytest.approx([1465.2, 1412.7], abs=0.1)
    assert again.digest == first.digest
    assert not again.observations.flags.owndata
    provenance = again.provenance
    assert (provenance.dataset, provenance.revision, provenance.task) == ("test/hopper-v0", 2, "hopper-v4")
    assert "it has two episodes alone" in provenance.notes
    assert not any("checksum" in note for note in provenance.notes)
    files = {path.relative_to(tmp_path / "cache").as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"test/hopper-v0-r2/hopper.hdf5", "test/hopper-v0-r2/hopper.hdf5.offbench"}
    assert "hopper.hdf5: 0.5 of 0.5 MB" in capsys.readouterr().err


def test_a_checksum_that_nobody_published_is_recorded_and_counts_from_then_on(slice_path, tmp_path):
    with serving(slice_path.read_bytes()) as server:
        chosen = make_card(server.url)
        assert "no checksum of hopper.hdf5 was published; that of the first download counts" in (
            load_card(chosen).provenance.notes
        )
        (path,) = store.source_paths(chosen)
        recorded = store.recorded_checksum(path)
        assert recorded == hashlib.sha256(slice_path.read_bytes()).hexdigest()
        removed = store.remove(chosen)
        assert [each.name for each in removed] == ["hopper.hdf5", "hopper.hdf5.offbench"]
        server.body = server.body[:-1] + b"x"
        with pytest.raises(OffbenchError, match=f"sha256 [0-9a-f]{{64}} where {recorded} is right"):
            load_card(chosen)
        assert not path.exists()
        (tmp_path / "cache/test/hopper-v0-r2/hopper.hdf5.sha256").unlink()
        assert store.fetch_file(chosen, chosen.files[0]).read_bytes() == server.body


def test_a_file_that_was_damaged_in_the_cache_is_fetched_anew(slice_path):
    with serving(slice_path.read_bytes()) as server:
        chosen = make_card(server.url, **certain(slice_path))
        digest = load_card(chosen).digest
        (path,) = store.source_paths(chosen)
        damaged = bytearray(path.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        path.write_bytes(damaged)
        assert load_card(chosen).digest == digest
        assert path.read_bytes() == slice_path.read_bytes()
        assert len(server.requests) == 2


def test_a_wrong_file_leaves_nothing_to_load(slice_path, tmp_path):
    with serving(slice_path.read_bytes()) as server:
        wrong = make_card(server.url, size=slice_path.stat().st_size, sha256="0" * 64)
        with pytest.raises(OffbenchError, match=rf"sha256 {certain(slice_path)['sha256']} where 0{{64}} is right"):
            load_card(wrong)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_of_the_right_bytes_and_no_sense_is_named(tmp_path):
    (tmp_path / "odd.hdf5").write_text("nothing of the kind")
    chosen = make_card((tmp_path / "odd.hdf5").as_uri())
    with pytest.raises(DataError, match=r"hopper\.hdf5"):
        load_card(chosen)


def test_another_number_of_steps_than_the_card_says_is_refused(slice_path):
    table = make_card(slice_path.as_uri()).model_dump()
    assert load_card(Card.model_validate(table | {"steps": 911})).steps == 911
    with pytest.raises(DataError, match="test/hopper-v0 has 911 steps; its card says 910"):
        load_card(Card.model_validate(table | {"steps": 910}))


def test_offline_the_cache_suffices(slice_path, monkeypatch):
    with serving(slice_path.read_bytes()) as server:
        chosen = make_card(server.url, **certain(slice_path))
        monkeypatch.setenv("OFFBENCH_OFFLINE", "1")
        with pytest.raises(OffbenchError, match="OFFBENCH_OFFLINE is set"):
            load_card(chosen)
        monkeypatch.delenv("OFFBENCH_OFFLINE")
        load_card(chosen)
        monkeypatch.setenv("OFFBENCH_OFFLINE", "1")
        assert len(load_card(chosen)) == 2


def test_files_of_one_card_follow_one_another(slice_path):
    table = make_card(slice_path.as_uri()).model_dump()
    table["files"] = [{"url": slice_path.as_uri()}, {"url": slice_path.as_uri(), "name": "again.hdf5"}]
    assert load_card(Card.model_validate(table)).returns.tolist() == pytest.approx([1465.2, 1412.7] * 2, abs=0.1)


@pytest.mark.parametrize("part", ["", "-val"])
@pytest.mark.parametrize("name", ["SafetyHalfCheetah", "Simglucose"])
def test_neorl2_cards_fit_the_published_files(name, part, shared, tmp_path, monkeypatch):
    original = card(f"neorl2/{name}{part}")
    published = shared / "real" / "neorl2" / f"{name}-high-{'20000-val' if part else '100000-train'}.npz"
    there = original.files[0].model_copy(update={"url": published.as_uri()})
    chosen = original.model_copy(update={"files": (there,)})
    monkeypatch.setattr(loading, "cards", lambda: {chosen.id: chosen})
    monkeypatch.setattr(loading, "card", {chosen.id: chosen}.__getitem__)
    loaded = load(chosen.id)
    assert loaded.provenance.task == f"neorl2-{name.lower()}"
    assert loaded.steps == original.steps
    assert loaded.steps == {"SafetyHalfCheetah": (18_000, 2_000), "Simglucose": (100_257, 20_018)}[name][bool(part)]
    assert load(chosen.id).digest == loaded.digest
    assert (
        original.files[0].url == f"http://datasets.polixir.site/neorl2/{name}/{name}-{'val' if part else 'train'}.npz"
    )


@pytest.mark.parametrize("name", ["hopper_medium-v2", "halfcheetah_medium-v2", "antmaze-umaze-v0", "pen-human-v1"])
def test_slices_of_d4rl_load_under_their_cards(name, shared):
    """The slices are cut, so their sizes and checksums are not the card's; all else is."""
    original = card("d4rl/" + name.replace("_", "-"))
    local = {"url": (shared / "real" / "d4rl_slices" / f"{name}.hdf5").as_uri()}
    loaded = load_card(Card.model_validate(original.model_dump() | {"files": [local]}))
    assert loaded.provenance.dataset == original.id
    assert len(loaded) == 2


def test_a_native_file_may_be_published_and_a_card_loaded_by_its_path(slice_path, tmp_path):
    made = load(slice_path)
    native.save(made, tmp_path / "made.offbench")
    card_path = tmp_path / "made.toml"
    card_path.write_text(
        'id = "test/made-v0"\ndescription = "Made."\nreader = "native"\n'
        f'files = [{{ url = "{(tmp_path / "made.offbench").as_uri()}" }}]\n'
    )
    for _ in range(2):
        loaded = load(card_path)
        assert loaded.digest == made.digest
        assert loaded.provenance.dataset == "test/made-v0"
    (path,) = store.source_paths(card_of(card_path))
    assert "own" in path.parts
    path.write_bytes(path.read_bytes()[:-100])
    assert load(card_path).digest == made.digest
    family = tmp_path / "family.toml"
    family.write_text("dataset = []\n")
    with pytest.raises(OffbenchError, match="holds 0 cards"):
        load(family)


def test_an_own_card_with_a_built_in_id_shares_no_file_with_it(slice_path, tmp_path):
    poison = tmp_path / "poison.toml"
    poison.write_text(
        'id = "d4rl/maze2d-umaze-v1"\ndescription = "Not it."\nreader = "d4rl"\n'
        f'files = [{{ url = "{slice_path.as_uri()}", name = "{card("d4rl/maze2d-umaze-v1").files[0].name}" }}]\n'
    )
    assert len(load(poison)) == 2
    built_in = card("d4rl/maze2d-umaze-v1")
    assert not store.is_cached(built_in)
    assert store.recorded_checksum(store.source_paths(built_in)[0]) is None
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "poison.toml"
    other.write_text(poison.read_text().replace("Not it.", "Nor this."))
    assert store.source_paths(card_of(other)) != store.source_paths(card_of(poison))
    poison.write_text(f"own = false\n{poison.read_text()}")
    with pytest.raises(OffbenchError, match="own: cards have no such field"):
        load(poison)


def test_a_checksum_is_recorded_only_once_the_file_was_read(slice_path, tmp_path):
    broken = tmp_path / "broken.hdf5"
    broken.write_bytes(b"<html>busy</html>")
    chosen = make_card(broken.as_uri(), sha256=None)
    with pytest.raises(OffbenchError):
        load_card(chosen)
    assert store.recorded_checksum(store.source_paths(chosen)[0]) is None


def test_removing_takes_all_of_a_dataset_and_nothing_else(tmp_path, slice_path):
    chosen = make_card(slice_path.as_uri())
    load_card(chosen)
    load_card(chosen.model_copy(update={"revision": 1}))
    load_card(chosen.model_copy(update={"id": "test/hopper-v0-rare"}))
    removed = store.remove(chosen)
    assert {path.parent.name for path in removed} == {"hopper-v0-r1", "hopper-v0-r2"}
    left = {path.name for path in (tmp_path / "cache/test").rglob("*") if path.is_file()}
    assert left == {"hopper.hdf5.sha256", "hopper.hdf5", "hopper.hdf5.offbench"}
    assert (tmp_path / "cache/test/hopper-v0-rare-r2/hopper.hdf5").is_file()
    assert store.remove(chosen) == []
    assert slice_path.is_file()


def test_removing_never_follows_a_link_out_of_the_cache(tmp_path, slice_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.copy(slice_path, outside / "precious.hdf5")
    place = tmp_path / "cache/test"
    place.mkdir(parents=True)
    (place / "hopper-v0-r2").symlink_to(outside)
    (place / "hopper-v0-r1").mkdir()
    (place / "hopper-v0-r1" / "link").symlink_to(outside)
    assert len(store.remove(make_card("https://host/x"))) == 2
    assert (outside / "precious.hdf5").is_file()
    assert list(place.iterdir()) == []


def test_generated_datasets_are_removed_too(tmp_path):
    chosen = card("offbench/pendulum/swingup-v0")
    path = store.generated_path(chosen)
    path.parent.mkdir(parents=True)
    path.write_text("x")
    assert store.is_cached(chosen)
    assert store.remove(chosen) == [path]
    assert not store.is_cached(chosen)
    assert all(not store.is_cached(each) for each in cards().values())


def test_splits_are_named_after_a_question_mark(slice_path, tmp_path):
    copy = tmp_path / "copy.hdf5"
    shutil.copy(slice_path, copy)
    hidden = load(f"{copy}?actions=none")
    assert hidden.actions is None
    assert load(f"{copy}?rewards=none").rewards is None
    with pytest.raises(OffbenchError):
        load(f"{copy}?actions=some")
    odd = tmp_path / "what?.hdf5"
    shutil.copy(slice_path, odd)
    assert len(load(str(odd))) == 2
