"""The one training loop: sampling, compilation, checkpoints and resuming."""
