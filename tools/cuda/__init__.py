"""Says what a GPU makes of everything here, in minutes: `python tools/cuda/check.py`.

`parts` are what it does, `scaling` the largest of them, `proof` compares layers with exact numbers,
`warm` keeps one process for all measurements, `profiling` looks at one step, `peer` is a plugin of
other people's layers, `entry` lets a bare checkout find its plugins.
"""
