"""A long causal convolution whose inputs come one by one.

A sum over all inputs at every position takes as many products as the kernel has taps. Here an input
meets the next few outputs at once; and whenever a number of positions is done that s divides, 2s
does not, the last s inputs are convolved with the taps before 2s, by one transform, into the next s
outputs. So every input meets every output once, in O(log^2) operations a position on the average
(Fischer, Stockmeyer 1974, "Fast On-Line Integer Multiplication"; van der Hoeven 2002, "Relax, but
Don't be too Lazy").

Axes: b batch, l length, d channels, m taps, p positions of a block, s positions of a part of it.
"""

from collections.abc import Iterable
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.convolution.fft_convolution import BLOCK, fft_convolve, transposed
from baselines.ops.rows import row, write
from harness.api import counted

DIRECT = 32
"""Positions that are convolved as they come: fewer make more transforms, more make more products.
"""
CACHED = 1024
"""Positions up to which spectra of the taps are cached: 16 KiB a channel, all sizes together."""


class OnlineState(NamedTuple):
    """What a convolution carries from step to step, in whose memory steps work."""

    block: Float[Tensor, "b p d"]
    """The inputs of the positions that are done, then what the past gives to the outputs ahead."""
    done: Int[Tensor, ""]

    def replayable(self) -> int:
        """Return the steps before the one that passes inputs on."""
        return DIRECT - 1 - int(self.done) % DIRECT


def block_length(done: int, taps: int) -> int:
    """Return the positions of a block behind so many inputs: powers of two until all taps fit."""
    most = 1 << (taps - 1).bit_length()
    return max(DIRECT, min(1 << done.bit_length(), most))


@final
class OnlineConvolution:
    """A kernel made ready for steps."""

    def __init__(self, kernel: Float[Tensor, "d m"], skip: Float[Tensor, " d"]) -> None:
        self.kernel, self.skip = kernel, skip
        taps = kernel.shape[1]
        self.most = block_length(taps, taps)
        self.first = F.pad(kernel[:, :DIRECT], (0, max(0, DIRECT - taps))).mT.contiguous()
        self.first[0] += skip
        self._cached: dict[int, Tensor] = {}

    def step(
        self, u: Float[Tensor, "b d"], state: OnlineState
    ) -> tuple[Float[Tensor, "b d"], OnlineState]:
        """Return the output and the state after it."""
        done = counted(state.done)
        if not isinstance(done, int):
            return self._step_within(u, state, done)
        left = state.block[:, done : done - done % DIRECT + DIRECT]
        inputs = u.to(left.dtype)
        left.addcmul_(inputs[:, None], self.first[: left.shape[1]])
        present = left[:, 0]
        y = present.to(u.dtype, copy=True)
        present.copy_(inputs)
        state.done.add_(1)
        return y, self._propagated(state) if left.shape[1] == 1 else state

    def _step_within(
        self, u: Float[Tensor, "b d"], state: OnlineState, done: Int[Tensor, " 1"]
    ) -> tuple[Float[Tensor, "b d"], OnlineState]:
        """Step at a position that nothing reads; behind it no inputs are passed on."""
        block, lags = state.block, torch.arange(DIRECT, device=done.device) - done % DIRECT
        inputs = u.to(block.dtype)
        taps = torch.where(lags[:, None] < 0, 0, self.first[lags.clamp(min=0)])
        block.index_add_(1, done + lags, inputs[:, None] * taps)
        y = row(block, done).to(u.dtype)
        write(block, done, inputs)
        state.done.add_(1)
        return y, state

    def advance(
        self, u: Float[Tensor, "b l d"], state: OnlineState
    ) -> tuple[Float[Tensor, "b l d"], OnlineState]:
        """Return the outputs of a piece and the state after it; the one before stays as it was."""
        outputs, state = [u[:, :0]], OnlineState(*(part.clone() for part in state))
        for part in self._parts(u, state):
            if part.shape[1] == 1:
                y, state = self.step(part[:, 0], state)
                outputs.append(y[:, None])
                continue
            ahead = state.block[:, int(state.done) :][:, : part.shape[1]]
            own = fft_convolve(part.to(ahead.dtype), self.kernel[:, None], self.skip)
            # A block that has to grow for the first part holds nothing for it yet.
            own[:, : ahead.shape[1]] += ahead
            outputs.append(own.to(u.dtype))
            state = self._appended(part, state)
        return torch.cat(outputs, 1), state

    def read(self, u: Float[Tensor, "b l d"], state: OnlineState) -> OnlineState:
        """Return the state after a piece, in the memory of the one before if that is enough."""
        for part in self._parts(u, state):
            if part.shape[1] == 1:
                _, state = self.step(part[:, 0], state)
            else:
                state = self._appended(part, state)
        return state

    def _parts(self, u: Tensor, state: OnlineState) -> Iterable[Tensor]:
        """Cut a piece where steps pass inputs on; what is less than `DIRECT` into positions."""
        sizes, done, left = [], int(state.done), u.shape[1]
        while left:
            size = min(done & -done or self.most, 1 << left.bit_length() - 1)
            sizes.append(size if size >= DIRECT else 1)
            done, left = (done + sizes[-1]) % self.most, left - sizes[-1]
        parts: tuple[Tensor, ...] = u.split(sizes, 1)
        return parts

    def _appended(self, u: Tensor, state: OnlineState) -> OnlineState:
        """Put a part into the block and pass it on."""
        block, start = state.block, int(state.done)
        stop = start + u.shape[1]
        if stop > block.shape[1]:
            block = F.pad(block, (0, 0, 0, stop - block.shape[1]))
        block[:, start:stop] = u
        return self._propagated(OnlineState(block, state.done + u.shape[1]))

    def _propagated(self, state: OnlineState) -> OnlineState:
        """Give the last inputs to the outputs ahead, for which a full block makes room."""
        block, done = state.block, int(state.done)
        size = done & -done
        contribution = self._contribution(block[:, done - size : done])
        if done < block.shape[1]:
            block[:, done : done + size] += contribution
            return state
        if done < self.most:
            return OnlineState(torch.cat([block, contribution], 1), state.done)
        return OnlineState(contribution, torch.zeros_like(state.done))

    def _contribution(self, u: Float[Tensor, "b s d"]) -> Float[Tensor, "b s d"]:
        """Return what inputs give to as many outputs behind them.

        On a circle of twice the size the ends meet, but only over the inputs.
        """
        size, y = u.shape[1], transposed(u)
        channels = max(1, BLOCK // (2 * size * len(u)))
        spectra = self._spectra(size, channels)
        for rows, spectrum in zip(y.split(channels, 1), spectra, strict=True):
            rows_f = torch.fft.rfft(rows, n=2 * size).mul_(spectrum)
            rows.copy_(torch.fft.irfft(rows_f, n=2 * size)[..., size:])
        return transposed(y)

    def _spectra(self, size: int, channels: int) -> Iterable[Tensor]:
        """Return the taps' transforms, a few channels at a time."""
        if size > CACHED:
            parts = self.kernel[:, : 2 * size].split(channels)
            return (torch.fft.rfft(part, n=2 * size) for part in parts)
        if size not in self._cached:
            self._cached[size] = torch.fft.rfft(self.kernel[:, : 2 * size], n=2 * size)
        cached: tuple[Tensor, ...] = self._cached[size].split(channels)
        return cached
