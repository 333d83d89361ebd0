"""Tables for terminals of 40 columns and more."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Sequence

from rich.cells import cell_len

from offbench.report.captions import caption
from offbench.report.sheet import Entry, Line, Sheet

_BOLD, _UNDERLINED, _ITALIC, _DIM, _END = "\x1b[1m", "\x1b[4m", "\x1b[3m", "\x1b[2m", "\x1b[0m"
_GAP = 3
# A column of names that is narrower is no help: then names stand above their numbers.
_LEAST_NAME = 24
# What tables are made for, at least; and where nothing says how wide a line may be.
LEAST_WIDTH, WIDTH = 40, 120


def terminal_width() -> int:
    """Columns of the terminal that is printed to; 120 where it is none, or one that says it has no columns."""
    if not sys.stdout.isatty():
        return WIDTH
    try:
        columns = os.get_terminal_size().columns
    except OSError:
        columns = 0
    return max(LEAST_WIDTH, columns or WIDTH)


def terminal(sheet: Sheet, *, color: bool, width: int) -> str:
    """Lines no longer than the width; without escape sequences unless ``color``."""
    blocks = _wide(sheet, color, width) if sheet.wide else _long(sheet, color, width)
    marks = ("Bold", "underlined") if color else ("*", "~")
    below = [line for text in (caption(sheet, *marks), *sheet.notes) for line in _wrapped(text, width)]
    return "\n".join([*blocks, "", *(_styled(line, _DIM, color) for line in below)]) + "\n"


# -------------------------------------------------------------------- long


def _long(sheet: Sheet, color: bool, width: int) -> list[str]:
    """A line for each cell below the name of its dataset, which stands by itself so that long names fit."""
    signed, columns = _marked(sheet, color), range(sheet.names, len(sheet.header))
    numbers = [[_number(line.entries[i], signed=i in signed) for i in columns] for line in sheet.lines]
    header = sheet.header[sheet.names :]
    widths = [max(cell_len(row[i]) for row in [list(header), *numbers]) for i in range(len(header))]
    names = [f"  {', '.join(entry.text for entry in line.entries[1 : sheet.names])}" for line in sheet.lines]
    title = ", ".join([sheet.header[0], *(name.lower() for name in sheet.header[1 : sheet.names])])
    wanted = max(cell_len(name) for name in (*title.split(), *names))
    gap = next((g for g in (_GAP, 2, 1) if _room(widths, width, g) >= min(wanted, _LEAST_NAME)), None)
    if gap is None:
        return _stacked(sheet, names, width, color)
    room = min(max(wanted, cell_len(title)), _room(widths, width, gap))
    space = " " * gap
    lines = _wrapped(title, room)
    lines[-1] = (
        _padded(lines[-1], room, left=True)
        + space
        + space.join(_padded(name, w) for name, w in zip(header, widths, strict=True))
    )
    lines.append("─" * min(width, room + sum(widths) + gap * len(widths)))
    section = None
    for name, line in zip(names, sheet.lines, strict=True):
        lines += _section(line, section, color, width)
        section = line.section
        entries = zip(columns, widths, strict=True)
        shown = [_styled_number(line.entries[i], w, color, i in signed) for i, w in entries]
        parts = _wrapped(name, room, indent="  ")
        lines.append(_padded(parts[0], room, left=True) + (space + space.join(shown)).rstrip())
        lines += parts[1:]
    return lines


def _room(widths: Sequence[int], width: int, gap: int) -> int:
    return width - sum(widths) - gap * len(widths)


def _section(line: Line, before: str | None, color: bool, width: int) -> list[str]:
    if line.section == before:
        return []
    parts = [_styled(part, _ITALIC, color) for part in _wrapped(line.section, width)]
    return parts if before is None else ["", *parts]


def _stacked(sheet: Sheet, names: Sequence[str], width: int, color: bool) -> list[str]:
    """Each cell as its name and, below, each number with what it is, for narrow terminals and long numbers."""
    lines: list[str] = []
    section = None
    for name, line in zip(names, sheet.lines, strict=True):
        lines += _section(line, section, color, width)
        section = line.section
        lines += _wrapped(name, width, indent="  ")
        parts = [
            f"{title} {_number(entry, signed=bool(entry.mark) and not color)}"
            for title, entry in zip(sheet.header[sheet.names :], line.entries[sheet.names :], strict=True)
        ]
        lines += _joined(parts, width)
    return lines


def _joined(parts: Sequence[str], width: int) -> list[str]:
    """Parts in as few lines as hold them, none of them broken unless it is too long by itself."""
    lines: list[str] = []
    for part in parts:
        if lines and cell_len(lines[-1]) + 2 + cell_len(part) <= width:
            lines[-1] += f"  {part}"
        else:
            lines += _wrapped(f"    {part}", width, indent="    ")
    return lines


# -------------------------------------------------------------------- wide


def _wide(sheet: Sheet, color: bool, width: int) -> list[str]:
    """As many columns side by side as fit, the others below with the names repeated."""
    names = [", ".join(entry.text for entry in line.entries[: sheet.names]) for line in sheet.lines]
    title = ", ".join(sheet.header[: sheet.names])
    room = min(max(cell_len(name) for name in (title, *names)), max(12, width // 3))
    columns, signed = range(sheet.names, len(sheet.header)), _marked(sheet, color)
    widths = {
        i: max(
            *(cell_len(_number(line.entries[i], signed=i in signed)) for line in sheet.lines),
            min(cell_len(sheet.header[i]), max(14, *(cell_len(word) for word in sheet.header[i].split()))),
        )
        for i in columns
    }
    widths = {i: min(w, width - room - 2) for i, w in widths.items()}
    lines: list[str] = []
    block: list[int] = []
    for i in [*columns, None]:
        if i is not None and room + sum(widths[j] + 2 for j in [*block, i]) <= width:
            block.append(i)
            continue
        if block:
            lines += [*([""] if lines else []), *_block(sheet, names, title, block, widths, room, color)]
        block = [i] if i is not None else []
    return lines


def _block(
    sheet: Sheet,
    names: Sequence[str],
    title: str,
    block: Sequence[int],
    widths: dict[int, int],
    room: int,
    color: bool,
) -> list[str]:
    heads = [_wrapped(title, room), *(_wrapped(sheet.header[i], widths[i]) for i in block)]
    height = max(len(head) for head in heads)
    lines = []
    for n in range(height):
        parts = [head[n - height + len(head)] if n >= height - len(head) else "" for head in heads]
        shown = [_padded(part, widths[i]) for part, i in zip(parts[1:], block, strict=True)]
        lines.append("  ".join([_padded(parts[0], room, left=True), *shown]).rstrip())
    lines.append("─" * (room + sum(widths[i] + 2 for i in block)))
    signed = _marked(sheet, color)
    section = sheet.lines[0].section if sheet.lines else ""
    for name, line in zip(names, sheet.lines, strict=True):
        if line.section != section:
            lines.append("")
        section = line.section
        parts = _wrapped(name, room, indent="  ")
        shown = [_styled_number(line.entries[i], widths[i], color, i in signed) for i in block]
        lines += ["  ".join([_padded(parts[0], room, left=True), *shown]).rstrip(), *parts[1:]]
    return lines


# -------------------------------------------------------------------- parts


def _marked(sheet: Sheet, color: bool) -> set[int]:
    """The columns in which a sign, or the place for one, follows each number."""
    return {i for line in sheet.lines for i, entry in enumerate(line.entries) if entry.mark and not color}


def _number(entry: Entry, *, signed: bool) -> str:
    sign = {"": " ", "best": "*", "tied": "~"}[entry.mark] if signed else ""
    return f"{entry.text}{sign}" + (f" {entry.spread}" if entry.spread else "")


def _styled_number(entry: Entry, width: int, color: bool, signed: bool) -> str:
    plain = _number(entry, signed=signed)
    padding = " " * (width - cell_len(plain))
    if not color or not entry.mark:
        return padding + plain
    style = _BOLD if entry.mark == "best" else _UNDERLINED
    return f"{padding}{style}{entry.text}{_END}{plain[len(entry.text) :]}"


def _styled(text: str, style: str, color: bool) -> str:
    return f"{style}{text}{_END}" if color and text else text


def _padded(text: str, width: int, *, left: bool = False) -> str:
    space = " " * (width - cell_len(text))
    return text + space if left else space + text


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Lines of at most so many cells; words that are longer are broken."""
    begin = text[: len(text) - len(text.lstrip(" "))]
    lines = textwrap.wrap(
        text.lstrip(" "), width, initial_indent=begin, subsequent_indent=indent + begin, break_on_hyphens=False
    ) or [""]
    if all(cell_len(line) <= width for line in lines):
        return lines
    # Characters of two cells: broken by cells, wherever that is.
    found = [""]
    for character in text:
        if cell_len(found[-1] + character) > width:
            found.append(begin + indent)
        found[-1] += character
    return [line.rstrip() for line in found]
