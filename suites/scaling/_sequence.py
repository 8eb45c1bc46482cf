"""What the scaling tasks share: sequences of random numbers, on the way up in length."""

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import MeasuredTask, Network, Protocol, Signal, Values
from suites._options import within


@dataclass(frozen=True, kw_only=True)
class SequenceScaling(MeasuredTask, ABC):
    """One channel in, one value out at every position, causal; a subclass says what is timed.

    The figures are those of the mixer with as little as possible around it: one block.
    """

    length: int = 1024
    """Positions of a sequence."""

    protocol: ClassVar[Protocol] = Protocol(batch=1, width=128, depth=1)
    ladder: ClassVar[Mapping[str, tuple[int, ...]]] = {"length": (1024, 4096, 16384, 65536, 262144)}

    def __post_init__(self) -> None:
        within("length", self.length, 1)

    @property
    def inputs(self) -> Signal:
        """Random numbers."""
        return Signal(1)

    @property
    def outputs(self) -> Values:
        """A value at every position."""
        return Values(1, last=self.length)

    @property
    def max_length(self) -> int:
        """The sequence."""
        return self.length

    @property
    def causal(self) -> bool:
        """As in generation, and as what a step mode needs."""
        return True

    def drawn(self, network: Network, batch: int, rng: torch.Generator) -> Float[Tensor, "b l 1"]:
        """Draw inputs and lay them where the network's parameters lie, in their precision."""
        return self.inputs.random(batch, self.length, rng).to(next(network.parameters()))
