"""Layers, initialisations, distributions and the optimiser, all with a leading seed axis."""
