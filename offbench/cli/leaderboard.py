"""``offbench leaderboard``: suites, runs on them, entries and the site. Every command is a file beside this one."""

from __future__ import annotations

# Imported when they are chosen: the others' simulators and statistics take seconds.
commands: dict[str, str] = {
    "suites": "offbench.cli.leaderboard_suites:list_suites",
    "suite": "offbench.cli.leaderboard_suites:show_suite",
    "run": "offbench.cli.leaderboard_run:run_suite",
    "submit": "offbench.cli.leaderboard_submit:submit",
    "verify": "offbench.cli.leaderboard_submit:verify_entry",
    "check": "offbench.cli.leaderboard_submit:check_results",
    "retrain": "offbench.cli.leaderboard_retrain:retrain_entry",
    "export": "offbench.cli.leaderboard_export:export_results",
    "time": "offbench.cli.leaderboard_time:time_method",
    "commit": "offbench.cli.leaderboard_hidden:commit",
    "hidden": "offbench.cli.leaderboard_hidden:hidden",
    "renamed": "offbench.cli.leaderboard_hidden:renamed",
    "build": "offbench.cli.leaderboard_site:build",
    "serve": "offbench.cli.leaderboard_site:serve",
}
