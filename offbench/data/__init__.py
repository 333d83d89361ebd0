"""Trajectories, the views that learners see, and file formats."""
