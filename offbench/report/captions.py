"""The sentence that says what marks look like."""

from __future__ import annotations

from offbench.report.sheet import Sheet


def caption(sheet: Sheet, best: str, tied: str) -> str:
    """The caption of a sheet, with how its best and tied numbers look, if it has any.

    Args:
        sheet: what it is about.
        best: look of the best of a dataset, ``Bold``.
        tied: look of what is tied with it, ``underlined``.
    """
    said = [sheet.caption]
    if "tied" in sheet.marks:
        said.append(f"{best}: the best of a dataset; {tied}: tied with it ({sheet.ties}).")
    elif "best" in sheet.marks:
        said.append(f"{best}: the best of a dataset; none is tied with it ({sheet.ties}).")
    return " ".join(said)
