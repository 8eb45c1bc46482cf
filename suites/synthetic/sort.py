"""Return the values by their distance from the first one: can a model order what it has seen?

Source: task Sort of Gupta et al. 2022, arXiv 2212.00768, and github.com/ag1988/dlr since December
2022: the reference point makes the order depend on the context. It is no ascending sort.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from harness.api import Batch
from suites._options import by_default
from suites.synthetic._sequences import Behind, normalised, with_clock


@final
@dataclass(frozen=True, kw_only=True)
class Sort(Behind):
    """y is x in the order of |x[i] - x[0]|, earlier positions first where distances are equal.

    Who knows the distance at each rank but not its sign scores an R2 of about 0.5: a half is a
    plateau, not a sequence half sorted.
    """

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """The first value and the place, to trees: near the first ranks all values are like it."""
        return by_default(self, {"boosted trees": 0.475})

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw sequences and sort them.

        Distances are those of the rounded values, which are exact in float64: the order can be
        found from the inputs, even where two values lie almost equally far on either side.
        """
        signal = normalised(n, self.length, rng).float()
        distance = (signal.double() - signal[:, :1].double()).abs()
        order = distance.argsort(dim=1, stable=True)
        inputs = with_clock(F.pad(signal.double(), (0, self.length)))
        return Batch(inputs, signal.gather(1, order)[..., None])

    def oracle(self, batch: Batch) -> Float[Tensor, "b l 1"]:
        """Sort each row as a list of Python's numbers."""
        ordered = []
        for first, *others in batch.inputs[:, : self.length, 0].tolist():
            ranked = sorted((abs(value - first), i, value) for i, value in enumerate(others))
            ordered.append([first, *(value for _, _, value in ranked)])
        return torch.tensor(ordered)[..., None]
