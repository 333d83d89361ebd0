"""Experiments that write a page: tables and pictures from records of runs."""
