"""Datasets by name: cards, recipes that generate them, and loading."""
