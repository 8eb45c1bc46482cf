"""SGConv: a convolution as long as the sequence, its kernel made of ever coarser, fading pieces.

Li, Cai, Zhang, Chen, Dey 2022, "What Makes Convolutional Models Great on Long Sequence Modeling?".
Kernel = [piece_0, stretch_1(piece_1) / decay, stretch_2(piece_2) / decay^2, ...] / norm. A layer
that is not causal has a second kernel for the future, from the next position on, as in the paper's
code.

The code divides by the norm that the kernel has at the first forward pass. Here it is the norm at
initialisation, the same number unless parameters change before, and no forward pass changes state.

Axes: b batch, l length, d channels, k directions, _ positions held, n taps.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from baselines.ops.convolution import convolve
from baselines.ops.multiscale import multiscale_kernel, scales
from baselines.ops.versions import version
from harness.api import Group, Mixer, Model, SpecError, UnsupportedError

Inputs = Float[Tensor, "b d _"]


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
    apart: ClassVar[dict[str, Group]] = {
        "pieces": Group(lr=1e-3, weight_decay=None),
        "D": Group(weight_decay=None),
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
        self._stepped: tuple[object, Tensor] = None, whole

    def kernel(self, length: int) -> Float[Tensor, "d k m"]:
        """Return the taps of each direction, at most as many as the kernel reaches."""
        working = torch.promote_types(self.pieces.dtype, torch.float32)
        # A kernel must not follow an activation into half precision: it is made of parameters.
        with torch.autocast(self.D.device.type, enabled=False):
            pieces = self.pieces.to(working) / self.norm.to(working)
            return multiscale_kernel(pieces, self.decay.to(working), length)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Convolve; a bidirectional layer first clears the padding, which its future could see."""
        if lengths is not None and not self.causal:
            padding = torch.arange(u.shape[1], device=u.device) >= lengths[:, None]
            u = u.masked_fill(padding[..., None], 0)
        return convolve(u, self.kernel(u.shape[1]), self.D)

    def initial_state(self, batch: int) -> Inputs:
        """Return no inputs: a state holds those that were seen, as far back as the kernel reaches.

        Raises:
            UnsupportedError: The layer sees the future.
        """
        if not self.causal:
            raise UnsupportedError("A bidirectional layer sees the future, so it has no step mode.")
        return self.D.new_empty(batch, len(self.D), 0)

    def step(self, u: Float[Tensor, "b d"], state: Inputs) -> tuple[Float[Tensor, "b d"], Inputs]:
        """Sum over the inputs that the kernel reaches."""
        seen = self._latest(state, u[..., None])
        taps = self._reversed_kernel()[..., self.reach - seen.shape[-1] :]
        # Not under autocast: eight bits of a tap are too few.
        with torch.autocast(u.device.type, enabled=False):
            y = torch.einsum("bdn,dn->bd", seen.to(taps.dtype), taps)
        return torch.addcmul(y, self.D, u).to(u.dtype), seen

    def advance(
        self, u: Float[Tensor, "b l d"], state: Inputs
    ) -> tuple[Float[Tensor, "b l d"], Inputs]:
        """Convolve what is held and what comes, and keep the outputs of what comes."""
        past = state.mT.to(u.dtype)
        joined = torch.cat([past, u], 1)
        y = convolve(joined, self.kernel(joined.shape[1]), self.D)[:, past.shape[1] :]
        return y, self._latest(state, u.mT)

    def prefill(self, u: Float[Tensor, "b l d"]) -> Inputs:
        """Return the latest inputs."""
        return self._latest(self.initial_state(len(u)), u.mT)

    def state_bytes(self, length: int) -> int:
        """Return the bytes of the inputs that were seen, as far back as the kernel reaches."""
        self.initial_state(1)
        return self.D.element_size() * len(self.D) * min(length, self.reach)

    def path(self) -> str:
        """Name the form of the convolution."""
        return "fft"

    def _latest(self, state: Inputs, new: Inputs) -> Inputs:
        kept = state[..., max(0, state.shape[-1] + new.shape[-1] - self.reach) :]
        return torch.cat([kept, new[..., -self.reach :].to(kept.dtype)], -1)

    @torch.no_grad()
    def _reversed_kernel(self) -> Float[Tensor, "d n"]:
        present = version(self.parameters())
        if self._stepped[0] != present:
            self._stepped = present, self.kernel(self.reach)[:, 0].flip(-1)
        return self._stepped[1]
