"""Long convolutions along time by the fast Fourier transform, and their direct sums.

Axes: b batch, l length, d channels, k directions (1: the past; 2: the past, then the future).
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK = 1 << 21
"""Numbers transformed together: they and their spectra stay in the memory allocator's hands."""
SMALL = 1 << 16
"""Numbers of one sequence up to which torch's own copy stays in the cache."""


def fft_convolve(
    u: Float[Tensor, "b l d"], kernel: Float[Tensor, "d k m"], skip: Float[Tensor, " d"]
) -> Float[Tensor, "b l d"]:
    """Convolve each channel with its kernels and add `skip` times the input.

    y_i = skip u_i + sum_m past_m u_{i-m} + sum_m future_m u_{i+m+1}: the present belongs to the
    past's kernel only, as in the code of S4 and DLR. A kernel may be shorter or longer than the
    sequence.
    """
    if not u.numel():
        return u
    parts = u.to(kernel.dtype), kernel, skip.to(kernel.dtype)
    y: Tensor = _Convolution.apply(*parts)  # type: ignore[no-untyped-call]
    return y.to(u.dtype)


def direct_convolve(
    u: Float[Tensor, "b l d"], kernel: Float[Tensor, "d k m"], skip: Float[Tensor, " d"]
) -> Float[Tensor, "b l d"]:
    """Convolve by the sums as they are written, the twin of `fft_convolve`."""
    length, taps = u.shape[1], kernel.shape[-1]
    y = skip * u
    for lag in range(min(taps, length)):
        y[:, lag:] += kernel[:, 0, lag] * u[:, : length - lag]
        if kernel.shape[1] == 2:
            y[:, : length - lag - 1] += kernel[:, 1, lag] * u[:, lag + 1 :]
    return y


def transposed(x: Float[Tensor, "b l d"]) -> Float[Tensor, "b d l"]:
    """Return a contiguous copy with the last two axes swapped.

    torch swaps two axes in tiles only if there is no third; else it reads a cache line for every
    number, ten times slower at 262,144 positions of 128 channels.
    """
    if x[:1].numel() <= SMALL:
        return x.mT.clone(memory_format=torch.contiguous_format)
    swapped = x.new_empty(x.shape[0], x.shape[2], x.shape[1])
    for source, target in zip(x, swapped, strict=True):
        target.copy_(source.T)
    return swapped


@cache
def fast_size(least: int) -> int:
    """Return the smallest even number with no prime factor above 5 that is at least `least`."""
    best = 1 << max(1, (least - 1).bit_length())
    three = 1
    while three < best:
        odd = three
        while odd < best:
            twos = max(1, (-(-least // odd) - 1).bit_length())
            best = min(best, odd << twos)
            odd *= 5
        three *= 3
    return best


class _Convolution(torch.autograd.Function):
    """Circular convolution, a few channels at a time, that saves nothing but its arguments.

    Spectra of all channels together are many times the input, so each is made for one block of
    channels, in memory that the next block uses again, and recomputed for the gradient. Autograd's
    own gradient of `rfft` is a complex transform of twice the size; this one is real too.
    """

    @staticmethod
    def forward(ctx: Any, u: Tensor, kernel: Tensor, skip: Tensor) -> Tensor:
        ctx.save_for_backward(u, kernel, skip)
        length, size = u.shape[1], _size(u, kernel)
        y = transposed(u)
        for part in _blocks(y, size):
            y_f = torch.fft.rfft(y[:, part], n=size)
            y_f.mul_(_spectrum(kernel[part], skip[part], length, size))
            y[:, part] = torch.fft.irfft(y_f, n=size)[..., :length]
        return transposed(y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        u, kernel, skip = ctx.saved_tensors
        length, size = u.shape[1], _size(u, kernel)
        u, grad, grad_kernel = transposed(u), transposed(grad), torch.zeros_like(kernel)
        past = min(kernel.shape[-1], length)
        future = min(past, length - 1) if kernel.shape[1] == 2 else 0
        for part in _blocks(u, size):
            grad_f = torch.fft.rfft(grad[:, part], n=size)
            u_f = torch.fft.rfft(u[:, part], n=size).conj_physical_()
            lags = torch.fft.irfft((grad_f * u_f).sum(0), n=size)
            grad_kernel[part, 0, :past] = lags[:, :past]
            grad_kernel[part, -1, :future] = lags[:, size - future :].flip(-1)
            grad_f.mul_(_spectrum(kernel[part], skip[part], length, size).conj_physical_())
            grad[:, part] = torch.fft.irfft(grad_f, n=size)[..., :length]
        return transposed(grad), grad_kernel, grad_kernel[:, 0, 0].clone()


def _size(u: Tensor, kernel: Tensor) -> int:
    """Return the length of a circle on which the two ends of the result do not meet."""
    return fast_size(u.shape[1] + min(kernel.shape[-1], u.shape[1]))


def _blocks(u: Tensor, size: int) -> Iterator[slice]:
    """Cut the channels into blocks whose transforms have `BLOCK` numbers."""
    step = max(1, BLOCK // (len(u) * size))
    return (slice(start, start + step) for start in range(0, u.shape[1], step))


def _spectrum(kernel: Tensor, skip: Tensor, length: int, size: int) -> Tensor:
    """Transform the past's taps at lags 0, 1, ... and the future's at -1, -2, ..., round a circle.

    The skip connection is a tap at lag zero, which adds a constant to the spectrum.
    """
    past = kernel[:, 0, :length]
    if kernel.shape[1] == 2:
        future = kernel[:, 1, : length - 1].flip(-1)
        gap = past.new_zeros(len(past), size - past.shape[-1] - future.shape[-1])
        past = torch.cat([past, gap, future], -1)
    spectrum: Tensor = torch.fft.rfft(past, n=size).add_(skip[:, None])
    return spectrum
