"""Benchmarks for asv: the history of this project's speed and memory, commit by commit.

`tests/perf` times the same ones and checks what they give; `tools/peers` sets layers beside others.
"""
