"""``offbench leaderboard``: suites, runs on them, entries and the site. Every command is a file beside this one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offbench.cli.leaderboard_export import export_results
from offbench.cli.leaderboard_hidden import commit, hidden, renamed
from offbench.cli.leaderboard_retrain import retrain_entry
from offbench.cli.leaderboard_run import run_suite
from offbench.cli.leaderboard_site import build, serve
from offbench.cli.leaderboard_submit import check_results, submit, verify_entry
from offbench.cli.leaderboard_suites import list_suites, show_suite
from offbench.cli.leaderboard_time import time_method

commands: dict[str, Callable[..., Any]] = {
    "suites": list_suites,
    "suite": show_suite,
    "run": run_suite,
    "submit": submit,
    "verify": verify_entry,
    "check": check_results,
    "retrain": retrain_entry,
    "export": export_results,
    "time": time_method,
    "commit": commit,
    "hidden": hidden,
    "renamed": renamed,
    "build": build,
    "serve": serve,
}
