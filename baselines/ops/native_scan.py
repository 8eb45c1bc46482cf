"""The compiled selective scan as an operator of torch, with its gradient.

Axes: b batch, l length, d channels, n states.
"""

import ctypes
import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops import native


def scan(*arguments: Tensor | None) -> tuple[Tensor, Tensor]:
    """Scan: x, dt, A, B, C, D, state, gain as `baselines.ops.selective_scan` explains them.

    All are on the CPU and of one precision, float32 or float64. Without a gradient to come nothing
    but the results is kept.
    """
    wanted = torch.is_grad_enabled() and any(a is not None and a.requires_grad for a in arguments)
    result: tuple[Tensor, Tensor] = _Scan.apply(wanted, *arguments)  # type: ignore[no-untyped-call]
    return result


class _Scan(torch.autograd.Function):
    """Keeps its arguments and the states at the beginnings of chunks."""

    @staticmethod
    def forward(ctx: Any, wanted: bool, *arguments: Tensor | None) -> tuple[Tensor, Tensor]:
        x, dt, A, B, C, D, state, gain = arguments
        assert x is not None and dt is not None and A is not None and D is not None  # noqa: PT018
        assert B is not None and C is not None and state is not None  # noqa: PT018
        given = {
            "x": x.contiguous(),
            "dt": dt.contiguous(),
            "A": _rows(A / math.log(2)),
            "B": B.contiguous(),
            "C": C.contiguous(),
            "skip": _rows(D[:, None]),
        }
        if gain is not None:
            given["gain"] = _rows(gain)
        last, y = _rows(state), torch.empty_like(given["x"])
        made = {"state": last, "y": y}
        if wanted:
            chunks = -(-x.shape[1] // _constant("chunk"))
            made["borders"] = given["borders"] = x.new_empty(len(x), chunks, *last.shape[1:])
            ctx.names = tuple(given)
            ctx.save_for_backward(*given.values())
        _call("forward", given | made)
        return y, last[..., : len(D)].mT.contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, grad_last: Tensor) -> tuple[Tensor | None, ...]:
        given = dict(zip(ctx.names, ctx.saved_tensors, strict=True))
        x, A, B = given["x"], given["A"], given["B"]
        channels = x.shape[2]
        groups = -(-channels // _constant("group"))
        grads = {
            "grad_y": grad_y.contiguous(),
            "grad_state": _rows(grad_last),
            "grad_x": torch.empty_like(x),
            "grad_dt": torch.empty_like(x),
            "grad_A": x.new_zeros(len(x), *A.shape),
            "grad_B": x.new_empty(groups, *B.shape),
            "grad_C": x.new_empty(groups, *B.shape),
            "grad_skip": x.new_zeros(len(x), A.shape[1]),
        }
        if "gain" in given:
            grads["grad_gain"] = torch.zeros_like(grads["grad_A"])
        _call("backward", given | grads)
        gain = grads["grad_gain"].sum(0)[:, :channels].mT if "gain" in given else None
        return (
            None,
            grads["grad_x"],
            grads["grad_dt"],
            grads["grad_A"].sum(0)[:, :channels].mT,
            grads["grad_B"].sum(0),
            grads["grad_C"].sum(0),
            grads["grad_skip"].sum(0)[:channels],
            grads["grad_state"][..., :channels].mT,
            gain,
        )


def _rows(columns: Tensor) -> Tensor:
    """Return a new (..., n, d) tensor from a (..., d, n) one, its rows padded to whole vectors."""
    channels, states = columns.shape[-2:]
    padded = -(-channels // _constant("padded")) * _constant("padded")
    rows = columns.new_zeros(*columns.shape[:-2], states, padded)
    rows[..., :channels] = columns.mT
    return rows


def _constant(name: str) -> int:
    library = native.library()
    assert library is not None
    value: int = getattr(library, f"scan_{name}")()
    return value


def _call(direction: str, arrays: dict[str, Tensor]) -> None:
    """Call the library with the addresses of all arrays that there are."""
    library, x, A = native.library(), arrays["x"], arrays["A"]
    assert library is not None
    sizes = native.LEVELS.index(native.level()), torch.get_num_threads(), *x.shape, len(A)
    addresses = {name: array.data_ptr() for name, array in arrays.items()}
    precision = str(x.dtype).removeprefix("torch.")
    function = getattr(library, f"scan_{direction}_{precision}")
    function(ctypes.byref(native.Scan(*sizes, **addresses)))
