"""SGConv: a convolution as long as the sequence, its kernel made of ever coarser, fading pieces.

Li, Cai, Zhang, Chen, Dey 2022, "What Makes Convolutional Models Great on Long Sequence Modeling?".
Kernel = [piece_0, stretch_1(piece_1) / decay, stretch_2(piece_2) / decay^2, ...] / norm. A layer
that is not causal has a second kernel for the future, from the next position on, as in the paper's
code.

The code divides by the norm that the kernel has at the first forward pass. Here it is the norm at
initialisation, the same number unless parameters change before, and no forward pass changes state.

Axes: b batch, l length, d channels, k directions, m taps.
"""

from dataclasses import dataclass
from typing import ClassVar, cast, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from baselines.ops.convolution.fft_convolution import fft_convolve
from baselines.ops.convolution.multiscale import multiscale_kernel, scales
from baselines.ops.convolution.online_convolution import (
    OnlineConvolution,
    OnlineState,
    block_length,
)
from harness.api import (
    Mixer,
    Model,
    ParameterGroup,
    SpecError,
    own_tensors,
    tensor_versions,
)


@final
@dataclass(frozen=True, kw_only=True)
class SGConv(Model):
    """Structured global convolution."""

    piece: int = 64
    """Parameters of each piece; the number of pieces follows from the length."""
    decay_min: float = 2.0
    """Smallest factor by which a piece is weaker than the one before; even over the channels."""
    decay_max: float = 2.0
    """Largest such factor."""

    lr: ClassVar[float] = 0.01
    groups: ClassVar[dict[str, ParameterGroup]] = {
        "pieces": ParameterGroup(lr=1e-3, weight_decay=None),
        "D": ParameterGroup(weight_decay=None),
    }
    reference: ClassVar[str] = "li2022sgconv"

    def __post_init__(self) -> None:
        if self.piece < 1:
            raise SpecError(f"piece must be positive, not {self.piece}.")
        if not 0 < self.decay_min <= self.decay_max:
            given = f"{self.decay_min}, {self.decay_max}"
            raise SpecError(f"0 < decay_min <= decay_max must hold, not {given}.")

    def build(self, *, width: int, length: int, causal: bool) -> "SGConvLayer":
        """Build the layer; what lies further back than its kernel reaches, it does not see."""
        return SGConvLayer(self, width, length, causal=causal)


@final
class SGConvLayer(Mixer):
    """The mixer of SGConv."""

    decay: Tensor
    norm: Tensor

    def __init__(self, recipe: SGConv, width: int, length: int, *, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        shape = scales(length, recipe.piece), width, 1 if causal else 2, recipe.piece
        self.pieces = nn.Parameter(torch.randn(shape))
        self.D = nn.Parameter(torch.randn(width))
        self.reach = recipe.piece << shape[0] - 1
        self.register_buffer("decay", torch.linspace(recipe.decay_min, recipe.decay_max, width))
        whole = multiscale_kernel(self.pieces.detach(), self.decay, self.reach)
        self.register_buffer("norm", whole.norm(dim=-1, keepdim=True))
        self._cached: tuple[object, OnlineConvolution | None] = None, None

    def kernel(self, length: int) -> Float[Tensor, "d k m"]:
        """Return the taps of each direction, at most as many as the kernel reaches."""
        working = self._working()
        # A kernel must not follow an activation into half precision: it is made of parameters.
        with torch.autocast(self.D.device.type, enabled=False):
            pieces = self.pieces.to(working) / self.norm.to(working)
            return multiscale_kernel(pieces, self.decay.to(working), length)

    def forward(
        self,
        u: Float[Tensor, "b l d"],
        lengths: Int[Tensor, " b"] | None = None,  # noqa: ARG002 - the contract clears padding
    ) -> Float[Tensor, "b l d"]:
        """Convolve with what each direction sees."""
        return fft_convolve(u, self.kernel(u.shape[1]), self.D)

    def initial_state(self, batch: int) -> OnlineState:
        """Return no inputs, and nothing that they give to outputs."""
        shape = batch, block_length(0, self.reach), len(self.D)
        return OnlineState(self.D.new_zeros(shape, dtype=self._working()), torch.tensor(0))

    def step(
        self, u: Float[Tensor, "b d"], state: OnlineState
    ) -> tuple[Float[Tensor, "b d"], OnlineState]:
        """Convolve one position with the first taps, and some positions with those further on."""
        return self._online().step(u, state)

    def advance(
        self, u: Float[Tensor, "b l d"], state: OnlineState
    ) -> tuple[Float[Tensor, "b l d"], OnlineState]:
        """Convolve a piece in few parts."""
        return self._online().advance(u, state)

    def prefill(self, u: Float[Tensor, "b l d"]) -> OnlineState:
        """Return the state after a sequence, of which only the last two blocks are in reach."""
        state, most = self.initial_state(len(u)), block_length(self.reach, self.reach)
        return self._online().read(u[:, max(0, u.shape[1] // most - 1) * most :], state)

    def replayable(self, state: OnlineState) -> int:
        """Return the steps before the one that passes inputs on."""
        return state.replayable()

    def state_bytes(self, length: int) -> int:
        """Return the bytes of a block that doubles until the kernel fits, and of a count."""
        start = self.initial_state(1)
        row = start.block.element_size() * len(self.D)
        return row * block_length(length, self.reach) + start.done.element_size()

    def path(self) -> str:
        """Name the form of the convolution."""
        return "fft"

    def _working(self) -> torch.dtype:
        return torch.promote_types(self.pieces.dtype, torch.float32)

    def _online(self) -> OnlineConvolution:
        """Return the kernel for steps, made again only when a parameter has changed."""
        present = tensor_versions(own_tensors(self))
        cached = self._cached  # which another thread may replace at any time
        if cached[0] != present:
            kernel = self.kernel(self.reach)[:, 0]
            cached = self._cached = present, OnlineConvolution(kernel, self.D.to(kernel.dtype))
        return cast("OnlineConvolution", cached[1])
