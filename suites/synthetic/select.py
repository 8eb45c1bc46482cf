"""Return the marked values in order: can a model keep what matters and drop the rest?

Source: task Select of Gupta et al. 2022, arXiv 2212.00768, section 4.
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Int
from torch import Tensor

from suites.synthetic._selection import SelectionTask, lots


@final
@dataclass(frozen=True, kw_only=True)
class Select(SelectionTask):
    """The marked positions differ from sequence to sequence."""

    def chosen(self, n: int, rng: torch.Generator) -> Int[Tensor, "b p"]:
        """Draw anew for every sequence."""
        return lots(n, self.length + self.marked, self.marked, rng)
