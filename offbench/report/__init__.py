"""Tables and learning curves, made from run records alone."""
