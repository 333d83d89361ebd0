"""``offbench select``: choose among runs without playing them."""

from __future__ import annotations

import tyro

from offbench.cli.ope import select


def run(argv: list[str]) -> int:
    """Parse ``argv`` and choose."""
    tyro.cli(select, prog="offbench select", args=argv)
    return 0
