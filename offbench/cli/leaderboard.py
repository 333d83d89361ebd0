"""``offbench leaderboard``: suites, runs on them, entries and the site. Every command is a file beside this one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offbench.cli.leaderboard_run import run_suite
from offbench.cli.leaderboard_site import build, serve

commands: dict[str, Callable[..., Any]] = {
    "run": run_suite,
    "build": build,
    "serve": serve,
}
