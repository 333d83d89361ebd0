"""What is wrong with a dataset although it loads."""
