"""The layer of a diagonal linear system: a long convolution in training, a recurrence in steps.

Axes: b batch, l length, d channels, k kernels of one channel, g sets of poles, n modes.
"""

from abc import abstractmethod
from typing import Any, final

import torch
from jaxtyping import Complex, Complex128, Float, Int
from torch import Tensor, nn

from baselines.ops import diagonal
from baselines.ops.convolution import convolve
from harness.api import Mixer, UnsupportedError

DiagonalState = tuple[Complex[Tensor, "b d n"]]


class DiagonalLayer(Mixer):
    """What S4D and DLR share; they differ in the parameters behind `system`."""

    def __init__(self, width: int, modes: int, *, causal: bool) -> None:
        super().__init__()
        self.modes, self.causal = modes, causal
        self.directions = 1 if causal else 2
        self.product = False
        """Whether a direction's kernel is a product of two, which no short recurrence computes."""
        self.D = nn.Parameter(torch.randn(width))
        self._stepped: tuple[object, Any] = None, None

    @abstractmethod
    def system(self) -> tuple[Complex[Tensor, "d k n"], Complex128[Tensor, "g n"]]:
        """Return weights and poles in the normal form of `baselines.ops.diagonal`."""

    @final
    def kernel(self, length: int) -> Float[Tensor, "d k l"]:
        """Return the taps of each direction, without the skip connection D."""
        taps = diagonal.kernel(*self.system(), length)
        return taps[:, ::2] * taps[:, 1::2] if self.product else taps

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Convolve; a bidirectional layer first clears the padding, which its future could see."""
        if lengths is not None and not self.causal:
            padding = torch.arange(u.shape[1], device=u.device) >= lengths[:, None]
            u = u.masked_fill(padding[..., None], 0)
        return convolve(u, self.kernel(u.shape[1]), self.D)

    @final
    def initial_state(self, batch: int) -> DiagonalState:
        """Return zeros.

        Raises:
            UnsupportedError: The layer sees the future, or multiplies two kernels.
        """
        self._check_steps()
        dtype = torch.promote_types(self.D.dtype, torch.complex64)
        return (self.D.new_zeros(batch, len(self.D), self.modes, dtype=dtype),)

    @final
    def step(
        self, u: Float[Tensor, "b d"], state: DiagonalState
    ) -> tuple[Float[Tensor, "b d"], DiagonalState]:
        """Advance the recurrence by one position."""
        weight, pole = self._present_system()
        y, advanced = diagonal.step(weight, pole, u, state[0])
        return torch.addcmul(y, self.D, u), (advanced,)

    @torch.no_grad()
    def _present_system(self) -> tuple[Complex[Tensor, "d n"], Complex[Tensor, "g n"]]:
        """Return the system for steps, discretised anew only when a parameter has changed.

        A parameter's version counts its changes in place, its address and type the others.
        """
        present = tuple((p.data_ptr(), p.dtype, p._version) for p in self.parameters())  # noqa: SLF001
        if self._stepped[0] != present:
            weight, pole = self.system()
            self._stepped = present, (weight[:, 0], pole.to(weight.dtype))
        system: tuple[Tensor, Tensor] = self._stepped[1]
        return system

    @final
    def prefill(self, u: Float[Tensor, "b l d"]) -> DiagonalState:
        """Return the state after a sequence, by matrix products."""
        self._check_steps()
        return (diagonal.final_state(self.system()[1], u),)

    @final
    def state_bytes(self, length: int) -> int:  # noqa: ARG002 - the same at every length
        """Return the bytes of one complex number for each mode of each channel."""
        self._check_steps()
        return 2 * self.D.element_size() * len(self.D) * self.modes

    @final
    def path(self) -> str:
        """Name the form of the kernel and of the convolution."""
        return "split+fft"

    def _check_steps(self) -> None:
        if not self.causal:
            raise UnsupportedError("A bidirectional layer sees the future, so it has no step mode.")
        if self.product:
            raise UnsupportedError(
                "A product of two kernels has as many poles as pairs of modes, so it has no step "
                "mode; use kernel=real, imag or sum."
            )
