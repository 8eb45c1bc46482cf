"""Conv: dilated convolutions whose reach doubles from one to the next.

Bai, Kolter, Koltun 2018, "An Empirical Evaluation of Generic Convolutional and Recurrent Networks
for Sequence Modeling". Level i adds to its input the ReLU of a convolution whose taps lie 2^i
positions apart; all levels together see (kernel - 1) (2^levels - 1) other positions. Here a level
has one convolution, not two, and no weight normalisation. Causal, the last tap is the position
itself; else the middle one (of an even number, the first after the middle).

Axes: b batch, l length, d width, k taps.
"""

from dataclasses import dataclass
from typing import ClassVar, cast, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.convolution.dilated import dilated_branch, dilated_level
from baselines.ops.rows import row, write
from harness.api import Mixer, Model, SpecError, Trunk, counted, mask_padding

Rings = tuple[list[Float[Tensor, "b _ d"]], Int[Tensor, ""]]
"""The last inputs of each level, position p at p modulo their number; positions so far."""


@final
@dataclass(frozen=True, kw_only=True)
class Conv(Model):
    """Dilated convolutions."""

    kernel: int = 3
    """Taps of each convolution."""
    levels: int = 6
    """Convolutions in a layer; each doubles the distance between taps."""

    trunk: ClassVar[Trunk] = Trunk(mix="none")
    reference: ClassVar[str] = "bai2018tcn"

    def __post_init__(self) -> None:
        if self.kernel < 2:
            raise SpecError(f"kernel must be 2 or more, not {self.kernel}.")
        if self.levels < 1:
            raise SpecError(f"levels must be positive, not {self.levels}.")

    def build(self, *, width: int, length: int, causal: bool) -> "ConvLayer":  # noqa: ARG002
        """Build the layer; it needs no length.

        Raises:
            SpecError: A centred convolution was asked for with an even number of taps.
        """
        if not causal and self.kernel % 2 == 0:
            raise SpecError(
                f"A model that sees the future has as many taps before as behind a position, so "
                f"kernel must be odd, not {self.kernel}."
            )
        return ConvLayer(width, self.kernel, self.levels, causal=causal)


@final
class ConvLayer(Mixer):
    """Levels of convolutions, each in its residual branch, and a linear map."""

    def __init__(self, width: int, kernel: int, levels: int, *, causal: bool) -> None:
        super().__init__()
        self.kernel, self.causal = kernel, causal
        self.levels = nn.ModuleList(nn.Linear(kernel * width, width) for _ in range(levels))
        """A level's map from its taps, the oldest one first."""
        self.out = nn.Linear(width, width)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Convolve; a layer that sees the future clears the padding before every level."""
        for number, level in enumerate(self._levels()):
            u = u if self.causal else mask_padding(u, lengths)
            after = 0 if self.causal else (self.kernel - 1) // 2 << number
            before = (self.kernel - 1 << number) - after
            u = dilated_level(u, level.weight, level.bias, 1 << number, before)
        mapped: Tensor = self.out(u)
        return mapped

    def initial_state(self, batch: int) -> Rings:
        """Return zeros."""
        width = len(self.out.weight)
        sizes = (self.kernel - 1 << number for number in range(len(self.levels)))
        return [self.out.weight.new_zeros(batch, size, width) for size in sizes], torch.tensor(0)

    def step(self, u: Float[Tensor, "b d"], state: Rings) -> tuple[Float[Tensor, "b d"], Rings]:
        """Advance one position, which takes the oldest one's place in every ring."""
        rings, count = state
        position = counted(count)
        for number, (level, ring) in enumerate(zip(self._levels(), rings, strict=True)):
            past = [(position + (tap << number)) % ring.shape[1] for tap in range(self.kernel - 1)]
            taps = torch.cat([*(row(ring, at) for at in past), u], -1)
            write(ring, past[0], u)
            u = u + F.relu(level(taps))
        return self.out(u), (rings, count + 1)

    def advance(
        self, u: Float[Tensor, "b l d"], state: Rings
    ) -> tuple[Float[Tensor, "b l d"], Rings]:
        """Convolve over what the rings hold and the piece."""
        (rings, count), after = state, []
        for number, (level, ring) in enumerate(zip(self._levels(), rings, strict=True)):
            size = ring.shape[1]
            inputs = torch.cat([ring.roll(-int(count) % size, 1), u], 1)
            after.append(inputs[:, -size:].roll(int(count + u.shape[1]) % size, 1).to(ring.dtype))
            u = u + dilated_branch(inputs, level.weight, level.bias, 1 << number)
        return self.out(u), (after, count + u.shape[1])

    def _levels(self) -> list[nn.Linear]:
        return cast("list[nn.Linear]", list(self.levels))
