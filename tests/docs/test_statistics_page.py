"""The example of docs/statistics.md prints what the page says, and the page's figures are those of the records."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "statistics.md").read_text(encoding="utf-8")


def test_the_example_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    promised = re.findall(r"print\(.*\)  # (.*)", code)
    assert len(promised) == 4
    exec(compile(code, "docs/statistics.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == promised


def coverage(method: int) -> dict[tuple[str, ...], int]:
    """Whole percents of coverage in the column of a method, by what stands before the first coverage of the row."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if "%" in line]
    found = {}
    for row in rows:
        cells = [cell for cell in row if re.fullmatch(r"[\d.]+% \(.*\)", cell)]
        if cells:
            found[tuple(row[: len(row) - len(cells)])] = round(float(cells[method].split("%")[0]))
    return found


def test_the_text_rounds_what_the_tables_have() -> None:
    first = coverage(0)
    told = [[first[f"{share} succeed", seeds] for seeds in ("3", "5", "10")] for share in ("70%", "90%")]
    (a, b, c), (d, e, f) = told
    assert f"{a}%, {b}% and {c}% with 3, 5 and 10 seeds; with 90%, {d}%, {e}% and {f}%." in " ".join(PAGE.split())
    pooled = [share for row, share in first.items() if len(row) == 3 and row[1] == "0.1"]
    assert (len(pooled), f"{min(pooled)}% to {max(pooled)}% of the time" in PAGE) == (9, True)
