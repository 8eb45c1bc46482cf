"""Return the sequence backwards: can a model keep everything, and read it at every lag?

Source: task Reverse of Gupta et al. 2022, arXiv 2212.00768, section 4.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from harness.api import Batch, Protocol, Signal, Values
from suites.synthetic._sequences import AtomicTask, at_least, normalised, with_clock


@final
@dataclass(frozen=True, kw_only=True)
class Reverse(AtomicTask):
    """y[j] = x[length - 1 - j], asked for behind the sequence.

    Answer j lies 2j + 1 positions behind its source, so a convolution needs a kernel for each.
    """

    length: int = 512
    """Values to be reversed; as many empty positions follow."""

    protocol: ClassVar[Protocol] = Protocol(steps=600, batch=32, width=64, depth=2)

    def __post_init__(self) -> None:
        at_least("length", self.length, 1)

    @property
    def inputs(self) -> Signal:
        """The value, and the clock's cosine and sine."""
        return Signal(3)

    @property
    def outputs(self) -> Values:
        """The values backwards, at the empty positions."""
        return Values(1, last=self.length)

    @property
    def max_length(self) -> int:
        """Values and empty positions."""
        return 2 * self.length

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw sequences and flip them."""
        signal = normalised(n, self.length, rng)
        inputs = with_clock(F.pad(signal, (0, self.length)))
        return Batch(inputs, signal.flip(1)[..., None].float())

    def oracle(self, batch: Batch) -> Float[Tensor, "b l 1"]:
        """Take the values from a stack, the last one first."""
        stack = list(batch.inputs[:, : self.length, 0].unbind(1))
        return torch.stack([stack.pop() for _ in range(self.length)], 1)[..., None]
