import pytest

from offbench.basis.plain import ERRORS, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("runs/demo naïve ± 3", "runs/demo naïve ± 3"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\rb\tc\x00\x7f", "a\\rb\\tc\\x00\\x7f"),
        ("c1 \x9b2J", "c1 \\x9b2J"),
        ("bidi \u202etxt\u2066", "bidi \\u202etxt\\u2066"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("two\nlines\u2028three\x85", "two\\nlines\\u2028three\\x85"),
        ("undecodable \udcff", "undecodable \\udcff"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(text, shown):
    assert plain(text) == shown


def test_our_own_lines_stay():
    assert plain("one\n\x1btwo", lines=True) == "one\n\\x1btwo"


def test_what_an_encoding_lacks_is_replaced():
    assert "1 ± 2 – é 日 \udc80 ★".encode("ascii", ERRORS) == b"1 +- 2 - \\xe9 \\u65e5 \\udc80 ?"  # noqa: RUF001
