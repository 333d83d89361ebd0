"""Off-policy evaluation, and choosing among policies without playing them."""
