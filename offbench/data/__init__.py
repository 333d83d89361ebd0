"""The types and what learners see of them: trajectories and views. No file format, no file."""
