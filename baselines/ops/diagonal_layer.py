"""The layer of a diagonal linear system: a long convolution in training, a recurrence in steps.

Axes: b batch, l length, d channels, k kernels of one channel, g sets of poles, n modes.
"""

from abc import abstractmethod
from typing import Any, final

import torch
from jaxtyping import Complex, Complex128, Float, Int
from torch import Tensor, nn

from baselines.ops import diagonal
from baselines.ops.chunked import chunked
from baselines.ops.convolution import convolve
from baselines.ops.versions import version
from harness.api import Mixer, UnsupportedError

DiagonalState = tuple[Complex[Tensor, "b d n"]]

CHUNKED_FROM = 256
"""Positions for each mode of a channel (32 at least, both directions counted) from which the
chunked form trains faster than the split kernel with its transforms. Processor time of a training
step, 32 channels, one thread, split / chunked: at 32 modes 0.7 for 4,096 positions, 1.2 for 8,192,
1.7 for 16,384, 2.4 for 65,536; at 128 modes 0.9 for 16,384, 1.3 for 65,536; at 2 x 32 modes 0.9 for
16,384, 1.6 for 65,536. Batches and shared poles move it little."""
CHUNKED_MODES = 128
"""Modes above which the split kernel wins: at 256, 0.8 for 65,536 positions."""


class DiagonalLayer(Mixer):
    """What diagonal models share; they differ in the parameters behind `system`."""

    rate = 1.0
    """Factor on the step size, if the model has one; see `resample`."""

    def __init__(self, width: int, modes: int, *, causal: bool) -> None:
        super().__init__()
        self.modes, self.causal = modes, causal
        self.directions = 1 if causal else 2
        self.D = nn.Parameter(torch.randn(width))
        self._stepped: tuple[object, Any] = None, None
        self._path = "split+fft"

    @abstractmethod
    def system(self) -> tuple[Complex[Tensor, "d k n"], Complex128[Tensor, "g n"]]:
        """Return weights and poles in the normal form of `baselines.ops.diagonal`."""

    def obstacle(self) -> str:
        """Say in a sentence why the system alone is not the layer; empty if it is."""
        return ""

    def kernel(self, length: int) -> Float[Tensor, "d k l"]:
        """Return the taps of each direction, without the skip connection D.

        A layer that makes more of them than its system's overrides this and has an obstacle.
        """
        return diagonal.kernel(*self.system(), length)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Convolve; a bidirectional layer first clears the padding, which its future could see."""
        if lengths is not None and not self.causal:
            padding = torch.arange(u.shape[1], device=u.device) >= lengths[:, None]
            u = u.masked_fill(padding[..., None], 0)
        if self._chunks(u.shape[1]):
            return chunked(u, *self.system(), self.D)
        return convolve(u, self.kernel(u.shape[1]), self.D)

    @final
    def advance(
        self, u: Float[Tensor, "b l d"], state: DiagonalState
    ) -> tuple[Float[Tensor, "b l d"], DiagonalState]:
        """Continue from a state over a piece, in the form that its length asks for."""
        self._check_steps()
        weight, pole = self.system()
        if self._chunks(u.shape[1]):
            y = chunked(u, weight, pole, self.D, state[0])
        else:
            still = diagonal.response(weight[:, 0], pole, state[0], u.shape[1])
            y = convolve(u, self.kernel(u.shape[1]), self.D) + still.to(u.dtype)
        return y, (diagonal.final_state(pole, u, state[0]),)

    @final
    def _chunks(self, length: int) -> bool:
        """Choose the form for sequences of a length, and remember it."""
        modes = self.directions * self.modes
        fits = modes <= CHUNKED_MODES and length >= CHUNKED_FROM * max(32, modes)
        self._path = "chunked" if fits and not self.obstacle() else "split+fft"
        return self._path == "chunked"

    @final
    def initial_state(self, batch: int) -> DiagonalState:
        """Return zeros.

        Raises:
            UnsupportedError: The layer sees the future, or is more than its system.
        """
        self._check_steps()
        dtype = torch.promote_types(self.D.dtype, torch.complex64)
        return (self.D.new_zeros(batch, len(self.D), self.modes, dtype=dtype),)

    @final
    def step(
        self, u: Float[Tensor, "b d"], state: DiagonalState
    ) -> tuple[Float[Tensor, "b d"], DiagonalState]:
        """Advance the recurrence by one position, in the state's memory."""
        y = diagonal.step(*self._present_system(), u, state[0])
        return torch.addcmul(y, self.D, u).to(u.dtype), state

    @torch.no_grad()
    def _present_system(self) -> tuple[Float[Tensor, "d n 2"], Complex[Tensor, "g n"]]:
        """Return the system for steps, discretised anew only when a parameter has changed."""
        present = self.rate, version(self.parameters())
        if self._stepped[0] != present:
            weight, pole = self.system()
            self._stepped = present, (diagonal.pairs(weight[:, 0]), pole.to(weight.dtype))
        system: tuple[Tensor, Tensor] = self._stepped[1]
        return system

    @final
    def prefill(self, u: Float[Tensor, "b l d"]) -> DiagonalState:
        """Return the state after a sequence, by matrix products."""
        return (diagonal.final_state(self.system()[1], u, *self.initial_state(len(u))),)

    @final
    def state_bytes(self, length: int) -> int:  # noqa: ARG002 - the same at every length
        """Return the bytes of one complex number for each mode of each channel."""
        self._check_steps()
        return 2 * self.D.element_size() * len(self.D) * self.modes

    @final
    def path(self) -> str:
        """Name the form that ran last: chunked, or a split kernel and transforms."""
        return self._path

    def _check_steps(self) -> None:
        if not self.causal:
            raise UnsupportedError("A bidirectional layer sees the future, so it has no step mode.")
        if obstacle := self.obstacle():
            raise UnsupportedError(obstacle)
