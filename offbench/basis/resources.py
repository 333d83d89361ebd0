"""Folders of data that people edit: beside the package in a checkout, inside it once installed."""

from __future__ import annotations

from pathlib import Path


def resources(name: str = "datasets") -> Path:
    """The folder of cards, tasks and behaviours, ``datasets``; or ``leaderboards``, that of suites and results."""
    package = Path(__file__).resolve().parents[1]
    installed = package / f"_{name}"
    return installed if installed.is_dir() else package.parent / name
