"""Linear state space models: their discretisation, kernels, sequences and single steps."""
