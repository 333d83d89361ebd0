"""Scoring a policy and what is made of the scores: rollouts, run records, statistics."""
