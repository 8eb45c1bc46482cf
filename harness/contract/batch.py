"""What goes into a network: batches, and the kinds of inputs with the layer that encodes each.

Axes: b batch, l length, d width of the backbone, c channels.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from harness.contract.denoising import Denoising, SignalDenoising, TokenDenoising
from harness.core.errors import UnsupportedError

STRIDE = 128
"""Positions by which batches differ in length: memory of ever new sizes is hardly used again, and a
training that is cut to the position holds twice as much after 600 steps."""


@final
@dataclass(frozen=True)
class Batch:
    """Some examples. Every tensor's first axis counts them."""

    inputs: Tensor
    """(b, l) integers for `Tokens`, (b, l, c) floats for `Signal`; (b, 2, l, ...) for pairs.

    Integers may be of any type, so that a large split lies in memory as small as it can be.
    """
    targets: Tensor
    """What the task's outputs say: `OneLabel` (b,), `StepLabels` (b, l), `Values` (b, p, s)."""
    lengths: Tensor | None = None
    """(b,) valid positions of each sequence, (b, 2) for pairs; None if none is padding.

    Padding is on the right.
    """

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, rows: slice | Tensor) -> "Batch":
        lengths = None if self.lengths is None else self.lengths[rows]
        return Batch(self.inputs[rows], self.targets[rows], lengths)

    def trimmed(self) -> "Batch":
        """Return the batch without the positions that are padding in all of its examples.

        Up to a multiple of `STRIDE` some stay.
        """
        if self.lengths is None:
            return self
        axis, longest = self.lengths.ndim, -(-max(1, int(self.lengths.max())) // STRIDE) * STRIDE
        longest = min(longest, self.inputs.shape[axis])
        inputs, targets = self.inputs, self.targets
        if targets.shape[: axis + 1] == inputs.shape[: axis + 1]:  # something for each position
            targets = targets.narrow(axis, 0, longest)
        return Batch(inputs.narrow(axis, 0, longest), targets, self.lengths)

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device, its integers in the type that networks take."""
        lengths = None if self.lengths is None else widened(sent(self.lengths, device))
        return Batch(
            widened(sent(self.inputs, device)), widened(sent(self.targets, device)), lengths
        )


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; what CUDA copies from pinned memory nobody waits for."""
    pinned = device.type == "cuda" and tensor.is_cpu
    return (tensor.pin_memory() if pinned else tensor).to(device, non_blocking=pinned)


def unchanged(batch: Batch) -> Batch:
    """Return a batch as it is."""
    return batch


@final
@dataclass(frozen=True)
class Rows:
    """A split as it lies in memory, small, which becomes what networks take batch by batch."""

    examples: Batch
    prepare: Callable[[Batch], Batch] = unchanged
    """Turns some of the examples into what networks take."""

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the examples in their order, `size` at a time, the last ones maybe fewer.

        Padding that is common to a batch is left out.
        """
        for start in range(0, len(self.examples), size):
            yield self.prepare(self.examples[start : start + size]).trimmed()


def widened(tensor: Tensor) -> Tensor:
    """Return integers as 64-bit ones, which embeddings and losses want; floats as they are."""
    return tensor if tensor.is_floating_point() else tensor.long()


def valid_positions(x: Tensor, lengths: Tensor) -> Tensor:
    """Say which positions of (b, l, ...) are no padding, (b, l), by (b,) lengths; so of pairs."""
    return torch.arange(x.shape[lengths.ndim], device=x.device) < lengths[..., None]


def mask_padding(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Return (b, l, d) features with zeros at padded positions; None for lengths if none is."""
    if lengths is None:
        return x
    return x.masked_fill(~valid_positions(x, lengths)[..., None], 0)


class Inputs(ABC):
    """What goes into a network, and the layer that turns it into features."""

    @abstractmethod
    def encoder(self, width: int) -> nn.Module:
        """Build the map from inputs to (b, l, d) features."""

    @abstractmethod
    def random(self, batch: int, length: int, rng: torch.Generator) -> Tensor:
        """Draw legal inputs that mean nothing, for measuring and checking."""

    def denoising(self) -> Denoising:
        """Return how a network is trained on such inputs alone.

        Raises:
            UnsupportedError: Nobody says how they are hidden and rebuilt.
        """
        raise UnsupportedError(f"{type(self).__name__} has no `denoising` to be pretrained by.")

    def with_symbols(self, more: int) -> "Inputs":
        """Return such inputs with so many tokens more, which no example has.

        Raises:
            UnsupportedError: They are no tokens.
        """
        if more:
            raise UnsupportedError(f"{type(self).__name__} has no tokens to put symbols beside.")
        return self


@final
@dataclass(frozen=True)
class Tokens(Inputs):
    """Integers 0 to size - 1, shape (b, l)."""

    size: int

    def encoder(self, width: int) -> nn.Module:
        """Build an embedding."""
        return nn.Embedding(self.size, width)

    def random(self, batch: int, length: int, rng: torch.Generator) -> Tensor:
        """Draw uniform tokens."""
        return torch.randint(self.size, (batch, length), generator=rng)

    def denoising(self) -> Denoising:
        """Return what hides by a further token."""
        return TokenDenoising(self.size)

    def with_symbols(self, more: int) -> "Tokens":
        """Return a larger vocabulary; what is added comes last."""
        return Tokens(self.size + more)


@final
@dataclass(frozen=True)
class Signal(Inputs):
    """Real channels, shape (b, l, c)."""

    channels: int

    def encoder(self, width: int) -> nn.Module:
        """Build a linear map, the same at every position."""
        return nn.Linear(self.channels, width)

    def random(self, batch: int, length: int, rng: torch.Generator) -> Tensor:
        """Draw normal values."""
        return torch.randn(batch, length, self.channels, generator=rng)

    def denoising(self) -> Denoising:
        """Return what hides by zeros."""
        return SignalDenoising(self.channels)
