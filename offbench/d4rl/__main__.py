"""``python -m offbench.d4rl SCRIPT ARGS``: run a script of 2021 that imports gym and d4rl, unchanged."""

from __future__ import annotations

import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

_USAGE = """usage: python -m offbench.d4rl SCRIPT [ARGS ...]

Runs SCRIPT with modules named gym (its interface of 2021) and d4rl in place, on today's Gymnasium. Installed
packages of these names are not used. Datasets come from offbench's cache, or from the folder D4RL_DATASET_DIR."""


def main(arguments: Sequence[str]) -> int:
    """Run the script that is named first with the rest as its arguments; returns the exit status."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE, file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    script = Path(arguments[0])
    if not script.is_file():
        print(f"there is no script {script}; name a Python file", file=sys.stderr)
        return 2
    from offbench.d4rl.shims import install

    for name in install():
        print(f"offbench.d4rl: the installed package {name} is not used; its stand-in is", file=sys.stderr)
    # As Python itself does when it runs a script.
    sys.argv[:] = arguments
    sys.path[0] = str(script.resolve().parent)
    try:
        runpy.run_path(str(script), run_name="__main__")
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # a script may raise anything; it is shown as Python would show it
        own = _from_script(error.__traceback__, str(script))
        traceback.print_exception(type(error), error, own)
        return 1
    return 0


def _from_script(frames: TracebackType | None, script: str) -> TracebackType | None:
    """The traceback from the script's first frame on; none of it where the script could not be compiled."""
    while frames is not None and frames.tb_frame.f_code.co_filename != script:
        frames = frames.tb_next
    return frames


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
