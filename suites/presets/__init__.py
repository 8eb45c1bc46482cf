"""Named lists of runs: one file a preset, with one function `runs`."""

PLUGINS = "preset"  # each file is a named list of runs
