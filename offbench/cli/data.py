"""``offbench data``: which datasets there are, what is in them, fetching, checking, converting and publishing them."""

from __future__ import annotations

# Imported when they are chosen: the others' simulators and statistics take seconds.
commands: dict[str, str] = {
    "list": "offbench.cli.data_show:list_datasets",
    "show": "offbench.cli.data_show:show_dataset",
    "fetch": "offbench.cli.data_cache:fetch_datasets",
    "generate": "offbench.cli.data_cache:generate_datasets",
    "regenerate": "offbench.cli.data_regenerate:regenerate_dataset",
    "render": "offbench.cli.data_render:render_episode",
    "lint": "offbench.cli.data_lint:lint_dataset",
    "references": "offbench.cli.data_references:measure_references",
    "export": "offbench.cli.data_export:export_dataset",
    "rm": "offbench.cli.data_cache:remove_datasets",
    "publish": "offbench.cli.data_export:publish_dataset",
}
