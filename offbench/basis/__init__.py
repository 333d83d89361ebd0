"""What every folder may use: atomic files, locks, packaged resources, tensors in files, the protocol of a policy."""
