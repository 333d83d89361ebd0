"""Models that label data: inverse dynamics for hidden actions, reward models for hidden rewards, value pre-training."""
