"""The folder of cards, tasks and behaviours: beside the package in a checkout, inside it once installed."""

from __future__ import annotations

from pathlib import Path


def resources() -> Path:
    """The folder ``datasets``."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_datasets"
    return installed if installed.is_dir() else package.parent / "datasets"
