"""Learning by acting: soft actor-critic, the training of behaviours and their selection."""
