"""The layer of a diagonal linear system: a long convolution in training, a recurrence in steps.

Axes: b batch, l length, d channels, k kernels of one channel, g sets of poles, n modes.
"""

from abc import abstractmethod
from typing import cast, final

import torch
from jaxtyping import Complex, Complex128, Float, Int
from torch import Tensor, nn

from baselines.ops.convolution.fft_convolution import fft_convolve
from baselines.ops.forms import chosen
from baselines.ops.ssm import diagonal
from baselines.ops.ssm.block_steps import BlockState, open_block
from baselines.ops.ssm.chunked_diagonal import chunked_diagonal_ssm
from baselines.ops.ssm.diagonal import DiagonalSteps, steps_per_block
from harness.api import Mixer, own_tensors, tensor_versions

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
        self._cached: tuple[object, DiagonalSteps | None] = None, None
        self._path = "split+fft"

    @abstractmethod
    def system(self) -> tuple[Complex[Tensor, "d k n"], Complex128[Tensor, "g n"]]:
        """Return weights and poles in the normal form of `baselines.ops.ssm.diagonal`."""

    def obstacle(self) -> str:
        """Say in a sentence why the system alone is not the layer; empty if it is."""
        return ""

    @final
    def no_step_mode(self) -> str:
        """Say that it sees the future, or is more than its system."""
        return super().no_step_mode() or self.obstacle()

    def kernel(self, length: int) -> Float[Tensor, "d k l"]:
        """Return the taps of each direction, without the skip connection D.

        A layer that makes more of them than its system's overrides this and has an obstacle.
        """
        return diagonal.kernel(*self.system(), length)

    def forward(
        self,
        u: Float[Tensor, "b l d"],
        lengths: Int[Tensor, " b"] | None = None,  # noqa: ARG002 - the contract clears padding
    ) -> Float[Tensor, "b l d"]:
        """Convolve with what each direction sees."""
        if self._chunks(u.shape[1]):
            return chunked_diagonal_ssm(u, *self.system(), self.D)
        return fft_convolve(u, self.kernel(u.shape[1]), self.D)

    @final
    def advance(
        self, u: Float[Tensor, "b l d"], state: BlockState
    ) -> tuple[Float[Tensor, "b l d"], BlockState]:
        """Continue from a state over a piece, in the form that its length asks for."""
        steps, length = self._steps(), u.shape[1]
        modes, pole = steps.present(state), steps.pole
        if self._chunks(length):
            y = chunked_diagonal_ssm(u, *self.system(), self.D, modes)
        else:
            still = diagonal.response(steps.weight, pole, modes, length)
            y = fft_convolve(u, self.kernel(length), self.D) + still.to(u.dtype)
        return y, steps.begin(diagonal.final_state(pole, u, modes))

    @final
    def _chunks(self, length: int) -> bool:
        """Choose the form for sequences of a length, and remember it.

        Where taps have their kernel, transforms are few launches at every length.
        """
        if (tables := chosen(diagonal.FORMS, self.D).name) == "triton":
            self._path = f"{tables}+fft"
            return False
        modes = self.directions * self.modes
        fits = modes <= CHUNKED_MODES and length >= CHUNKED_FROM * max(32, modes)
        chunked = fits and not self.obstacle()
        self._path = "chunked" if chunked else "split+fft"
        return chunked

    @final
    def initial_state(self, batch: int) -> BlockState:
        """Return zeros."""
        dtype = torch.promote_types(self.D.dtype, torch.complex64)
        rest = self.D.new_zeros(batch, len(self.D), self.modes, dtype=dtype)
        shape = steps_per_block(self.modes), batch, len(self.D)
        inputs, ahead = (self.D.new_zeros(shape, dtype=dtype.to_real()) for _ in range(2))
        return open_block(rest, inputs, ahead)

    @final
    def step(
        self, u: Float[Tensor, "b d"], state: BlockState
    ) -> tuple[Float[Tensor, "b d"], BlockState]:
        """Advance the recurrence by one position, in the state's memory."""
        return self._steps().step(u, state)

    def _steps(self) -> DiagonalSteps:
        """Return the system for steps, made again only when a parameter has changed."""
        present = self.rate, tensor_versions(own_tensors(self))
        cached = self._cached  # which another thread may replace at any time
        if cached[0] != present:
            weight, pole = self.system()
            cached = self._cached = present, DiagonalSteps(weight[:, 0], pole, self.D)
        return cast("DiagonalSteps", cached[1])

    @final
    def prefill(self, u: Float[Tensor, "b l d"]) -> BlockState:
        """Return the state after a sequence, by matrix products."""
        steps, rest = self._steps(), self.initial_state(len(u))
        return steps.begin(diagonal.final_state(steps.pole, u, rest.start))

    @final
    def path(self) -> str:
        """Name the form that ran last: chunked, or transforms and a split kernel, or Triton's."""
        return self._path
