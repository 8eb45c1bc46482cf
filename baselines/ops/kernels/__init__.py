"""Operators as kernels in Triton, which needs no compiler and no build; `forms` chooses them.

One file an operator, named as its function, which `baselines.ops.forms.triton` finds by that name.
Nothing outside this folder imports Triton.
"""
