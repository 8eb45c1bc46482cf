"""Return the values at fixed positions in order: can a model learn some lags by heart?

Source: task Select-Fixed of Gupta et al. 2022, arXiv 2212.00768, section 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Int
from torch import Tensor

from harness.api import stream
from suites._options import by_default
from suites.synthetic._selection import SelectionTask, lots


@final
@dataclass(frozen=True, kw_only=True)
class SelectFixed(SelectionTask):
    """The marked positions are the same in every sequence, so as many fixed lags suffice."""

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """What trees make of summaries of the sequence."""
        return by_default(self, {"boosted trees": 0.025})

    def chosen(self, n: int, rng: torch.Generator) -> Int[Tensor, "b p"]:  # noqa: ARG002
        """Repeat the positions that the task's own stream draws."""
        own = stream("synthetic/select-fixed", self.version, "positions")
        return lots(1, self.length + self.marked, self.marked, own).expand(n, -1)
