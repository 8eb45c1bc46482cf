"""The selective scan of Mamba: a diagonal recurrence whose step and vectors change with position.

Gu and Dao 2023, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", section 3.
h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t, y_t = sum_n gain C_t h_t + D x_t: the decay is exact, the
input term is Euler's, as in the authors' code.

Four forms: the CUDA kernel of the authors' package `mamba_ssm` where that is asked for, a kernel in
Triton, compiled for processors, and torch.

Axes: b batch, l length, d channels, n states.
"""

import ctypes
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Inexact
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.forms import Form, chosen, triton
from baselines.ops.scans import by_mamba_ssm, native
from baselines.ops.scans.checkpointed_scan import checkpointed_scan
from harness.api import SpecError

PRECISIONS = torch.float32, torch.float64
"""Those that the compiled form knows."""
ARGUMENTS = "x:bld dt:bld A:dn B:bln C:bln D:d state:bdn gain:dn"
"""Those of the compiled form in their order, each with its axes."""
CHUNK = 64
"""Positions of which the torch form holds all states at once."""


@dataclass(frozen=True, kw_only=True)
class Selective:
    """A diagonal system that is another one at each position."""

    dt: Float[Tensor, "b l d"]
    """Step sizes, not negative."""
    A: Float[Tensor, "d n"]
    """Rates, negative: a state decays by exp(dt A)."""
    B: Float[Tensor, "b l n"]
    C: Float[Tensor, "b l n"]
    D: Float[Tensor, " d"]
    gain: Float[Tensor, "d n"] | None = None
    """Factors of C that all positions share, None for ones: B or C of a channel's own."""

    def to(self, dtype: torch.dtype) -> "Selective":
        """Return the system in a precision."""
        parts = {name: part.to(dtype) for name, part in vars(self).items() if part is not None}
        return Selective(**parts)


Scanned = tuple[Float[Tensor, "b l d"], Float[Tensor, "b d n"]]


def selective_scan(
    x: Float[Tensor, "b l d"], system: Selective, state: Float[Tensor, "b d n"] | None = None
) -> Scanned:
    """Scan in float32, or float64 if A is.

    Args:
        x: Inputs.
        system: What drives and reads the states.
        state: The state before the first position; None for zeros.

    Returns:
        Outputs, and the last state. Both have gradients to every argument, but for the last state
        of `mamba_ssm`, which has none.
    """
    form = scan_form(x, plain=state is None and system.gain is None)
    dtype = torch.promote_types(system.A.dtype, torch.float32)
    x, system = x.to(dtype), system.to(dtype)
    state = x.new_zeros(len(x), *system.A.shape) if state is None else state.to(dtype)
    scanned: Scanned = form.run(x, system, state)
    return scanned


def scan_form(x: Tensor, *, plain: bool) -> Form:
    """Return the form that scans a tensor.

    Args:
        x: Of the device and precision.
        plain: Whether there is no first state and no gain.
    """
    return chosen(FORMS, x, plain=plain)


def native_selective_scan(
    x: Float[Tensor, "b l d"], system: Selective, state: Float[Tensor, "b d n"]
) -> Scanned:
    """Scan by the compiled operator, whose states stay in registers.

    Without a gradient to come nothing but the results is kept.

    Raises:
        SpecError: Something has another shape than its axes say, is not of the precision of `x`,
            float32 or float64, or does not lie on the CPU.
    """
    arguments = tuple(_fitted(x, system, state))
    training = torch.is_grad_enabled() and any(a is not None and a.requires_grad for a in arguments)
    result: Scanned = _NativeScan.apply(training, *arguments)  # type: ignore[no-untyped-call]
    return result


def chunked_selective_scan(
    x: Float[Tensor, "b l d"], system: Selective, state: Float[Tensor, "b d n"]
) -> Scanned:
    """Scan in torch, the states of one chunk at a time, the twin of the compiled form.

    Nothing is ever divided by a product of decays, which may be zero. The gradient recomputes each
    chunk from the state before it.
    """
    s = system
    shared = (s.A,) if s.gain is None else (s.A, s.gain)
    y, (last,) = checkpointed_scan(_chunk, CHUNK, (state,), (x, s.dt, s.B, s.C), shared)
    return y + s.D * x, last


def naive_selective_scan(
    x: Float[Tensor, "b l d"], system: Selective, state: Float[Tensor, "b d n"]
) -> Scanned:
    """Scan step by step, as the recurrence is written, the twin of the other forms."""
    s, outputs = system, [x[:, :0]]
    for t in range(x.shape[1]):
        decay = (s.dt[:, t, :, None] * s.A).exp()
        state = decay * state + (s.dt * x)[:, t, :, None] * s.B[:, t, None]
        outputs.append((state * _read(s.C[:, t : t + 1], s.gain)[:, 0]).sum(-1)[:, None])
    return torch.cat(outputs, 1) + s.D * x, state


def _chunk(
    start: tuple[Tensor], x: Tensor, dt: Tensor, B: Tensor, C: Tensor, *shared: Tensor
) -> tuple[Tensor, tuple[Tensor]]:
    """Return what a chunk's states give, and the last of them."""
    A, *gain = shared
    decay, drive = (dt[..., None] * A).exp(), (dt * x)[..., None] * B[:, :, None]
    states = all_states(decay, drive, *start)
    # A view of the last state would keep all of them.
    last = states[:, -1].clone() if x.shape[1] else start[0]
    return (states * _read(C, *gain)).sum(-1), (last,)


def _read(C: Tensor, gain: Tensor | None = None) -> Tensor:
    """Return what multiplies the states, (b, l, 1 or d, n)."""
    return C[:, :, None] if gain is None else C[:, :, None] * gain


def all_states(
    decay: Inexact[Tensor, "b l d n"],
    drive: Inexact[Tensor, "b l d n"],
    state: Inexact[Tensor, "b d n"],
) -> Inexact[Tensor, "b l d n"]:
    """Return all h_t = decay_t h_{t-1} + drive_t that follow a state, real or complex."""
    states: Tensor = _Recurrence.apply(decay, drive, state)  # type: ignore[no-untyped-call]
    return states


class _Recurrence(torch.autograd.Function):
    """All states h_t = decay_t h_{t-1} + drive_t that follow a first one, position by position.

    The adjoint is made in place too, the other way. `gated_scan` gives the same, but over chunks so
    short its blocks side by side take 1.15 to 1.47 times as long.
    """

    @staticmethod
    def forward(ctx: Any, decay: Tensor, drive: Tensor, state: Tensor) -> Tensor:
        h, last = drive.clone(), state
        for a, now in zip(decay.unbind(1), h.unbind(1), strict=True):
            last = now.addcmul_(a, last)
        ctx.save_for_backward(decay, h, state)
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        decay, h, state = ctx.saved_tensors
        adjoint, later = grad.clone(), torch.zeros_like(state)
        for a, now in zip(reversed(decay.unbind(1)), reversed(adjoint.unbind(1)), strict=True):
            later = a.conj() * now.add_(later)
        before = torch.cat([state[:, None], h[:, :-1]], 1)
        return adjoint * before.conj(), adjoint, later


def _native_fits(x: Tensor, **_: object) -> bool:
    return x.is_cpu and bool(native.level())


FORMS = (
    Form("mamba_ssm", by_mamba_ssm.selective_scan, by_mamba_ssm.fits_scan),
    triton("selective_scan"),
    Form("native", native_selective_scan, _native_fits),
    Form("chunked", chunked_selective_scan),
)


class _NativeScan(torch.autograd.Function):
    """Keeps its arguments and the states at the beginnings of chunks."""

    @staticmethod
    def forward(ctx: Any, training: bool, *arguments: Tensor | None) -> tuple[Tensor, Tensor]:
        x, dt, A, B, C, D, state, gain = arguments
        assert x is not None and dt is not None and A is not None and D is not None  # noqa: PT018
        assert B is not None and C is not None and state is not None  # noqa: PT018
        inputs = {
            "x": x.contiguous(),
            "dt": dt.contiguous(),
            "A": _rows(A / math.log(2)),
            "B": B.contiguous(),
            "C": C.contiguous(),
            "skip": _rows(D[:, None]),
        }
        if gain is not None:
            inputs["gain"] = _rows(gain)
        last, y = _rows(state), torch.empty_like(inputs["x"])
        outputs = {"state": last, "y": y}
        if training:
            chunks = -(-x.shape[1] // _constant("chunk"))
            outputs["boundaries"] = inputs["boundaries"] = x.new_empty(
                len(x), chunks, *last.shape[1:]
            )
            ctx.names = tuple(inputs)
            ctx.save_for_backward(*inputs.values())
        _call("forward", inputs | outputs)
        return y, last[..., : len(D)].mT.contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, grad_last: Tensor) -> tuple[Tensor | None, ...]:
        inputs = dict(zip(ctx.names, ctx.saved_tensors, strict=True))
        x, A, B = inputs["x"], inputs["A"], inputs["B"]
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
        if "gain" in inputs:
            grads["grad_gain"] = torch.zeros_like(grads["grad_A"])
        _call("backward", inputs | grads)
        gain = grads["grad_gain"].sum(0)[:, :channels].mT if "gain" in inputs else None
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


def _fitted(x: Tensor, system: Selective, state: Tensor) -> Iterator[Tensor | None]:
    """Yield the arguments of the compiled form, which believes every shape that it is told."""
    given = {"x": x, **vars(system), "state": state}
    sizes = dict.fromkeys("bldn", 0)
    sizes |= zip("bld", x.shape, strict=False)
    sizes |= zip("n", system.A.shape[-1:], strict=False)
    for name, _, axes in (argument.partition(":") for argument in ARGUMENTS.split()):
        part, shape = given[name], tuple(sizes[axis] for axis in axes)
        if part is not None and part.shape != shape:
            raise SpecError(
                f"The compiled scan takes {name} as ({', '.join(axes)}), which x and A say is "
                f"{shape}, not {tuple(part.shape)}; expand it."
            )
        if part is not None and not (part.is_cpu and part.dtype == x.dtype in PRECISIONS):
            raise SpecError(
                f"The compiled scan takes float32 or float64 on the CPU, the same for all, but "
                f"{name} is {part.dtype} on {part.device} beside x of {x.dtype}; convert it."
            )
        yield part


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
    function(ctypes.byref(native.Arguments(*sizes, **addresses)))
