"""Text of others as it may be printed: names, notes and answers that can neither move a cursor nor break a line."""

from __future__ import annotations

import codecs
import unicodedata

# Controls (C0, C1), formats (among them those that turn the direction of writing), lone surrogates of names that are no
# text, code points without a character, and the two separators that end a line.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Signs of our own output for terminals and files that have ASCII or Latin alone.
_SUBSTITUTES = str.maketrans(
    {
        "±": "+-",
        "–": "-",  # noqa: RUF001 - the dash of printed tables
        "—": "-",
        "…": "...",
        "’": "'",  # noqa: RUF001 - an apostrophe of prose
        "‘": "'",  # noqa: RUF001
        "“": '"',
        "”": '"',
        "→": "->",
        "×": "x",  # noqa: RUF001 - the sign of products
        "•": "*",
        **dict.fromkeys("─━╌╍═╴╶╸╺", "-"),
        **dict.fromkeys("│┃║", "|"),
        **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╯╰╔╗╚╝┏┓┗┛┡┩╇", "+"),
    }
)
ERRORS = "offbench-substitute"


def plain(text: object, *, lines: bool = False) -> str:
    """The text with whatever a terminal would obey, or not show, written as an escape (``\\x1b``, ``\\u202e``).

    Args:
        text: what is to be printed.
        lines: whether line breaks are ours, and stay; else they become escapes, too.
    """
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c == " " or (lines and c == "\n") or _shown(c) else _escaped(c) for c in text)


def _shown(character: str) -> bool:
    return unicodedata.category(character) not in _HIDDEN


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _substitute(error: UnicodeError) -> tuple[str, int]:
    """Stand-ins for what an encoding lacks: a handler of errors for `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end].translate(_SUBSTITUTES)
    # What tells names apart stays readable; of drawings, a mark is left.
    named = (c if c.isascii() else _escaped(c) if c.isalnum() or not _shown(c) else "?" for c in missing)
    return "".join(named), error.end


codecs.register_error(ERRORS, _substitute)
