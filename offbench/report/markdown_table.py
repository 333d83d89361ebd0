"""Tables in Markdown."""

from __future__ import annotations

from offbench.report.captions import caption
from offbench.report.sheet import Entry, Sheet

# Whatever ends a cell, or makes markup, a link or an HTML tag of a name.
_ESCAPES = str.maketrans({symbol: "\\" + symbol for symbol in "\\|_*`~[]<>&$"})
_AROUND = {"": "", "best": "**", "tied": "*"}


def markdown(sheet: Sheet) -> str:
    """A table of GitHub's Markdown, its caption and notes below."""
    numbers = len(sheet.header) - sheet.names
    rows = [
        "| " + " | ".join(markdown_text(name) for name in sheet.header) + " |",
        "|" + "---|" * sheet.names + "---:|" * numbers,
    ]
    for line in sheet.lines:
        names = [markdown_text(entry.text) for entry in line.entries[: sheet.names]]
        rows.append("| " + " | ".join([*names, *(_number(entry) for entry in line.entries[sheet.names :])]) + " |")
    notes = (f"\n{markdown_text(note)}" for note in sheet.notes)
    return "\n".join([*rows, "", caption(sheet, "Bold", "italic"), *notes]) + "\n"


def markdown_text(text: str) -> str:
    """A text that Markdown shows as it is, also within a cell."""
    return text.translate(_ESCAPES)


def _number(entry: Entry) -> str:
    around = _AROUND[entry.mark]
    return f"{around}{entry.text}{around} {entry.spread}".rstrip()
