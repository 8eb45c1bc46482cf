"""Short causal convolution, each channel with its own few taps, as it stands before a scan.

y_t = bias + sum_j weight_j x_{t-k+1+j}, then SiLU where asked for; the last tap meets the present.

Forms: on a GPU the CUDA kernel of Mamba's authors where that is asked for, ours in Triton, and
torch's grouped convolution; on processors what is compiled for them, and torch.

Axes: b batch, l length, d channels, k taps.
"""

import ctypes
from collections.abc import Iterator
from importlib import import_module
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from baselines.ops.forms import Form, chosen, on_gpu, triton
from baselines.ops.kernels.installed import runs
from baselines.ops.scans import native
from harness.api import private_torch

BLOCK = 1 << 17
"""Numbers that are convolved together: they and what is made of them stay in the cache."""
MOST_TAPS = 8
"""Of the kernel in Triton."""


def causal_conv(
    x: Float[Tensor, "b l d"],
    weight: Float[Tensor, "d k"],
    bias: Float[Tensor, " d"] | None = None,
    state: Float[Tensor, "b k-1 d"] | None = None,
    *,
    silu: bool = False,
) -> Float[Tensor, "b l d"]:
    """Convolve along time, in the precision of the weights.

    Nothing is saved for the gradient but the arguments: what SiLU sees is recomputed.

    Args:
        x: Inputs.
        weight: Taps, the present's last.
        bias: Added to every position; None for zero.
        state: The inputs before the first one; None for zeros.
        silu: Whether SiLU follows.
    """
    form = chosen(FORMS, x, weight=weight, continues=state is not None)
    y: Tensor = form.run(x, weight, bias, state, silu=silu)
    return y


def authors_causal_conv(
    x: Float[Tensor, "b l d"],
    weight: Float[Tensor, "d k"],
    bias: Float[Tensor, " d"] | None = None,
    state: None = None,
    *,
    silu: bool = False,
) -> Float[Tensor, "b l d"]:
    """Convolve by the CUDA kernel of Mamba's authors, `causal_conv1d`, from zeros."""
    del state
    kernel = import_module("causal_conv1d").causal_conv1d_fn
    rows = x.to(weight.dtype).mT.contiguous()
    y: Tensor = kernel(rows, weight, bias, activation="silu" if silu else None)
    return y.mT


def native_causal_conv(
    x: Float[Tensor, "b l d"],
    weight: Float[Tensor, "d k"],
    bias: Float[Tensor, " d"] | None = None,
    state: Float[Tensor, "b k-1 d"] | None = None,
    *,
    silu: bool = False,
) -> Float[Tensor, "b l d"]:
    """Convolve by the compiled operator, in float32 or float64 on the CPU, the same for all."""
    return cast("Tensor", _NativeConv.apply(*_filled(x, weight, bias, state), silu))  # type: ignore[no-untyped-call]


def blocked_causal_conv(
    x: Float[Tensor, "b l d"],
    weight: Float[Tensor, "d k"],
    bias: Float[Tensor, " d"] | None = None,
    state: Float[Tensor, "b k-1 d"] | None = None,
    *,
    silu: bool = False,
) -> Float[Tensor, "b l d"]:
    """Convolve in torch, a block of time after the other, the twin of the compiled form."""
    return cast("Tensor", _BlockedConv.apply(*_filled(x, weight, bias, state), silu))  # type: ignore[no-untyped-call]


def naive_causal_conv(
    x: Float[Tensor, "b l d"],
    weight: Float[Tensor, "d k"],
    bias: Float[Tensor, " d"] | None = None,
    state: Float[Tensor, "b k-1 d"] | None = None,
    *,
    silu: bool = False,
) -> Float[Tensor, "b l d"]:
    """Convolve by torch's grouped convolution, the twin of the other forms."""
    x, weight, _, state = _filled(x, weight, bias, state)
    past = torch.cat([state, x], 1).mT
    y = F.conv1d(past, weight[:, None], bias, groups=len(weight)).mT
    return F.silu(y) if silu else y


def causal_conv_step(
    x: Float[Tensor, "b d"],
    weight: Float[Tensor, "d k"],
    bias: Float[Tensor, " d"] | None,
    state: Float[Tensor, "b k-1 d"],
) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b k-1 d"]]:
    """Convolve one position; returns the output and the inputs that the next one needs."""
    window = torch.cat([state, x.to(state.dtype)[:, None]], 1)
    y = (window * weight.T).sum(1)
    return y if bias is None else y.add_(bias), window[:, 1:].clone()


def last_inputs(x: Float[Tensor, "b l d"], state: Float[Tensor, "b m d"]) -> Float[Tensor, "b m d"]:
    """Return the state after a sequence: its last inputs, or older ones if it is shorter."""
    size = state.shape[1]
    if size <= x.shape[1]:
        return x[:, x.shape[1] - size :].to(state.dtype, copy=True)
    return torch.cat([state[:, x.shape[1] :], x.to(state.dtype)], 1)


def _filled(
    x: Tensor, weight: Tensor, bias: Tensor | None, state: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return arguments in the precision of the weights, zeros for those that are not given."""
    if state is None:
        state = weight.new_zeros(len(x), weight.shape[1] - 1, x.shape[2])
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    return x.to(weight.dtype), weight, bias, state.to(weight.dtype)


def _authors_kernel_fits(x: Tensor, *, weight: Tensor, continues: bool) -> bool:
    """Say whether the CUDA kernel of Mamba's authors, `causal_conv1d`, is asked for and can run."""
    fits = x.is_cuda and weight.dtype != torch.float64 and 2 <= weight.shape[1] <= 4
    return fits and not continues and runs("causal_conv1d")


def _kernel_fits(x: Tensor, *, weight: Tensor, **_: object) -> bool:
    """Say whether taps are few enough that reading inputs once for each costs little."""
    return x.dtype.is_floating_point and weight.shape[1] <= MOST_TAPS


def _native_fits(x: Tensor, *, weight: Tensor, **_: object) -> bool:
    known = x.is_cpu and weight.dtype in (torch.float32, torch.float64)
    return known and bool(native.level())


FORMS = (
    Form("causal_conv1d", authors_causal_conv, _authors_kernel_fits),
    triton("causal_conv", _kernel_fits),
    Form("torch-conv1d", naive_causal_conv, lambda x, **_: on_gpu(x)),
    Form("native", native_causal_conv, _native_fits),
    Form("torch", blocked_causal_conv),
)


class _NativeConv(torch.autograd.Function):
    """Keeps its arguments only."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, state: Tensor, silu: bool
    ) -> Tensor:
        arrays = {
            "x": x.contiguous(),
            "weight": _padded(weight.T),
            "bias": _padded(bias),
            "state": state.contiguous(),
        }
        ctx.names, ctx.silu = tuple(arrays), silu
        ctx.save_for_backward(*arrays.values())
        y = torch.empty_like(arrays["x"])
        _call("forward", arrays | {"y": y}, silu)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        arrays = dict(zip(ctx.names, ctx.saved_tensors, strict=True))
        x, weight = arrays["x"], arrays["weight"]
        library = native.library()
        assert library is not None
        parts = len(x), -(-x.shape[1] // library.conv_segment())
        grads = {
            "grad_y": grad.contiguous(),
            "grad_x": torch.empty_like(x),
            "grad_state": torch.zeros_like(arrays["state"]),
            "grad_weight": weight.new_zeros(*parts, *weight.shape),
            "grad_bias": weight.new_zeros(*parts, weight.shape[1]),
        }
        _call("backward", arrays | grads, ctx.silu)
        by_weight, by_bias = (
            grads[name].sum((0, 1))[..., : x.shape[2]] for name in ("grad_weight", "grad_bias")
        )
        return grads["grad_x"], by_weight.mT, by_bias, grads["grad_state"], None


def _padded(rows: Tensor) -> Tensor:
    """Fill rows of channels up to whole vectors."""
    library = native.library()
    assert library is not None
    return F.pad(rows, (0, -rows.shape[-1] % library.scan_padded())).contiguous()


def _call(direction: str, arrays: dict[str, Tensor], silu: bool) -> None:
    """Call the library with the addresses of all arrays that there are."""
    x, taps = arrays["x"], len(arrays["weight"])
    sizes = native.LEVELS.index(native.level()), torch.get_num_threads(), *x.shape, taps, silu
    addresses = {name: array.data_ptr() for name, array in arrays.items()}
    precision = str(x.dtype).removeprefix("torch.")
    function = getattr(native.library(), f"conv_{direction}_{precision}")
    function(ctypes.byref(native.Convolution(*sizes, **addresses)))


class _BlockedConv(torch.autograd.Function):
    """Sums of shifted products over blocks of time, and the same backwards."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, state: Tensor, silu: bool
    ) -> Tensor:
        # Rows of taps must be without gaps: torch has no vectors for the others.
        taps = weight.T.contiguous()
        ctx.save_for_backward(x, taps, bias, state)
        ctx.silu = silu
        y = x.new_empty(x.shape)
        for start, stop in _blocks(x, taps):
            block = _convolved(_window(x, state, start, stop), taps, bias, y[:, start:stop])
            if silu:
                F.silu(block, inplace=True)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, taps, bias, state = ctx.saved_tensors
        flipped, zero, later = taps.flip(0), torch.zeros_like(bias), state.shape[1]
        grad_x, grad_taps, grad_bias = x.new_empty(x.shape), torch.zeros_like(taps), zero.clone()
        # The gradient of an input gathers those of the outputs up to k - 1 positions later.
        after = torch.zeros_like(state)
        for start, stop in reversed(list(_blocks(x, taps))):
            window, inner = _window(x, state, start, stop), grad[:, start:stop]
            if ctx.silu:
                before = _convolved(window, taps, bias, torch.empty_like(inner))
                inner = private_torch("torch.ops.aten.silu_backward")(inner, before)
            for lag in range(len(taps)):
                grad_taps[lag] += (inner * window[:, lag : lag + stop - start]).sum((0, 1))
            grad_bias += inner.sum((0, 1))
            joined = torch.cat([inner, after], 1)
            _convolved(joined, flipped, zero, grad_x[:, start:stop])
            after = joined[:, :later]
        padded = torch.cat([torch.zeros_like(state), after], 1)
        grad_state = _convolved(padded, flipped, zero, torch.empty_like(state))
        return grad_x, grad_taps.T, grad_bias, grad_state, None


def _blocks(x: Tensor, taps: Tensor) -> Iterator[tuple[int, int]]:
    batch, length, channels = x.shape
    rows = max(len(taps), BLOCK // max(1, batch * channels))
    return ((start, min(start + rows, length)) for start in range(0, length, rows))


def _window(x: Tensor, state: Tensor, start: int, stop: int) -> Tensor:
    """Return a block with the inputs before it."""
    first = start - state.shape[1]
    return x[:, first:stop] if start else torch.cat([state, x[:, :stop]], 1)


def _convolved(window: Tensor, taps: Tensor, bias: Tensor, out: Tensor) -> Tensor:
    """Return the outputs of a block, in `out`, from its inputs and those before it."""
    rows = out.shape[1]
    torch.addcmul(bias, window[:, :rows], taps[0], out=out)
    for lag in range(1, len(taps)):
        out.addcmul_(window[:, lag : lag + rows], taps[lag])
    return out
