"""Datasets by name: cards, found, fetched, verified, cached, loaded, regenerated."""
