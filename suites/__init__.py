"""Tasks: one file each, a folder a suite."""
