"""Times our layers beside other people's, and beside what the machine can do at most.

It stands apart from `benchmarks/`, whose every module asv imports at every commit that it measures.
`ask` is one measurement, `worker` makes one in a process of its own, `sides` are what is measured,
`rows` says which measurements make which row and what is wanted of it, `store` keeps the answers.
"""
