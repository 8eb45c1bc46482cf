"""The layer of a diagonal system of many inputs and outputs: scans over blocks, or single steps.

Axes: b batch, l length, d channels, k directions, n modes.
"""

from abc import abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Complex, Complex128, Float
from torch import Tensor, nn

from baselines.ops.forms import chosen
from baselines.ops.ssm.complex_parameters import complex_type
from baselines.ops.ssm.mimo import FORMS, mimo
from harness.api import Mixer, own_tensors, tensor_versions

MimoState = tuple[Complex[Tensor, "b n"]]


class System(NamedTuple):
    """x_l = pole x_{l-1} + B u_l, y_l = Re(C x_l)."""

    pole: Complex128[Tensor, " n"]
    B: Complex[Tensor, "n d"]
    C: Complex[Tensor, "k d n"]
    """One for the states that come from the past, and one for those from the future."""


class MimoLayer(Mixer):
    """What S5 and LRU share; they differ in the parameters behind `system`."""

    def __init__(self, width: int, modes: int, *, causal: bool) -> None:
        super().__init__()
        self.modes, self.causal = modes, causal
        self.directions = 1 if causal else 2
        self.D = nn.Parameter(torch.randn(width))
        self._cached: tuple[object, tuple[Tensor, ...]] = None, ()

    @abstractmethod
    def system(self) -> System:
        """Return the system in discrete time, B and C in the parameters' precision."""

    def mix(self, u: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
        """Run the system over a sequence, in both directions if the layer sees the future."""
        rest = self.D.new_zeros(len(u), self.modes, dtype=torch.complex128)
        return mimo(u, *self.system(), self.D, rest)[0]

    def rest(self, batch: int) -> Complex[Tensor, "b n"]:
        """Return the states before a sequence: zeros."""
        return self.D.new_zeros(batch, self.modes, dtype=complex_type(self.D))

    def initial_state(self, batch: int) -> MimoState:
        """Return zeros."""
        return (self.rest(batch),)

    def step(
        self, u: Float[Tensor, "b d"], state: MimoState
    ) -> tuple[Float[Tensor, "b d"], MimoState]:
        """Advance the recurrence by one position, in the state's memory."""
        pole, drive, read, skip = self._step_system()
        inputs = u.to(drive.dtype)
        # In place, which is what autocast leaves alone: eight bits would round a slow pole to one.
        x = state[0].mul_(pole).view(drive.dtype).addmm_(inputs, drive)
        y = (skip * inputs).addmm_(x, read)
        return y.to(u.dtype), state

    def advance(
        self, u: Float[Tensor, "b l d"], state: MimoState
    ) -> tuple[Float[Tensor, "b l d"], MimoState]:
        """Continue over a piece of a sequence, by the scan."""
        y, last = mimo(u, *self.system(), self.D, state[0])
        return y, (last,)

    def _step_system(self) -> tuple[Tensor, ...]:
        """Return the system for steps, discretised again only when a parameter has changed."""
        present = tensor_versions(own_tensors(self))
        cached = self._cached  # which another thread may replace at any time
        if cached[0] != present:
            pole, B, C = self.system()
            drive = torch.view_as_real(B.mT.contiguous()).flatten(1)
            read = torch.view_as_real(C[0].conj().resolve_conj()).flatten(1).mT.contiguous()
            cached = self._cached = present, (pole.to(B.dtype), drive, read, self.D)
        return cached[1]

    def path(self) -> str:
        """Name the form of the scan."""
        return chosen(FORMS, self.D).name
