"""Convolutions along time: short ones, and kernels as long as the sequence."""
