"""Files of the world, read and written, stored policies included."""
