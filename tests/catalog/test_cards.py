import pytest

from offbench.catalog import cards as module
from offbench.catalog.cards import Recipe, card, cards, read_card
from offbench.catalog.recipes import RECIPES
from offbench.data.resources import resources
from offbench.environments.task import tasks
from offbench.errors import OffbenchError, UnknownNameError

STITCH = resources() / "pointmaze" / "stitch-v0.toml"


def test_every_card_names_a_task_a_recipe_and_its_own_file():
    assert len(cards()) >= 2
    for name, each in cards().items():
        assert each.task in tasks()
        assert each.recipe.name in RECIPES
        family, version = name.split("/")[1:]
        assert read_card(resources() / family / f"{version}.toml") == each


def test_unknown_names_list_near_ones():
    with pytest.raises(UnknownNameError, match=r"no dataset named 'offbench/pointmaze/stich-v0'.*stitch-v0"):
        card("offbench/pointmaze/stich-v0")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("revision = 1", "revision = 1\ncolour = 3", "colour: Extra inputs are not permitted"),
        ("revision = 1", "revision = 0", "revision: Input should be greater than 0"),
        ("revision = 1", "", "revision: Field required"),
        ("seed = 0", "seed = 0\nspeed = 2", "recipe.speed: Extra inputs"),
        ("seed = 0", "seed = -1", "recipe.seed"),
        ("[recipe]", "[recipe", "cannot be read"),
        ('id = "offbench/', 'id = "../', "id: String should match pattern"),
    ],
)
def test_a_wrong_card_is_refused_and_file_and_field_are_named(tmp_path, old, new, message):
    text = STITCH.read_text()
    assert old in text
    path = tmp_path / "odd.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(OffbenchError) as caught:
        read_card(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_two_cards_with_one_id_are_refused(tmp_path, monkeypatch):
    (tmp_path / "family").mkdir()
    for name in ("one", "two"):
        (tmp_path / "family" / f"{name}.toml").write_text(STITCH.read_text())
    monkeypatch.setattr(module, "resources", lambda: tmp_path)
    with pytest.raises(OffbenchError, match="which another card has already"):
        cards.__wrapped__()


def test_recipe_digests_tell_recipes_apart():
    recipe = Recipe(name="x", seed=0, episodes=4, arguments={"gain": 0.5})
    assert recipe.digest == Recipe(name="x", seed=0, episodes=4, arguments={"gain": 0.5}).digest
    for changed in ({"name": "y"}, {"seed": 1}, {"episodes": 5}, {"arguments": {"gain": 0.6}}):
        assert recipe.model_copy(update=changed).digest != recipe.digest
