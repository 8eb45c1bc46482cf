"""Solve a linear system given number by number: can a model compute with all it has read?

Source: task Solve of Gupta et al. 2022, arXiv 2212.00768, section 4.
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float64
from torch import Tensor

from suites.synthetic._system import SystemTask, orthogonal


@final
@dataclass(frozen=True, kw_only=True)
class Solve(SystemTask):
    """Every sequence has a matrix of its own."""

    def matrices(self, count: int, rng: torch.Generator) -> Float64[Tensor, "b n n"]:
        """Draw anew for every sequence."""
        return orthogonal(count, self.unknowns, rng)
