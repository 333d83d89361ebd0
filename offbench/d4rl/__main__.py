"""``python -m offbench.d4rl SCRIPT ARGS``: run a script of 2021 that imports gym and d4rl, unchanged."""

from __future__ import annotations

import os
import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from offbench.errors import OffbenchError

_USAGE = """usage: python -m offbench.d4rl [--data NAME=FILE ...] [--datasets MAPPING.toml] SCRIPT [ARGS ...]
       python -m offbench.d4rl [options] -m MODULE [ARGS ...]

Runs SCRIPT, or a module of the folder, with modules named gym (its interface of 2021) and d4rl in place, on today's
Gymnasium. Installed packages of these names are not used. Datasets come from offbench's cache, or from the folder
D4RL_DATASET_DIR.

  --data NAME=FILE    read the data of this name of D4RL from a file in its layout, or from anything that offbench
                      loads, unverified; may be given several times
  --datasets FILE     the same for many names: a TOML file with lines "hopper-medium-v2" = "FILE"
"""


def main(arguments: Sequence[str]) -> int:
    """Run the script that is named first with the rest as its arguments; returns the exit status."""
    try:
        files, rest = _options(arguments)
    except OffbenchError as error:
        print(error, file=sys.stderr)
        return 2
    if not rest or rest[0] in ("-h", "--help"):
        print(_USAGE, file=sys.stdout if rest else sys.stderr, end="")
        return 0 if rest else 2
    module = rest[1] if rest[0] == "-m" and len(rest) > 1 else ""
    script = Path(rest[0])
    if not module and not script.is_file():
        print(f"there is no script {script}; name a Python file", file=sys.stderr)
        return 2
    from offbench.d4rl.files import use_file
    from offbench.d4rl.shims import explain, install

    for name in install():
        print(f"offbench.d4rl: the installed package {name} is not used; its stand-in is", file=sys.stderr)
    try:
        for name, file in files.items():
            use_file(name, file)
    except OffbenchError as error:
        print(error, file=sys.stderr)
        return 2
    # As Python itself does when it runs a script.
    sys.argv[:] = rest[1:] if module else rest
    sys.path[0] = os.getcwd() if module else str(script.resolve().parent)
    try:
        if module:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(str(script), run_name="__main__")
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # a script may raise anything; it is shown as Python would show it
        own = error.__traceback__ if module else _from_script(error.__traceback__, str(script))
        traceback.print_exception(type(error), error, own)
        if told := explain(error):
            print(told, file=sys.stderr)
        return 1
    return 0


def _options(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Files by the names that they stand for, and the rest of the command line from the script on."""
    from offbench.d4rl.files import read_mapping

    files: dict[str, str] = {}
    rest = list(arguments)
    while rest and rest[0].startswith("--") and rest[0] != "--help":
        option, _, value = rest.pop(0).partition("=")
        if option not in ("--data", "--datasets"):
            raise OffbenchError(f"there is no option {option}; --data and --datasets are those before the script")
        if not value and not rest:
            raise OffbenchError(f"{option} needs a value; --help shows which")
        value = value or rest.pop(0)
        if option == "--datasets":
            files |= read_mapping(Path(value))
            continue
        name, _, file = value.partition("=")
        if not file:
            raise OffbenchError(f"--data takes NAME=FILE, as in hopper-medium-v2=hopper.hdf5, and not {value!r}")
        files[name] = file
    return files, rest


def _from_script(frames: TracebackType | None, script: str) -> TracebackType | None:
    """The traceback from the script's first frame on; none of it where the script could not be compiled."""
    while frames is not None and frames.tb_frame.f_code.co_filename != script:
        frames = frames.tb_next
    return frames


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
