"""Many runs: which they are, who trains them, and how far they have come."""
