"""Learned and true dynamics, and the transitions that policies make in them."""
