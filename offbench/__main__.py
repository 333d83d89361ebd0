"""``python -m offbench``: the command line, where the installed command is not at hand."""

from __future__ import annotations

import sys

from offbench.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
