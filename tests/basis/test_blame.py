"""The line that is named is somebody's own, and not the library's that noticed."""

import importlib
import json
import sys

import pytest

from offbench.basis.blame import place
from offbench.basis.foreign import blamed, foreign
from offbench.errors import OffbenchError

MODULE = """
import json

def reads(text):
    return json.loads(text)

def divides(number):
    return 1 / number

def calls(function):
    return function()
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine_to_blame.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("mine_to_blame")
    sys.modules.pop("mine_to_blame", None)


def raised(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        error.__traceback__ = error.__traceback__.tb_next  # of this file
        return error
    raise AssertionError


def test_the_innermost_own_line_is_named_with_its_words(mine):
    assert place(raised(mine.divides, 0)) == "mine_to_blame.py, line 8, in divides: return 1 / number"
    # The error is raised in the standard library, which was given the wrong text here.
    assert place(raised(mine.reads, "{")) == "mine_to_blame.py, line 5, in reads: return json.loads(text)"


def test_libraries_alone_are_not_blamed():
    assert place(raised(json.loads, "{")) is None


def test_what_offbench_noticed_is_told_where_others_led_to_it(mine):
    def offbenchs():
        raise OffbenchError("as it is")

    with pytest.raises(OffbenchError, match=r"^as it is$"), blamed("mine"):
        mine.calls(offbenchs)
    told = r"^mine failed: ZeroDivisionError: .* \(mine_to_blame.py, line 8, in"
    with pytest.raises(OffbenchError, match=told), blamed("mine"):
        mine.divides(0)
    with pytest.raises(MemoryError), blamed("mine"):  # which the command line tells of, with what to do
        mine.calls(lambda: (_ for _ in ()).throw(MemoryError()))


def test_what_no_code_of_others_led_to_stays_a_bug():
    with pytest.raises(json.JSONDecodeError):
        blamed("mine")(json.loads)("{")  # as a decorator, so that no frame of this file stands between


def test_code_of_others_is_told_with_its_place(mine):
    told = r"told: ZeroDivisionError: division by zero \(mine_to_blame.py, line 8"
    with pytest.raises(OffbenchError, match=told), foreign("mine", lambda why: f"told: {why}"):
        mine.divides(0)
