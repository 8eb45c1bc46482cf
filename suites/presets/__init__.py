"""Named lists of runs: one file a preset, with one function `runs`."""
