"""Where an error comes from: the line of somebody's own code that led to it, not the library's that noticed."""

from __future__ import annotations

import linecache
import os
import re
import sysconfig
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import TracebackType

_PACKAGE = str(Path(__file__).resolve().parents[1])
# How torch's compiler names, in its messages, the code that it could not compile.
_TOLD = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')

Frame = tuple[str, int, str]  # file, line, function


def place(error: BaseException) -> str | None:
    """``mine.py, line 12, in fit: words of that line``; None where only offbench and its libraries were under way.

    It is the innermost line of code that belongs to no library. Where there is none, an algorithm may be installed as a
    library itself: then it is the innermost one of the first library that offbench called and that it does not rest on.
    """
    if isinstance(error, SyntaxError):  # which says where it is
        return None
    frames = _frames(error.__traceback__)
    own = [frame for frame in frames if not _is_library(frame[0])] or _told(error) or _installed(frames)
    if not own:
        return None
    file, line, function = own[-1]
    words = linecache.getline(file, line).strip()
    return f"{_shown(file)}, line {line}, in {function}{words and f': {words}'}"


def _frames(trace: TracebackType | None) -> list[Frame]:
    """From the outermost to the innermost, without those that are no code of a file or a notebook."""
    frames = []
    while trace is not None:
        code = trace.tb_frame.f_code
        if not code.co_filename.startswith("<frozen "):
            frames.append((code.co_filename, trace.tb_lineno, code.co_name))
        trace = trace.tb_next
    return frames


def _told(error: BaseException) -> list[Frame]:
    """The lines of no library that a message names."""
    try:
        said = str(error)
    except Exception:  # of an exception that cannot even be printed
        return []
    found = [(match["file"], int(match["line"]), match["function"]) for match in _TOLD.finditer(said)]
    return [frame for frame in found if not _is_library(frame[0])]


def _installed(frames: Sequence[Frame]) -> list[Frame]:
    for file, _, _ in frames:
        root = next((folder for folder in _site_packages() if file.startswith(folder)), None)
        top = file.removeprefix(root).split(os.sep)[0] if root else ""
        if top and top.partition(".")[0] not in _OUR_LIBRARIES and not file.startswith(_PACKAGE + os.sep):
            return [frame for frame in frames if frame[0].startswith(f"{root}{top}")]
    return []


# Those that stand between offbench and an algorithm, or that raise what offbench itself did wrong.
_OUR_LIBRARIES = {
    "torch",
    "numpy",
    "scipy",
    "gymnasium",
    "mujoco",
    "safetensors",
    "pydantic",
    "pydantic_core",
    "jaxtyping",
    "beartype",
    "_pytest",
    "pluggy",
    "h5py",
    "tyro",
}


def _is_library(file: str) -> bool:
    return file.startswith((_PACKAGE + os.sep, *_site_packages(), *_standard()))


@cache
def _site_packages() -> tuple[str, ...]:
    return tuple({_folder(sysconfig.get_path(name)) for name in ("purelib", "platlib")})


@cache
def _standard() -> tuple[str, ...]:
    return tuple({_folder(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")})


def _folder(path: str) -> str:
    return path.rstrip(os.sep) + os.sep


def _shown(file: str) -> str:
    """A path as somebody who works in the current folder would name it."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return file
