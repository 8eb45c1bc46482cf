"""What a network is asked that is trained on inputs alone: to rebuild those that it does not see.

Axes: b batch, l length, c channels, k columns that predict a position.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import nan
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORED = -100
"""The target of a position that carries no label."""


class Denoising(ABC):
    """How positions of some kind of inputs are hidden, asked for, and compared."""

    symbols: int = 0
    """Tokens beyond the inputs' own that hiding takes."""

    @property
    @abstractmethod
    def columns(self) -> int:
        """Numbers that predict a position."""

    @abstractmethod
    def hide(self, x: Tensor, where: Tensor) -> Tensor:
        """Return (b, l, ...) inputs without what stands `where`, (b, l), says."""

    @abstractmethod
    def targets(self, x: Tensor, where: Tensor) -> Tensor:
        """Return (b, l, ...) inputs as targets that are asked `where`, (b, l), says."""

    @abstractmethod
    def errors(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Compare (b, l, k) predictions with targets.

        Returns:
            (b, l) losses, zero where nothing is asked, and where something is.
        """


@final
@dataclass(frozen=True)
class TokenDenoising(Denoising):
    """A further token hides, and cross-entropy compares."""

    size: int
    """The tokens' own number; the next one hides."""

    symbols = 1

    @property
    def columns(self) -> int:
        """One for each token."""
        return self.size

    def hide(self, x: Tensor, where: Tensor) -> Tensor:
        """Write the further token; small integers might not hold it."""
        return x.long().masked_fill(where, self.size)

    def targets(self, x: Tensor, where: Tensor) -> Tensor:
        """Write `IGNORED` where nothing is asked."""
        return x.long().masked_fill(~where, IGNORED)

    def errors(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return cross-entropies."""
        losses = F.cross_entropy(
            predictions.flatten(0, -2), targets.flatten(), ignore_index=IGNORED, reduction="none"
        )
        return losses.view_as(targets), targets != IGNORED


@final
@dataclass(frozen=True)
class SignalDenoising(Denoising):
    """Zeros hide, and squared errors compare."""

    channels: int

    @property
    def columns(self) -> int:
        """One for each channel."""
        return self.channels

    def hide(self, x: Tensor, where: Tensor) -> Tensor:
        """Write zeros in all channels."""
        return x.masked_fill(where[..., None], 0)

    def targets(self, x: Tensor, where: Tensor) -> Tensor:
        """Write NaN where nothing is asked."""
        return x.masked_fill(~where[..., None], nan)

    def errors(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return squared errors, averaged over channels."""
        asked = ~targets.isnan().any(-1)
        gap = torch.where(asked[..., None], predictions - targets, 0)
        return gap.square().mean(-1), asked
