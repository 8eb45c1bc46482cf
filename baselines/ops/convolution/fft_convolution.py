"""Long convolutions along time by the fast Fourier transform, and their direct sums.

A transform that a core's second cache does not hold takes twice as long a number, and torch makes
its tables anew at every call. So a long causal convolution is cut into parts: what one part of the
inputs gives to one of the outputs is a product of two spectra, that of the part and that of the
taps at the lags between them (Gardner 1995, "Efficient Convolution without Input-Output Delay").

Axes: b batch, l length, d channels, k directions (1: the past; 2: the past, then the future), m
taps, p parts, n positions of a part, f frequencies, c positions on a circle.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from baselines.ops.forms import on_gpu

BLOCK = 1 << 21
"""Numbers transformed together: they and their spectra stay in the memory allocator's hands."""
PART = 1 << 16
"""Positions of a part, about. Uncut against cut, on two cores: 1.15 at 131,072 positions in two
parts, 1.4 at 262,144 in four; 65,536 in two gained nothing. A number of a circle of 2^15, 2^17 and
2^19 takes 0.55, 0.8 and 1.75 ns, one of a product of spectra 0.1."""
MOST_PARTS = 8
"""Parts at most, since the products of spectra grow with their square; then parts get longer."""
SMALL = 1 << 16
"""Numbers of one sequence up to which torch's own copy stays in the cache."""
CONTIGUOUS = torch.contiguous_format


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
    form = _WholeConvolution if on_gpu(u) else _Convolution
    y: Tensor = form.apply(*parts)  # type: ignore[no-untyped-call]
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


class Cut(NamedTuple):
    """How a sequence is cut."""

    parts: int
    length: int
    """Positions of a part."""
    circle: int
    """Numbers of a transform: so many that the two ends of a result do not meet."""


def cut(length: int, kernel: Float[Tensor, "d k m"]) -> Cut:
    """Cut a sequence for a kernel, unless that is much shorter or reads the future too.

    Then the transforms of parts together would be larger than that of the whole by too much.
    """
    taps = min(kernel.shape[-1], length)
    parts = min(MOST_PARTS, round(taps / PART))
    if parts < 2 or 2 * taps < length or kernel.shape[1] == 2:
        return Cut(1, length, fast_size(length + taps))
    circle = fast_size(2 * -(-length // parts))
    return Cut(parts, circle // 2, circle)


class _Convolution(torch.autograd.Function):
    """Circular convolutions, a few channels at a time, that save nothing but their arguments.

    Spectra of all channels together are many times the input, so each is made for one block of
    channels, in memory that the next block uses again, and recomputed for the gradient. Autograd's
    own gradient of `rfft` is a complex transform of twice the size; this one is real too.
    """

    @staticmethod
    def forward(ctx: Any, u: Tensor, kernel: Tensor, skip: Tensor) -> Tensor:
        ctx.save_for_backward(u, kernel, skip)
        length, by = u.shape[1], cut(u.shape[1], kernel)
        y = _in_parts(transposed(u), by)
        for block in _blocks(y, by):
            y_f = torch.fft.rfft(y[:, block], n=by.circle)
            # Spectra without a name: their memory, still in the cache, goes to what comes next.
            _multiply(y_f.unbind(2), _spectra(kernel[block], skip[block], length, by))
            y[:, block] = torch.fft.irfft(y_f, n=by.circle)[..., : by.length]
        return transposed(y.flatten(2)[..., :length])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        u, kernel, skip = ctx.saved_tensors
        length, by = u.shape[1], cut(u.shape[1], kernel)
        u, grad = (_in_parts(transposed(x), by) for x in (u, grad))
        grad_kernel = torch.zeros_like(kernel)
        for block in _blocks(u, by):
            # What a part gives to later ones, its gradient gathers from them: the order turns.
            grad_f = torch.fft.rfft(grad[:, block], n=by.circle)
            latest_first = grad_f.unbind(2)[::-1]
            u_f = torch.fft.rfft(u[:, block], n=by.circle).conj_physical_()
            _multiply(u_f.unbind(2), latest_first)
            lags = torch.fft.irfft(u_f.sum(0), n=by.circle)
            _write_taps(lags.unbind(1)[::-1], grad_kernel[block], length, by)
            _multiply(latest_first, _spectra(kernel[block], skip[block], length, by, conj=True))
            grad[:, block] = torch.fft.irfft(grad_f, n=by.circle)[..., : by.length]
        grad_u = transposed(grad.flatten(2)[..., :length])
        return grad_u, grad_kernel, grad_kernel[:, 0, 0].clone()


class _WholeConvolution(torch.autograd.Function):
    """The same in one piece, as few launches: a GPU keeps tables, and has no cache to stay in."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, kernel: Tensor, skip: Tensor) -> Tensor:
        ctx.save_for_backward(u, kernel, skip)
        by = _whole(u, kernel)
        y_f = _spectrum(u, by)
        y_f *= _spectra(kernel, None, by.length, by)[0]
        y = torch.fft.irfft(y_f, n=by.circle)[..., : by.length].mT
        return torch.addcmul(y, skip, u, out=torch.empty_like(u, memory_format=CONTIGUOUS))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        u, kernel, skip = ctx.saved_tensors
        by = _whole(u, kernel)
        grad_f = _spectrum(grad, by)
        lags_f = _spectrum(u, by).conj_physical_().mul_(grad_f)
        lags = torch.fft.irfft(lags_f.sum(0) if len(u) > 1 else lags_f[0], n=by.circle)
        seen = kernel.shape[-1] <= by.length and kernel.shape[1] == 1
        grad_kernel = torch.empty_like(kernel) if seen else torch.zeros_like(kernel)
        _write_taps([lags], grad_kernel, by.length, by)
        grad_f *= _spectra(kernel, None, by.length, by, conj=True)[0]
        grad_u = torch.fft.irfft(grad_f, n=by.circle)[..., : by.length].mT
        whole = torch.addcmul(grad_u, skip, grad, out=torch.empty_like(u, memory_format=CONTIGUOUS))
        return whole, grad_kernel, grad_kernel[:, 0, 0].clone()


def _whole(u: Float[Tensor, "b l d"], kernel: Float[Tensor, "d k m"]) -> Cut:
    """Leave a sequence uncut."""
    length = u.shape[1]
    return Cut(1, length, fast_size(length + min(kernel.shape[-1], length)))


def _spectrum(x: Float[Tensor, "b l d"], by: Cut) -> Complex[Tensor, "b d f"]:
    """Transform along time; padding is what transposes."""
    spectrum: Tensor = torch.fft.rfft(F.pad(x.mT, (0, by.circle - by.length)))
    return spectrum


def _in_parts(x: Float[Tensor, "*b l"], by: Cut) -> Float[Tensor, "*b p n"]:
    """Cut along the last axis, with zeros at the end if there are several parts."""
    if by.parts == 1:
        return x.unsqueeze(-2)
    missing = by.parts * by.length - x.shape[-1]
    parts: Tensor = (F.pad(x, (0, missing)) if missing else x).unflatten(-1, (by.parts, -1))
    return parts


def _blocks(rows: Float[Tensor, "b d p n"], by: Cut) -> Iterator[slice]:
    """Cut the channels into blocks whose transforms have `BLOCK` numbers."""
    step = max(1, BLOCK // (len(rows) * by.parts * by.circle))
    return (slice(start, start + step) for start in range(0, rows.shape[1], step))


def _spectra(
    kernel: Float[Tensor, "d k m"],
    skip: Float[Tensor, " d"] | None,
    length: int,
    by: Cut,
    *,
    conj: bool = False,
) -> tuple[Complex[Tensor, "d f"], ...]:
    """Transform the taps between two parts, by how many parts the second is behind the first.

    The taps from that lag on stand at the beginning of a circle, those before it at the end: in an
    uncut sequence those of the future, at lags -1, -2, ... The skip connection is a tap at lag
    zero, which adds a constant to the spectrum.
    """
    taps = _in_parts(kernel[:, 0, :length], by)
    if by.parts > 1:
        taps = torch.cat([taps, F.pad(taps[:, :-1], (0, 0, 1, 0))], -1)
    elif kernel.shape[1] == 2:
        future = kernel[:, 1:, : length - 1].flip(-1)
        gap = by.circle - taps.shape[-1] - future.shape[-1]
        taps = torch.cat([taps, taps.new_zeros(len(taps), 1, gap), future], -1)
    spectra: Tensor = torch.fft.rfft(taps, n=by.circle)
    if skip is not None:
        spectra[:, 0].add_(skip[:, None])
    return (spectra.conj_physical_() if conj else spectra).unbind(1)


def _write_taps(
    lags: Sequence[Float[Tensor, "d c"]], kernel: Float[Tensor, "d k m"], length: int, by: Cut
) -> None:
    """Gather in a kernel what `_spectra` laid out, and add up what it laid out twice."""
    seen = min(kernel.shape[-1], length)
    rows = kernel[:, 0, :seen].split(by.length, -1)
    for row, circle in zip(rows, lags, strict=False):
        row.copy_(circle[:, : row.shape[-1]])
    for row, circle in zip(rows, lags[1:], strict=False):
        row.add_(circle[:, by.circle - by.length :][:, : row.shape[-1]])
    if kernel.shape[1] == 2:
        seen = min(seen, length - 1)
        kernel[:, 1, :seen] = lags[0][:, by.circle - seen :].flip(-1)


def _multiply(
    parts: Sequence[Complex[Tensor, "b d f"]], others: Sequence[Complex[Tensor, "*b d f"]]
) -> None:
    """Replace each part i by the sum of all products of a part and another whose numbers add to i.

    From the last on, since no part is needed for those before it.
    """
    for last in range(len(parts) - 1, -1, -1):
        parts[last].mul_(others[0])
        for number in range(last):
            parts[last].addcmul_(parts[number], others[last - number])
