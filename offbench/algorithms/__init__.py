"""Algorithms, one a file; registry.py finds them by name."""
