"""Models: one file each."""
