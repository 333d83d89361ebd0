"""``offbench data``: which datasets there are, what is in them, fetching, checking, converting and publishing them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offbench.cli.data_cache import fetch_datasets, generate_datasets, remove_datasets
from offbench.cli.data_export import export_dataset, publish_dataset
from offbench.cli.data_lint import lint_dataset
from offbench.cli.data_references import measure_references
from offbench.cli.data_regenerate import regenerate_dataset
from offbench.cli.data_render import render_episode
from offbench.cli.data_show import list_datasets, show_dataset

commands: dict[str, Callable[..., Any]] = {
    "list": list_datasets,
    "show": show_dataset,
    "fetch": fetch_datasets,
    "generate": generate_datasets,
    "regenerate": regenerate_dataset,
    "render": render_episode,
    "lint": lint_dataset,
    "references": measure_references,
    "export": export_dataset,
    "rm": remove_datasets,
    "publish": publish_dataset,
}
