"""Making data with behaviours: recording, recipes, measuring references."""
