"""Runs a command that may write below one folder alone and opens no sockets: ``python confined.py FOLDER COMMAND...``.

Started as a file, outside of the package, and where the kernel lacks these means it runs the command without them;
`offbench.leaderboard.isolation` has tried it before.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path


def main() -> None:
    """Lock this process in and become the command."""
    spec = importlib.util.spec_from_file_location("confinement", Path(__file__).with_name("confinement.py"))
    assert spec is not None
    assert spec.loader is not None
    confinement = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(confinement)
    folder, *command = sys.argv[1:]
    confinement.confine_training([folder, "/dev/null"])
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
