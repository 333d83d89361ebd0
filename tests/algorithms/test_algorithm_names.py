import pytest

from offbench.algorithms import names, registry
from offbench.algorithms.names import registered
from offbench.errors import OffbenchError, UnknownNameError


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("iql", "iql"),
        ("IQL", "iql"),
        ("TD3_BC", "td3_bc"),
        ("td3+bc", "td3_bc"),
        ("TD3BC", "td3_bc"),
        ("td3-bc", "td3_bc"),
        ("SAC-N", "sac_n"),
        ("DecisionTransformer", "dt"),
        ("Decision Transformer", "dt"),
        ("ReBRAC", "rebrac"),
        ("mine:Mine", "mine:Mine"),
    ],
)
def test_case_and_punctuation_do_not_matter(written, meant):
    assert registered(written) == meant
    assert registry.name_of(written) == meant


def test_every_name_is_found_in_capitals():
    assert {registered(name.upper()) for name in names.OURS} == set(names.OURS)


@pytest.mark.parametrize("written", ["%BC", "iqll", "", "-", "td3", "bc2"])
def test_what_is_another_name_is_none_of_ours(written):
    with pytest.raises(UnknownNameError, match="no algorithm named"):
        registered(written)


def test_two_that_differ_in_punctuation_alone_are_both_told(monkeypatch):
    monkeypatch.setattr(names, "names", lambda: {"a_b": "m:AB", "ab": "m:Other", "c": "m:C"})
    assert registered("ab") == "ab"
    with pytest.raises(OffbenchError, match="may be a_b or ab"):
        registered("A-B")
