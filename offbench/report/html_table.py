"""Tables as an HTML page by itself: no script, no file beside it."""

from __future__ import annotations

from html import escape

from offbench.report.captions import caption
from offbench.report.sheet import Entry, Sheet

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; border-block: 2px solid; }}
caption, p {{ text-align: start; max-width: 48rem; font-size: 0.9rem; }}
caption {{ caption-side: bottom; padding-top: 0.6rem; }}
th, td {{ padding: 0.25rem 0.75rem; text-align: end; white-space: nowrap; font-weight: normal; }}
th.name {{ text-align: start; white-space: normal; }}
thead th {{ border-bottom: 1px solid; vertical-align: bottom; }}
tr.part > * {{ border-top: 1px solid; }}
strong {{ font-weight: 700; }}
small {{ font-size: 0.85em; }}
</style>
</head>
<body>
<div class="wide" role="region" aria-label="{title}" tabindex="0">
<table>
<caption>{caption}</caption>
<thead><tr>{header}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>
{notes}</body>
</html>
"""
_TAGS = {"": ("", ""), "best": ("<strong>", "</strong>"), "tied": ("<u>", "</u>")}


def html(sheet: Sheet) -> str:
    """A page with the table, its caption and notes."""
    header = "".join(f'<th scope="col"{_class(i, sheet)}>{escape(name)}</th>' for i, name in enumerate(sheet.header))
    rows, section = [], sheet.lines[0].section if sheet.lines else ""
    for line in sheet.lines:
        part = ' class="part"' if line.section != section else ""
        section = line.section
        rows.append(f"<tr{part}>" + "".join(_entry(i, entry, sheet) for i, entry in enumerate(line.entries)) + "</tr>")
    return _PAGE.format(
        title=escape(f"{sheet.header[sheet.names] if not sheet.wide else 'Scores'} of offline RL runs"),
        caption=escape(caption(sheet, "Bold", "underlined")),
        header=header,
        rows="\n".join(rows),
        notes="".join(f"<p>{escape(note)}</p>\n" for note in sheet.notes),
    )


def _class(i: int, sheet: Sheet) -> str:
    return ' class="name"' if i < sheet.names else ""


def _entry(i: int, entry: Entry, sheet: Sheet) -> str:
    if i < sheet.names:
        return f'<th scope="row" class="name">{escape(entry.text)}</th>'
    before, after = _TAGS[entry.mark]
    spread = f" <small>{escape(entry.spread)}</small>" if entry.spread else ""
    return f"<td>{before}{escape(entry.text)}{after}{spread}</td>"
