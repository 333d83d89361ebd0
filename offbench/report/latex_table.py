r"""Tables in LaTeX, for booktabs: whole ``table`` or ``longtable`` environments in plain ASCII."""

from __future__ import annotations

import re
import unicodedata

from offbench.report.captions import caption
from offbench.report.sheet import DAGGER, MISSING, Entry, Sheet

# Lines from which on a table may break across pages.
LONG = 40

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\char34{}",
    "±": r"$\pm$",
    MISSING: "--",
    DAGGER: r"$^\dagger$",
    **{symbol: "\\" + symbol for symbol in "&%$#_{}"},
}
_MARKS = {"": "{}", "best": r"\mathbf{{{}}}", "tied": r"\underline{{{}}}"}


def latex(sheet: Sheet) -> str:
    """A floating table with its caption, or a long one where it has many lines."""
    long = len(sheet.lines) > LONG
    columns = "l" * sheet.names + ("r" if not sheet.wide else "c") * (len(sheet.header) - sheet.names)
    header = " & ".join(latex_text(name) for name in sheet.header) + r" \\"
    said = latex_text(caption(sheet, "Bold", "underlined"))
    body = [r"\toprule", header, r"\midrule", *([r"\endhead"] if long else []), *_rows(sheet), r"\bottomrule"]
    packages = ["booktabs", *(["longtable"] if long else [])]
    notes = " ".join(latex_text(note if note.endswith(".") else f"{note}.") for note in sheet.notes)
    return "\n".join([*_preamble(packages), *_environment(columns, body, said, notes, long=long)]) + "\n"


def latex_text(name: str) -> str:
    """A text that LaTeX shows as it is; in front of what a line break would take for its argument, an empty group.

    Greek letters become mathematics, other letters lose their accents, and what has no letter left is named by its
    number, for a table is to compile with any engine and any font.
    """
    # Two dashes side by side would become one long one, two apostrophes a closing quotation mark.
    apart = re.sub(r"(?<=-)-|(?<=')'", "\0\\g<0>", name)
    escaped = "".join(_ESCAPES.get(character) or _ascii(character) for character in apart).replace("\0", "{}")
    return "{}" + escaped if escaped.startswith(("[", "*")) else escaped


def _ascii(character: str) -> str:
    if character.isascii():
        return character
    greek = unicodedata.name(character, "").split()
    if greek[:3] == ["GREEK", "SMALL", "LETTER"] and len(greek) == 4 and greek[3] in _GREEK:
        return rf"$\{greek[3].lower().replace('lamda', 'lambda')}$"
    plain = "".join(part for part in unicodedata.normalize("NFKD", character) if part.isascii() and part.isprintable())
    return "".join(_ESCAPES.get(part, part) for part in plain) or f"[U+{ord(character):04X}]"


_GREEK = {
    *("ALPHA", "BETA", "GAMMA", "DELTA", "EPSILON", "ZETA", "ETA", "THETA", "IOTA", "KAPPA", "LAMDA", "MU", "NU", "XI"),
    *("PI", "RHO", "SIGMA", "TAU", "UPSILON", "PHI", "CHI", "PSI", "OMEGA"),
}


def _preamble(packages: list[str]) -> list[str]:
    used = [rf"\usepackage{{{name}}}" for name in packages]
    columns = r"after \onecolumn, which longtable needs" if "longtable" in packages else "table* in place of table"
    return [
        f"% In the preamble: {' '.join(used)}. In two columns: {columns}.",
        "% To compile this file by itself, uncomment:",
        *(f"% {line}" for line in (r"\documentclass{article}", *used, r"\begin{document}")),
    ]


def _environment(columns: str, body: list[str], said: str, notes: str, *, long: bool) -> list[str]:
    notes = rf"\par\smallskip\parbox{{\linewidth}}{{\footnotesize {notes}}}" if notes else ""
    end = r"% \end{document}"
    # With LaTeX's own size and 6pt between columns, four methods are wider than a page's text.
    size = r"\footnotesize\setlength{\tabcolsep}{3pt}"
    if long:
        top = rf"\caption{{{said}}}\\"
        return [rf"{{{size}", rf"\begin{{longtable}}{{{columns}}}", top, *body, r"\end{longtable}", notes + "}", end]
    return [
        r"\begin{table}[tb]",
        r"\centering",
        rf"\caption{{{said}}}",
        size,
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        *body,
        r"\end{tabular}",
        *([notes] if notes else []),
        r"\end{table}",
        end,
    ]


def _rows(sheet: Sheet) -> list[str]:
    rows, section = [], sheet.lines[0].section if sheet.lines else ""
    for line in sheet.lines:
        if line.section != section:
            rows.append(r"\midrule")
        section = line.section
        entries = [latex_text(entry.text) for entry in line.entries[: sheet.names]]
        rows.append(" & ".join([*entries, *(_number(entry) for entry in line.entries[sheet.names :])]) + r" \\")
    return rows


def _number(entry: Entry) -> str:
    if entry.text == MISSING:
        return "--"
    spread = entry.spread.replace("±", r"\pm")
    return f"${_MARKS[entry.mark].format(entry.text)} {spread}".rstrip() + "$"
