"""Times our layers beside other people's, and beside what the machine can do at most.

What is timed of single operators stands in `benchmarks`, every module of which asv imports.
`ask` is one measurement, `worker` makes one in a process of its own, `sides` are what is measured,
`rows` says which measurements make which row and what is wanted of it, `store` keeps the answers.
"""
