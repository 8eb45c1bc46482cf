"""Benchmarks for asv: the history of this project's speed and memory, commit by commit.

asv takes these files from the working tree and the project from the commit, so nothing that a
commit may lack is imported outside of `given`. Versions are pinned: raise one when what it measures
changes, or asv will compare what cannot be compared.
"""
