import csv
import re
from pathlib import Path

import pytest

from offbench.basis.resources import resources
from offbench.catalog import cards as module
from offbench.catalog.cards import Card, File, card, cards, read_cards
from offbench.environments.task import tasks
from offbench.errors import OffbenchError, UnknownNameError
from offbench.generation.recipe import Recipe
from offbench.generation.recipes import RECIPES

STITCH = resources() / "pointmaze" / "stitch-v0.toml"

FAMILY = """
licence = "CC-BY-4.0"
reader = "d4rl"
address = "https://host/folder/"
known_defects = ["all are odd"]

[[dataset]]
id = "test/one-v0"
description = "One."
files = [{ url = "one.hdf5", size = 3 }]

[[dataset]]
id = "test/two-v0"
description = "Two."
licence = "MIT"
known_defects = ["this one is odder"]
files = [{ url = "https://other/two.hdf5", mirrors = ["file:///two.hdf5"] }]
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_every_card_names_what_there_is():
    for name, each in cards().items():
        assert each.task is None or each.task in tasks(), name
        assert each.recipe is None or each.recipe.name in RECIPES
        assert each.minari is None or name == f"minari/{each.minari}"
        assert each.task or each.environment, f"{name} says nothing of where it was recorded"
        # OGBench's files have equal episodes, whose numbers its paper tabulates.
        known_from_data = (
            name.startswith("ogbench/") or each.recipe or (name.startswith("neorl2/") and each.files[0].sha256)
        )
        assert each.steps is None or known_from_data, f"nobody counted the steps of {name}"


def test_the_catalogue_holds_the_families():
    known = set(cards())
    for robot in ("halfcheetah", "hopper", "walker2d", "ant"):
        kinds = ["random", "medium", "medium-replay", "medium-expert", "expert"]
        expected = {f"d4rl/{robot}-{kind}-{version}" for kind in kinds for version in ("v0", "v1", "v2")}
        assert expected | {f"d4rl/{robot}-full-replay-{version}" for version in ("v1", "v2")} <= known
    mazes = ("umaze", "umaze-diverse", "medium-play", "medium-diverse", "large-play", "large-diverse")
    assert {f"d4rl/antmaze-{maze}-{version}" for maze in mazes for version in ("v0", "v2")} <= known
    hands, kinds = ("pen", "hammer", "door", "relocate"), ("human", "cloned", "expert")
    assert {f"d4rl/{hand}-{kind}-{v}" for hand in hands for kind in kinds for v in ("v0", "v1")} <= known
    assert {f"minari/D4RL/{hand}/{kind}-v2" for hand in hands for kind in kinds} <= known
    assert {
        "d4rl/kitchen-mixed-v0",
        "d4rl/maze2d-large-dense-v1",
        "neorl2/DMSD-val",
        "minari/mujoco/ant/simple-v0",
    } <= known
    assert {"offbench/pointmaze/stitch-v0", "offbench/pendulum/swingup-v0"} <= known


def test_d4rl_cards_are_what_was_published(shared):
    with (shared / "real" / "d4rl_published_checksums.tsv").open(newline="") as file:
        published = {row["url"]: row for row in csv.DictReader(file, delimiter="\t")}
    published = {url: row for url, row in published.items() if "rail.eecs.berkeley.edu" in url}
    files = [file for each in cards().values() if each.id.startswith("d4rl/") for file in each.files]
    certain = {file.url: (str(file.size), file.sha256) for file in files if file.sha256}
    assert certain == {url: (row["size"], row["sha256"]) for url, row in published.items()}
    unsure = {file.url for file in files if not file.sha256}
    assert not unsure & set(published)
    assert all("/maze2d/" in url or "/kitchen/" in url for url in unsure)


def test_d4rl_files_belong_to_the_dataset_that_names_them():
    for name, each in cards().items():
        if name.startswith("d4rl/") and "gym_mujoco_v" in each.files[0].url:
            version = name.rpartition("-")[2]
            assert re.sub(r"[_-]", "-", each.files[0].name) == f"{name.removeprefix('d4rl/')}.hdf5"
            assert f"gym_mujoco_{version}/" in each.files[0].url
    maze = card("d4rl/antmaze-large-diverse-v2").files[0]
    assert maze.name == "Ant_maze_hardest-maze_noisy_multistart_True_multigoal_True_sparse_fixed.hdf5"
    assert card("d4rl/walker2d-medium-replay-v0").files[0].name == "walker_mixed.hdf5"


def test_unknown_names_list_near_ones():
    with pytest.raises(UnknownNameError, match=r"no dataset named 'offbench/pointmaze/stich-v0'.*stitch-v0"):
        card("offbench/pointmaze/stich-v0")
    with pytest.raises(UnknownNameError, match=r"nearest: .*d4rl/hopper-medium-v2"):
        card("hopper-medium-v2")


# -------------------------------------------------------------------- files of many cards


def test_a_family_shares_what_stands_at_the_top(tmp_path):
    one, two = read_cards(write(tmp_path / "family.toml", FAMILY))
    assert (one.licence, two.licence) == ("CC-BY-4.0", "MIT")
    assert (one.reader, two.reader) == ("d4rl", "d4rl")
    assert one.files == (File(url="https://host/folder/one.hdf5", size=3),)
    assert one.files[0].name == "one.hdf5"
    assert two.files[0].urls == ("https://other/two.hdf5", "file:///two.hdf5")
    assert one.known_defects == ("all are odd",)
    assert two.known_defects == ("all are odd", "this one is odder")
    assert one.revision == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'licence = "CC',
            'colour = "red"\nlicence = "CC',
            "colour: Extra inputs are not permitted of dataset",
        ),
        ('description = "Two."', "", "description: Field required of dataset test/two-v0"),
        ("size = 3", "size = 3, colour = 1", "files.0.colour: Extra inputs"),
        ("size = 3", "size = 0", "files.0.size: Input should be greater than 0"),
        ("size = 3", 'sha256 = "abc"', "files.0.sha256: String should match"),
        ("size = 3", 'name = "../x"', "no plain file name"),
        ("size = 3", 'name = ".."', "no plain file name"),
        ('"one.hdf5"', '"ftp://host/one.hdf5"', "no address of the kinds http, https, file, hf"),
        ('"one.hdf5"', '"hf://datasets/me/it@main/one.hdf5"', "has no pinned revision"),
        ('"one.hdf5"', '""', "no plain file name"),
        (
            'reader = "d4rl"',
            'reader = "pickle"',
            "reader: 'pickle' is no format of single files of trajectories; native",
        ),
        (
            'reader = "d4rl"',
            'reader = "minari"',
            "reader: 'minari' is no format of single files of trajectories; native",
        ),
        ('reader = "d4rl"', 'reader = "ipl"', "reader: 'ipl' is no format of single files"),
        ('reader = "d4rl"', "", "reader says what format the files have"),
        ('"https://other/two.hdf5"', '"https://other/two.hdf5", x', "cannot be read"),
        ("[[dataset]]", "[dataset]", "cannot be read"),
        ('id = "test/two-v0"', 'id = "test/two-v0"\nminari = "x/y-v0"', "one of files, minari and recipe, not from"),
        ('files = [{ url = "one.hdf5", size = 3 }]', "", "one of files, minari and recipe, not from none"),
        ('known_defects = ["all', 'known_defects = [3, "all', "known_defects.0: Input should be a valid string"),
        ("known_defects = [", "known_defects = 3 # ", "known_defects: Input should be a valid tuple"),
        ('address = "https://host/folder/"', "address = 3", "no address of the kinds"),
        ('id = "test/two-v0"', 'id = "test/../two"', "id: String should match pattern"),
        ('id = "test/two-v0"', 'id = "test/two-v0"\nobservation = ["x"]', "observation chooses entries"),
    ],
)
def test_a_wrong_family_is_refused_and_file_dataset_and_field_are_named(tmp_path, old, new, message):
    assert old in FAMILY
    path = write(tmp_path / "odd.toml", FAMILY.replace(old, new, 1))
    with pytest.raises(OffbenchError) as caught:
        read_cards(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_family_that_is_no_list_of_tables_is_refused(tmp_path):
    for text in ("dataset = 3", "dataset = [3]", '[dataset]\nid = "test/one-v0"'):
        with pytest.raises(OffbenchError, match=r"every dataset starts with a line \[\[dataset\]\]"):
            read_cards(write(tmp_path / "odd.toml", text))


# -------------------------------------------------------------------- single cards and recipes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("revision = 1", "revision = 1\ncolour = 3", "colour: Extra inputs are not permitted"),
        ("revision = 1", "revision = 0", "revision: Input should be greater than 0"),
        ("steps = 200_000", "", "a recipe needs the task in which it is recorded and the steps"),
        ("seed = 0", "seed = 0\nspeed = 2", "recipe.speed: Extra inputs"),
        ("seed = 0", "seed = -1", "recipe.seed"),
        ("[recipe]", "[recipe", "cannot be read"),
        ('id = "offbench/', 'id = "../', "id: String should match pattern"),
    ],
)
def test_a_wrong_card_is_refused_and_file_and_field_are_named(tmp_path, old, new, message):
    text = STITCH.read_text()
    assert old in text
    path = write(tmp_path / "odd.toml", text.replace(old, new, 1))
    with pytest.raises(OffbenchError) as caught:
        read_cards(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_file_that_is_no_text_or_nested_too_deep_is_refused(tmp_path):
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(OffbenchError, match="cannot be read"):
        read_cards(tmp_path / "odd.toml")
    with pytest.raises(OffbenchError, match="cannot be read"):
        read_cards(write(tmp_path / "deep.toml", "x = " + "[" * 100_000))


def test_two_cards_with_one_id_are_refused(tmp_path, monkeypatch):
    (tmp_path / "family").mkdir()
    for name in ("one", "two"):
        write(tmp_path / "family" / f"{name}.toml", STITCH.read_text())
    monkeypatch.setattr(module, "resources", lambda: tmp_path)
    with pytest.raises(OffbenchError, match="which another card has already"):
        cards.__wrapped__()


def test_recipe_digests_tell_recipes_apart():
    recipe = Recipe(name="x", seed=0, episodes=4, arguments={"gain": 0.5})
    assert recipe.digest == Recipe(name="x", seed=0, episodes=4, arguments={"gain": 0.5}).digest
    for changed in ({"name": "y"}, {"seed": 1}, {"episodes": 5}, {"arguments": {"gain": 0.6}}):
        assert recipe.model_copy(update=changed).digest != recipe.digest


def test_the_name_of_a_file_is_the_last_part_of_its_address():
    assert File(url="https://host/a/b%2Bc.npz?x=1").name == "b+c.npz"
    assert File(url="https://host/get?id=1", name="data.npz").name == "data.npz"
    two = {"id": "a/b", "description": "x", "reader": "npz"}
    with pytest.raises(ValueError, match="two files have the same name"):
        Card.model_validate({**two, "files": [{"url": "https://host/x"}, {"url": "https://other/x"}]})
