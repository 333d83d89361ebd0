"""``offbench export``: the policy of a finished run as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from offbench.basis.plain import plain
from offbench.training.finished import Run


def export(
    run: Annotated[Path, tyro.conf.Positional],
    output: Path,
    seed: int = 0,
    target: float | None = None,
    trust: bool = False,
) -> None:
    """Write the policy of one seed of a finished run as an ONNX file, which needs neither torch nor offbench to act.

    Inputs and outputs: docs/your-algorithm.md.

    Example: offbench export runs/demo/iql --output policy.onnx

    Args:
        run: The run's folder.
        output: The file.
        seed: Whose policy.
        target: Return to ask the policy for, where it is asked for one; the run's own if not given.
        trust: Import the module of an algorithm that the run names as module:Class, which runs its code.
    """
    Run(run, trust).write_onnx(output, seed, target)
    print(f"written: {plain(output)}, {output.stat().st_size:,} bytes")


def run(argv: list[str]) -> int:
    """Parse ``argv`` and export."""
    tyro.cli(export, prog="offbench export", args=argv)
    return 0
