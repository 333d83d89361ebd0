"""Suites of tasks, entries that are verified by machine, and the site that shows them."""
