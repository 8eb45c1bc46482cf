"""Solve systems that share one matrix: can a model learn one linear map of what it has read?

Source: task Solve-Fixed of Gupta et al. 2022, arXiv 2212.00768, section 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float64
from torch import Tensor

from harness.api import stream
from suites._options import by_default
from suites.synthetic._system import SystemTask, orthogonal


@final
@dataclass(frozen=True, kw_only=True)
class SolveFixed(SystemTask):
    """All sequences have the same matrix A, so the answer is the fixed linear map A' of b."""

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """What trees make of summaries of the sequence."""
        return by_default(self, {"boosted trees": 0.090})

    def matrices(self, count: int, rng: torch.Generator) -> Float64[Tensor, "b n n"]:  # noqa: ARG002
        """Repeat the matrix that the task's own stream draws."""
        own = stream("synthetic/solve-fixed", self.version, "matrix")
        return orthogonal(1, self.unknowns, own).expand(count, -1, -1)
