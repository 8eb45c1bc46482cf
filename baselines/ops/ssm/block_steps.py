"""The steps of a linear system, which goes through its states once a block of positions.

A wide layer's states fill more than a cache, so a step that goes through them waits for memory.
Here a step reaches the outputs of its block through the first taps of the kernel, a short
convolution; what the past gives to a block is worked out as the block begins, by matrix products.

Axes: b batch, d channels, p positions of a block, q those that are left, m real numbers of a
channel's states. Positions come first, so that an input meets all outputs without another view.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

MOST_POSITIONS = 32
"""Positions of a block. Going through the states is spread over them; the tables grow with them."""


class BlockState(NamedTuple):
    """What steps carry from one to the next, in whose memory they work.

    How far a block has come is how many of its outputs are ahead. Views of every position are made
    once a block, all together: made one by one they would cost a step a third of its operators.
    So most of these tensors share memory, and a copy must keep that, as `copy.deepcopy` does.
    """

    start: Tensor
    """The system's states as they were when the block began, (b, d, ...)."""
    inputs: Float[Tensor, "p b d"]
    """Those of the block's positions that are done, then what they overwrite."""
    slots: tuple[Float[Tensor, "b d"], ...]
    """Where the input of each position is kept."""
    ahead: tuple[Float[Tensor, "q b d"], ...]
    """For each position to come, what is known of its output and of those after it."""
    outputs: tuple[Float[Tensor, "b d"], ...]
    """The first row of each."""

    def done(self) -> int:
        """Return how many of the block's positions are done."""
        return len(self.slots) - len(self.ahead)


def open_block(
    start: Tensor, inputs: Float[Tensor, "p b d"], ahead: Float[Tensor, "p b d"]
) -> BlockState:
    """Return a block none of whose positions is done.

    Args:
        start: The system's states.
        inputs: Memory for the inputs.
        ahead: What the states give to each output; steps add to it.
    """
    rest = tuple([ahead[done:] for done in range(len(ahead))])
    return BlockState(start, inputs, inputs.unbind(), rest, ahead.unbind())


class BlockSteps(ABC):
    """A system made ready for steps; its tables belong to the parameters that it was made of."""

    def __init__(
        self,
        taps: Float[Tensor, "p d"],
        arriving: Float[Tensor, "*d p m"],
        fading: Float[Tensor, "*d m p"],
    ) -> None:
        """Keep the tables, whose channels may be left out if all are alike.

        Args:
            taps: The kernel's, with what the skip connection adds to the first.
            arriving: What each input of a block gives to the states after it.
            fading: What the states before a block give to each of its outputs.
        """
        self.size = len(taps)
        self.taps = [taps[: self.size - done, None] for done in range(self.size)]
        self.arriving, self.fading = arriving, fading

    @abstractmethod
    def read(self, start: Tensor) -> Float[Tensor, "b d m"]:
        """Return what the table of fading states is for."""

    @abstractmethod
    def moved(self, start: Tensor, arrived: Float[Tensor, "b d m"], steps: int) -> Tensor:
        """Return the states after so many steps, to which the inputs gave `arrived`."""

    @final
    def begin(self, start: Tensor, inputs: Float[Tensor, "p b d"] | None = None) -> BlockState:
        """Begin a block, in the memory of another's inputs if there is one."""
        # Not a transpose alone: with its strides even one sequence would be multiplied row by row.
        shape = start.shape[1], len(start), self.fading.shape[-2]
        rows = self.read(start).transpose(0, 1).reshape(shape)
        with torch.autocast(start.device.type, enabled=False):
            block = rows @ self.fading
        ahead = block.permute(2, 1, 0).contiguous()
        return open_block(start, torch.zeros_like(ahead) if inputs is None else inputs, ahead)

    @final
    def step(
        self, u: Float[Tensor, "b d"], state: BlockState
    ) -> tuple[Float[Tensor, "b d"], BlockState]:
        """Return the output and the state after it."""
        start, inputs, slots, ahead, outputs = state
        done = state.done()
        slots[done].copy_(u)
        ahead[0].addcmul_(slots[done], self.taps[done])
        after = BlockState(start, inputs, slots, ahead[1:], outputs[1:])
        last = done + 1 == self.size
        return outputs[0].to(u.dtype), self.begin(self.present(after), inputs) if last else after

    @final
    def present(self, state: BlockState) -> Tensor:
        """Return the system's states after the positions that are done."""
        done = state.done()
        if not done:
            return state.start
        inputs = state.inputs[:done].permute(2, 1, 0).contiguous()
        with torch.autocast(inputs.device.type, enabled=False):
            arrived = (inputs @ self.arriving[..., self.size - done :, :]).transpose(0, 1)
            return self.moved(state.start, arrived, done)
