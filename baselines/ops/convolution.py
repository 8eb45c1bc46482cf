"""Long convolutions along time by the fast Fourier transform, and their direct sums.

Axes: b batch, l length, d channels, k directions (1: the past; 2: the past, then the future).
"""

from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def convolve(
    u: Float[Tensor, "b l d"], kernel: Float[Tensor, "d k m"], skip: Float[Tensor, " d"]
) -> Float[Tensor, "b l d"]:
    """Convolve each channel with its kernels and add `skip` times the input.

    y_i = skip u_i + sum_m past_m u_{i-m} + sum_m future_m u_{i+m+1}: the present belongs to the
    past's kernel only, as in the code of S4 and DLR. A kernel may be shorter or longer than the
    sequence.
    """
    length = u.shape[1]
    size = fast_size(length + min(kernel.shape[-1], length))
    wrapped = _wrapped(kernel, length, size)
    y: Tensor = _Convolution.apply(u.to(kernel.dtype), wrapped, skip, size)  # type: ignore[no-untyped-call]
    return y.to(u.dtype)


def direct_convolve(
    u: Float[Tensor, "b l d"], kernel: Float[Tensor, "d k m"], skip: Float[Tensor, " d"]
) -> Float[Tensor, "b l d"]:
    """Convolve by the sums as they are written, the twin of `convolve`."""
    length, taps = u.shape[1], kernel.shape[-1]
    y = skip * u
    for lag in range(min(taps, length)):
        y[:, lag:] += kernel[:, 0, lag] * u[:, : length - lag]
        if kernel.shape[1] == 2:
            y[:, : length - lag - 1] += kernel[:, 1, lag] * u[:, lag + 1 :]
    return y


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


def _wrapped(kernel: Tensor, length: int, size: int) -> Tensor:
    """Lay the past's taps at lags 0, 1, ... and the future's at -1, -2, ..., round a circle."""
    past = kernel[:, 0, :length]
    if kernel.shape[1] == 1:
        return past
    future = kernel[:, 1, : length - 1].flip(-1)
    gap = past.new_zeros(len(past), size - past.shape[-1] - future.shape[-1])
    return torch.cat([past, gap, future], -1)


class _Convolution(torch.autograd.Function):
    """Circular convolution whose gradient uses real transforms too.

    Autograd's own gradient of `rfft` is a complex transform of twice the size. The skip connection
    is a tap at lag zero, which adds a constant to the kernel's spectrum.
    """

    @staticmethod
    def forward(ctx: Any, u: Tensor, kernel: Tensor, skip: Tensor, size: int) -> Tensor:
        ctx.size, ctx.shapes = size, (u.shape[1], kernel.shape[-1])
        u_f = torch.fft.rfft(u.transpose(1, 2), n=size)
        kernel_f = torch.fft.rfft(kernel, n=size).add_(skip[:, None])
        ctx.save_for_backward(u_f, kernel_f)
        y: Tensor = torch.fft.irfft(u_f * kernel_f, n=size)[..., : u.shape[1]]
        return y.transpose(1, 2).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        u_f, kernel_f = ctx.saved_tensors
        length, taps = ctx.shapes
        grad_f = torch.fft.rfft(grad.transpose(1, 2), n=ctx.size)
        grad_kernel = torch.fft.irfft((grad_f * u_f.conj()).sum(0), n=ctx.size)[..., :taps]
        grad_u = torch.fft.irfft(grad_f.mul_(kernel_f.conj()), n=ctx.size)[..., :length]
        return grad_u.transpose(1, 2).contiguous(), grad_kernel, grad_kernel[:, 0], None
