import io

import pytest

from offbench.catalog import progress
from offbench.catalog.progress import shown, size_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_for_every_quarter_where_there_is_no_terminal(capsys):
    with shown("file", "bytes") as tell:
        for done in range(0, 10_000_001, 500_000):
            tell(done, 10_000_000)
    assert capsys.readouterr().err.splitlines() == [f"file: {done} of 10.0 MB" for done in (2.5, 5.0, 7.5, 10.0)]
    with shown("data", "episodes") as tell:
        tell(1, None)
        tell(3, 4)
    assert capsys.readouterr().err == "data: 3 of 4 episodes\n"


@pytest.mark.parametrize("unit", ["bytes", "episodes"])
def test_a_bar_on_a_terminal(unit, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with shown("file", unit) as tell:
        tell(1, None)
        tell(2_000_000, 4_000_000)
    assert "file" in terminal.getvalue()


def test_sizes_as_people_read_them():
    assert size_text(None) == "unknown"
    assert size_text(11_000_000) == "11.0 MB"
    assert size_text(2_400_000_000) == "2.4 GB"
