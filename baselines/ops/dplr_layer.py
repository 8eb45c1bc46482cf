"""The layer of a diagonal-plus-low-rank system: a long convolution, or a recurrence in steps.

Axes: b batch, l length, d channels, k directions of time, n modes, s = 2n real states.
"""

from abc import abstractmethod
from typing import cast, final

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn

from baselines.ops import dplr, krylov
from baselines.ops.convolution import convolve
from baselines.ops.dplr_blocks import FORMS, Mode
from baselines.ops.dplr_steps import Recurrence
from harness.api import Mixer, State, mask_padding, own_tensors, tensor_versions


class DPLRLayer(Mixer):
    """What does not depend on how the system is parameterised."""

    def __init__(self, width: int, modes: int, mode: Mode, *, causal: bool) -> None:
        super().__init__()
        self.causal, self.mode, self.rate = causal, mode, 1.0
        self.C = nn.Parameter(torch.randn(width, 1 if causal else 2, modes, 2) * 0.5**0.5)
        self.D = nn.Parameter(torch.randn(width))
        self._stepped: tuple[object, Recurrence | None] = None, None

    @abstractmethod
    def system(self) -> dplr.Discrete:
        """Return every channel's discrete system, in double precision."""

    @final
    def kernel(self, length: int) -> Float[Tensor, "d k l"]:
        """Return the taps of each direction, without the skip connection D."""
        # A kernel must not follow an activation into half precision: it is made of parameters.
        with torch.autocast(self.D.device.type, enabled=False):
            return krylov.kernel(*dplr.dense(self.system()), dplr.reading(self._C()), length)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Convolve; a bidirectional layer first clears the padding, which its future could see."""
        u = u if self.causal else mask_padding(u, lengths)
        return convolve(u, self.kernel(u.shape[1]), self.D)

    @final
    def initial_state(self, batch: int) -> State:
        """Return zeros.

        Raises:
            UnsupportedError: The system has no eigenvectors for mode=diagonal.
        """
        vector = self._C().real.new_zeros(batch, len(self.D), 2 * self.C.shape[2])
        return self._recurrence().enter(vector)

    @final
    def step(self, u: Float[Tensor, "b d"], state: State) -> tuple[Float[Tensor, "b d"], State]:
        """Advance the recurrence by one position."""
        return self._recurrence().step(u, state)

    @final
    def advance(
        self, u: Float[Tensor, "b l d"], state: State
    ) -> tuple[Float[Tensor, "b l d"], State]:
        """Continue from a state by matrix products over chunks."""
        if not u.shape[1]:
            return u, state
        form, reading = self._recurrence(), dplr.reading(self._C()[:, 0])
        with torch.autocast(u.device.type, enabled=False):
            system = dplr.dense(self.system())
            y, vector = krylov.advance(*system, reading, u, form.leave(state))
        return torch.addcmul(y, self.D, u).to(u.dtype), form.enter(vector)

    @final
    def resample(self, rate: float) -> None:
        """Take steps so many times longer than those of the training."""
        self.rate = rate

    @final
    def path(self) -> str:
        """Name the form of the kernel and of the convolution."""
        return "krylov+fft"

    def _C(self) -> Complex[Tensor, "d k n"]:  # noqa: N802 - the paper's name
        """Return C in the working precision, single at least."""
        working = torch.promote_types(self.C.dtype, torch.float32)
        return torch.view_as_complex(self.C.to(working))

    def _recurrence(self) -> Recurrence:
        """Return the form of steps, made anew only when a parameter or the rate has changed."""
        present = self.rate, tensor_versions(own_tensors(self))
        if self._stepped[0] != present:
            with torch.no_grad(), torch.autocast(self.D.device.type, enabled=False):
                self._stepped = present, FORMS[self.mode](self.system(), self._C()[:, 0], self.D)
        return cast("Recurrence", self._stepped[1])
