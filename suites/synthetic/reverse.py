"""Return the sequence backwards: can a model keep everything, and read it at every lag?

Source: task Reverse of Gupta et al. 2022, arXiv 2212.00768, section 4.
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from harness.api import Batch
from suites.synthetic._sequences import Behind, normalised, with_clock


@final
@dataclass(frozen=True, kw_only=True)
class Reverse(Behind):
    """y[j] = x[length - 1 - j], asked for behind the sequence.

    Answer j lies 2j + 1 positions behind its source, so a convolution needs a kernel for each.
    """

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw sequences and flip them."""
        signal = normalised(n, self.length, rng)
        inputs = with_clock(F.pad(signal, (0, self.length)))
        return Batch(inputs, signal.flip(1)[..., None].float())

    def oracle(self, batch: Batch) -> Float[Tensor, "b l 1"]:
        """Take the values from a stack, the last one first."""
        stack = list(batch.inputs[:, : self.length, 0].unbind(1))
        return torch.stack([stack.pop() for _ in range(self.length)], 1)[..., None]
