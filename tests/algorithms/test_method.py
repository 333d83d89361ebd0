import pytest

from offbench.algorithms.method import LONGEST_NAME, Method, method, with_preset
from offbench.errors import OffbenchError, UnknownNameError


def test_methods_are_written_as_they_are_read() -> None:
    assert method("iql") == Method("iql")
    found = method("bc,top_fraction=0.1,normalise_states=true")
    assert found.changes == {"top_fraction": 0.1, "normalise_states": True}
    assert method(found.name) == found
    assert found.slug == "bc-top_fraction=0.1-normalise_states=true"
    found = method("iql,hidden=[64,32],beta=3.0")
    assert found.changes == {"hidden": (64, 32), "beta": 3.0}
    assert method(found.name) == found


@pytest.mark.parametrize("wrong", ["bc,top_fraction", "bc,top_fraction=0.1,top_fraction=0.2", "bc,top_fraction=2"])
def test_broken_methods_are_told(wrong: str) -> None:
    with pytest.raises(OffbenchError, match="top_fraction"):
        method(wrong)


def test_unknown_methods_list_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="iql"):
        method("iqk")
    with pytest.raises(UnknownNameError, match="top_fraction"):
        method("bc,top_fractoin=0.1")


def test_presets_of_the_visible_dataset_are_given_as_hyperparameters() -> None:
    found = with_preset(method("td3_bc"), "offbench/hopper/medium-100k-v0")
    like = with_preset(method("td3_bc"), "d4rl/hopper-medium-v2")
    assert found == like
    assert with_preset(Method("iql", {"expectile": 0.6}), "d4rl/hopper-medium-v2").changes["expectile"] == 0.6


def test_a_long_name_is_a_folder_that_tells_it_from_others() -> None:
    first, second = (method(f"iql,hidden=[{','.join(['8'] * 60)},{last}]") for last in (8, 9))
    assert len(first.slug) == len(second.slug) == LONGEST_NAME
    assert first.slug != second.slug
