"""Hyena: gates between long convolutions, whose kernels a small network writes.

Poli et al. 2023, "Hyena Hierarchy: Towards Larger Convolutional Language Models", with sizes and
initial values of the authors' `standalone_hyena.py`. A layer that is not causal has a second kernel
for the future, as in `sgconv`; the paper has no such form.

Axes: b batch, l length, d width, o convolutions, k directions, m taps, e features of a position.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.convolution.causal_conv import causal_conv, causal_conv_step, last_inputs
from baselines.ops.convolution.fft_convolution import fft_convolve
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
    Trunk,
    mask_padding,
    own_tensors,
    tensor_versions,
)

TAPS, HIDDEN = 3, 64
WEAKEST = 1e-2
"""What is left of a kernel's envelope where it is said to have faded."""
FAST, SLOW = 0.3, 1.5
"""Where the first and the last channel's have, as shares of the length."""
FILTER = ("W1", "b1", "W2", "b2", "W3", "b3", "W4", "freq")

HyenaState = tuple[Float[Tensor, "b m c"], tuple[OnlineState, ...]]


@final
@dataclass(frozen=True, kw_only=True)
class Hyena(Model):
    """Implicit long convolutions with gates between them."""

    order: int = 2
    """Gates of a layer; one long convolution stands between each two."""
    bands: int = 1
    """Frequencies of the position's features, besides the position itself."""

    trunk: ClassVar[Trunk] = Trunk(mix="none", ffn=4.0)
    groups: ClassVar[dict[str, ParameterGroup]] = dict.fromkeys(FILTER, ParameterGroup())
    reference: ClassVar[str] = "poli2023hyena"

    def __post_init__(self) -> None:
        if self.order < 2 or self.bands < 1:
            raise SpecError(
                f"order must be at least 2 and bands at least 1, not {self.order} and {self.bands}."
            )

    def build(self, *, width: int, length: int, causal: bool) -> "HyenaLayer":
        """Build the layer; what lies further back than the length, it does not see."""
        return HyenaLayer(self, width, length, causal=causal)


@final
class HyenaLayer(Mixer):
    """The mixer of Hyena."""

    rates: Tensor

    def __init__(self, recipe: Hyena, width: int, length: int, *, causal: bool) -> None:
        super().__init__()
        self.causal, self.reach, self.bands = causal, max(2, length), recipe.bands
        self.kernels = recipe.order - 1, width, 1 if causal else 2
        self.in_proj = nn.Linear(width, (recipe.order + 1) * width)
        short = len(self.in_proj.weight)
        self.short = nn.Parameter(_uniform(short, TAPS))
        self.short_bias = nn.Parameter(_uniform(short, 1)[:, 0] / math.sqrt(TAPS))
        sizes = (1 + 2 * recipe.bands, HIDDEN, HIDDEN, HIDDEN)
        self.W1, self.W2, self.W3 = (nn.Parameter(_uniform(HIDDEN, inputs)) for inputs in sizes[:3])
        self.b1, self.b2, self.b3 = (
            nn.Parameter(_uniform(HIDDEN, 1)[:, 0] / math.sqrt(inputs)) for inputs in sizes[:3]
        )
        self.W4 = nn.Parameter(_uniform(math.prod(self.kernels), HIDDEN))
        self.freq = nn.Parameter(torch.ones(HIDDEN))
        self.D = nn.Parameter(torch.randn(self.kernels[:2]))
        rates = -math.log(WEAKEST) * torch.linspace(1 / SLOW, 1 / FAST, width)
        self.register_buffer("rates", rates)
        self.out_proj = nn.Linear(width, width)
        self._cached: tuple[object, tuple[OnlineConvolution, ...]] = None, ()

    def kernel(self, length: int) -> Float[Tensor, "o d k m"]:
        """Return the taps, at most as many as the kernel reaches."""
        working = torch.promote_types(self.D.dtype, torch.float32)
        # A kernel must not follow an activation into half precision: it is made of parameters.
        with torch.autocast(self.D.device.type, enabled=False):
            lags = torch.arange(min(length, self.reach), device=self.D.device, dtype=working)
            share = lags[:, None] / (self.reach - 1)
            # From nearly zero on, in steps of nearly one, as the code has it.
            highest = max(1e-4, self.bands - 1)
            bands = torch.linspace(1e-4, highest, self.bands, dtype=working).to(share.device)
            phase = 2 * math.pi / self.reach * lags[:, None] * bands
            h = torch.cat([share, phase.cos(), -phase.sin()], -1)
            for W, b in ((self.W1, self.b1), (self.W2, self.b2), (self.W3, self.b3)):
                h = torch.sin(self.freq * F.linear(h, W.to(working), b.to(working)))
            taps: Tensor = F.linear(h, self.W4.to(working)).unflatten(-1, self.kernels)
            return (taps * (-share * self.rates).exp()[:, None, :, None]).permute(1, 2, 3, 0)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Gate and convolve in turn."""
        window = u.new_zeros(len(u), TAPS - 1, len(self.short))
        *gates, y = self._gates(self.in_proj(u), window)
        for gate, kernel, D in zip(gates[:0:-1], self.kernel(u.shape[1]), self.D, strict=True):
            gated = y * gate
            # What the short convolution and its bias put into padding, the future must not hold.
            gated = gated if self.causal else mask_padding(gated, lengths)
            y = fft_convolve(gated, kernel, D)
        mapped: Tensor = self.out_proj(y * gates[0])
        return mapped

    def initial_state(self, batch: int) -> HyenaState:
        """Return no inputs, and nothing that they give to outputs."""
        order, width, _ = self.kernels
        working = torch.promote_types(self.D.dtype, torch.float32)
        return self.D.new_zeros(batch, TAPS - 1, len(self.short)), tuple(
            OnlineState(
                self.D.new_zeros(batch, block_length(0, self.reach), width, dtype=working),
                torch.tensor(0),
            )
            for _ in range(order)
        )

    def step(
        self, u: Float[Tensor, "b d"], state: HyenaState
    ) -> tuple[Float[Tensor, "b d"], HyenaState]:
        """Gate one position, and convolve it with the first taps and some with those further on."""
        window, states = state
        mixed, window = causal_conv_step(self.in_proj(u), self.short, self.short_bias, window)
        *gates, y = mixed.chunk(self.kernels[0] + 2, -1)
        after = []
        for gate, online, before in zip(gates[:0:-1], self._online(), states, strict=True):
            y, one = online.step(y * gate, before)
            after.append(one)
        return self.out_proj(y * gates[0]), (window, tuple(after))

    def advance(
        self, u: Float[Tensor, "b l d"], state: HyenaState
    ) -> tuple[Float[Tensor, "b l d"], HyenaState]:
        """Continue over a piece of a sequence, in few parts."""
        window, states = state
        mixed, after = self.in_proj(u), []
        *gates, y = self._gates(mixed, window)
        for gate, online, before in zip(gates[:0:-1], self._online(), states, strict=True):
            y, one = online.advance(y * gate, before)
            after.append(one)
        return self.out_proj(y * gates[0]), (last_inputs(mixed, window), tuple(after))

    def replayable(self, state: HyenaState) -> int:
        """Return the steps before the one that passes inputs on; all convolutions do at once."""
        return state[1][0].replayable()

    def state_bytes(self, length: int) -> int:
        """Return the bytes of blocks that double until the kernels fit, of counts and a window."""
        window, states = self.initial_state(1)
        width, size = self.kernels[1], states[0].block.element_size()
        each = size * width * block_length(length, self.reach) + states[0].done.element_size()
        return window.nbytes + len(states) * each

    def path(self) -> str:
        """Name the form of the convolution."""
        return "fft"

    def _gates(self, mixed: Tensor, window: Tensor) -> tuple[Tensor, ...]:
        """Return the gates, the last one first, and the values."""
        convolved = causal_conv(mixed, self.short, self.short_bias, window)
        parts: tuple[Tensor, ...] = convolved.chunk(self.kernels[0] + 2, -1)
        return parts

    def _online(self) -> tuple[OnlineConvolution, ...]:
        """Return the kernels for steps, made again only when a parameter has changed."""
        present = tensor_versions(own_tensors(self))
        cached = self._cached  # which another thread may replace at any time
        if cached[0] != present:
            kernels = self.kernel(self.reach)[:, :, 0]
            made = (
                OnlineConvolution(kernel.contiguous(), D.to(kernel.dtype))
                for kernel, D in zip(kernels, self.D, strict=True)
            )
            cached = self._cached = present, tuple(made)
        return cached[1]


def _uniform(outputs: int, inputs: int) -> Tensor:
    """Draw as torch's own layers do."""
    return torch.empty(outputs, inputs).uniform_(-1, 1) / math.sqrt(inputs)
