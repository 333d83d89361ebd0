import html
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbench.leaderboard.page_text import duration, flat, host, interval, number, shown, slug, web_address


@given(st.text(max_size=80))
def test_a_shown_name_is_text_that_hides_nothing(name: str):
    made = str(shown(name))
    assert made.startswith("<bdi>")
    assert made.endswith("</bdi>")
    inner = made.removeprefix("<bdi>").removesuffix("</bdi>")
    assert not re.search(r"[<>\"']", inner)
    assert not {unicodedata.category(c) for c in inner} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    if name.isascii() and name.isprintable():
        assert html.unescape(inner) == name


def test_a_shown_name_is_cut():
    assert len(shown("x" * 10_000)) < 400


@given(st.text(max_size=40), st.text(max_size=40))
def test_names_of_files_are_plain_and_differ_whatever_a_file_system_takes_for_equal(one: str, other: str):
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,70}", slug(one))
    if one != other:
        assert slug(one) != slug(other)


@pytest.mark.parametrize("name", ["iql", "offbench--pendulum--swingup-v0", "a"])
def test_plain_names_are_names_of_files(name: str):
    assert slug(name) == name


@pytest.mark.parametrize("name", ["../../x", "IQL", "", "a" * 200, "con.html", "a b", "ä"])
def test_other_names_get_a_digest(name: str):
    assert re.fullmatch(r"[a-z0-9-]+-[0-9a-f]{10}", slug(name))


@pytest.mark.parametrize(
    "address", ["https://example.org", "http://a.example:80/x?y=z#w", "https://example.org/%22%3E"]
)
def test_addresses_that_may_be_linked(address: str):
    assert web_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "//example.org",
        "https://user:word@example.org/",
        "https://example.org/\u202egpj.exe",
        "https://exämple.org/",
        'https://example.org/" onclick="x',
        "https://example.org/a b",
        "https://example.org/\n",
        "",
        None,
    ],
)
def test_other_addresses_are_not_linked(address: str | None):
    assert web_address(address) is None


def test_numbers_are_set_as_in_print():
    assert number(-1234.56) == "−1,234.6"  # noqa: RUF001
    assert number(None) == "–"  # noqa: RUF001
    assert interval((-1.0, 2.0)) == "[−1.0, 2.0]"  # noqa: RUF001
    assert interval(None) == ""
    assert [duration(s) for s in (38.2, 720, 12_240)] == ["38 s", "12 min", "3.4 h"]
    assert host("https://www.example.org/x") == "example.org"


def test_nested_settings_become_flat():
    assert flat({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}
