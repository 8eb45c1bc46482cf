"""What attention by kernel features asks of them.

Axes: e features of a head, f features of the kernel.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class FeatureMap(nn.Module, ABC):
    """Two maps of (..., e) to (..., f) numbers that are not negative."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        """f, features of the kernel."""

    @abstractmethod
    def queries(self, q: Tensor) -> Tensor:
        """Map queries, each up to a factor of its own, which cancels."""

    @abstractmethod
    def keys(self, k: Tensor) -> Tensor:
        """Map keys, all up to one factor."""
