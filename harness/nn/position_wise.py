"""The position-wise maps of a block: what follows its mixer, and its feed-forward branch.

Axes: d width.
"""

from typing import final

from torch import Tensor, nn
from torch.nn import functional as F

from harness.contract.block import Trunk
from harness.nn.single_position import drop, gelu


@final
class GatedLinear(nn.Linear):
    """GELU, dropout, a linear map to 2d and a gated linear unit (arXiv 1612.08083), (..., d)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__(width, 2 * width)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Map features, position by position."""
        return F.glu(super().forward(drop(gelu(x), self.dropout, self.training)), -1)


@final
class HalfGatedLinear(nn.Linear):
    """GELU and dropout, times a sigmoid gate made of the result: S5's `half_glu1`, (..., d)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__(width, width)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Map features, position by position."""
        x = drop(gelu(x), self.dropout, self.training)
        return x * super().forward(x).sigmoid()


@final
class PlainLinear(nn.Linear):
    """GELU, dropout and a linear map, (..., d)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__(width, width)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Map features, position by position."""
        return super().forward(drop(gelu(x), self.dropout, self.training))


@final
class SwiGLU(nn.Module):
    """A linear map gated by the SiLU of another, and a linear map back (arXiv 2002.05202)."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Linear(width, 2 * hidden, bias=False)
        self.dropout = dropout
        self.out = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map features, position by position."""
        value, gate = self.project(x).chunk(2, -1)
        mapped: Tensor = self.out(drop(value * F.silu(gate), self.dropout, self.training))
        return mapped


@final
class Perceptron(nn.Module):
    """A linear map, GELU, dropout and a linear map back."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Linear(width, hidden)
        self.dropout = dropout
        self.out = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map features, position by position."""
        mapped: Tensor = self.out(drop(gelu(self.project(x)), self.dropout, self.training))
        return mapped


def position_wise(trunk: Trunk, width: int, dropout: float) -> nn.Module:
    """Build what follows the mixer inside its residual branch."""
    if trunk.mix == "glu":
        return GatedLinear(width, dropout)
    if trunk.mix == "half-glu":
        return HalfGatedLinear(width, dropout)
    if trunk.mix == "linear":
        return PlainLinear(width, dropout)
    return nn.Identity()


def feed_forward(trunk: Trunk, width: int, dropout: float) -> nn.Module | None:
    """Build the second residual branch, None if the trunk has none."""
    if not trunk.ffn:
        return None
    hidden = round(trunk.ffn * width)
    if trunk.ffn_form == "swiglu":
        return SwiGLU(width, hidden, dropout)
    return Perceptron(width, hidden, dropout)
