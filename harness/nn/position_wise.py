"""The position-wise maps of a block: what follows its mixer, and its feed-forward branch.

Axes: d width.
"""

from typing import final

from torch import Tensor, nn
from torch.nn import functional as F

from harness.contract.block import Trunk

FEW = 4096
"""Numbers up to which torch's own GELU is done before oneDNN's has begun: 28 and 45 microseconds
for 1,024 behind a large product; at 16,384 oneDNN's two cores are ahead."""


def gelu(x: Tensor) -> Tensor:
    """Apply GELU (arXiv 1606.08415), exact, to (..., d) features or to those of one position."""
    if x.ndim > 2 or x.numel() > FEW or x.numel() % 2 or not x.is_cpu:
        return F.gelu(x)
    # oneDNN takes what lies in memory in order, so a transpose keeps one position from it.
    return F.gelu(x.reshape(2, -1).t()).t().view(x.shape)


@final
class Dropout(nn.Dropout):
    """Dropout that costs a step of generation next to nothing, not even a module's call."""

    def __call__(self, x: Tensor) -> Tensor:
        """Drop in training only."""
        return super().__call__(x) if self.training else x


@final
class GatedLinear(nn.Linear):
    """GELU, dropout, a linear map to 2d and a gated linear unit (arXiv 1612.08083), (..., d)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__(width, 2 * width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map features, position by position."""
        return F.glu(super().forward(self.dropout(gelu(x))), -1)


@final
class HalfGatedLinear(nn.Linear):
    """GELU and dropout, times a sigmoid gate made of the result: S5's `half_glu1`, (..., d)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__(width, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map features, position by position."""
        x = self.dropout(gelu(x))
        return x * super().forward(x).sigmoid()


@final
class PlainLinear(nn.Linear):
    """GELU, dropout and a linear map, (..., d)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__(width, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map features, position by position."""
        return super().forward(self.dropout(gelu(x)))


@final
class SwiGLU(nn.Module):
    """A linear map gated by the SiLU of another, and a linear map back (arXiv 2002.05202)."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Linear(width, 2 * hidden, bias=False)
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map features, position by position."""
        value, gate = self.project(x).chunk(2, -1)
        mapped: Tensor = self.out(self.dropout(value * F.silu(gate)))
        return mapped


@final
class Perceptron(nn.Module):
    """A linear map, GELU, dropout and a linear map back."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Linear(width, hidden)
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map features, position by position."""
        mapped: Tensor = self.out(self.dropout(gelu(self.project(x))))
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
