"""The selective scan: compiled, chunked and step by step are one function, with one gradient."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import config
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.scans import native
from baselines.ops.scans import selective_scan as ops
from baselines.ops.scans.selective_scan import (
    Scanned,
    Selective,
    chunked_selective_scan,
    naive_selective_scan,
)
from harness.api import SpecError
from harness.core.seeding import stream

needs_library = pytest.mark.skipif(native.library() is None, reason="no compiler built it")
LEVELS = native.LEVELS[: native.library().scan_level() + 1] if native.library() else ()
Form = Callable[[Tensor, Selective, Tensor], Scanned]
EVERY = {"batch": 2, "length": 9, "channels": 3, "states": 2}


def drawn(batch: int, length: int, channels: int, states: int, gain: bool) -> list[Tensor | None]:
    """Draw x, dt, A, B, C, D, a first state and a gain in float64."""
    rng = stream("scan", length, channels, states)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=rng, dtype=torch.float64)

    rows = batch, length, channels
    dt, A = F.softplus(normal(*rows)), -normal(channels, states).exp()
    B, C = normal(batch, length, states), normal(batch, length, states)
    leaves = [normal(*rows), dt, A, B, C, normal(channels), normal(batch, channels, states)]
    return [
        *(x.requires_grad_() for x in leaves),
        normal(*A.shape).requires_grad_() if gain else None,
    ]


def scanned(form: Form, leaves: list[Tensor | None]) -> Scanned:
    x, dt, A, B, C, D, state, gain = leaves
    return form(x, Selective(dt=dt, A=A, B=B, C=C, D=D, gain=gain), state)


def with_gradients(form: Form, leaves: list[Tensor | None]) -> tuple[Tensor, ...]:
    """Return outputs, last state, and the gradients of both together to every argument."""
    y, last = scanned(form, leaves)
    rng = stream("direction", *y.shape)
    directions = (torch.randn(t.shape, generator=rng).to(t.dtype) for t in (y, last))
    total = sum((t * direction).sum() for t, direction in zip((y, last), directions, strict=True))
    return y, last, *torch.autograd.grad(total, [leaf for leaf in leaves if leaf is not None])


SHAPES = {
    "batch": st.integers(1, 3),
    "length": st.integers(1, 150),
    "channels": st.integers(1, 80),
    "states": st.integers(1, 9),
    "gain": st.booleans(),
}


@needs_library
@given(**SHAPES, leap=st.booleans(), level=st.sampled_from(LEVELS or ("",)))
def test_the_compiled_scan_equals_the_torch_scan_in_value_and_gradients(
    *, batch: int, length: int, channels: int, states: int, gain: bool, leap: bool, level: str
) -> None:
    leaves = drawn(batch, length, channels, states, gain)
    if leap and leaves[1] is not None:  # so long a step that its decay is no number but zero
        leaves[1].data[0, length // 2] *= 1e4
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSM_BENCH_NATIVE", level)
        assert native.level() == level
        compiled = with_gradients(ops.selective_scan, leaves)
    torch.testing.assert_close(compiled, with_gradients(chunked_selective_scan, leaves))


@contextmanager
def annotations_unchecked() -> Iterator[None]:
    """Let through what only a test run would stop."""
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", False)


@needs_library
@given(
    **{name: st.integers(0, 3) for name in EVERY},
    which=st.integers(0, 7),
    axis=st.integers(0, 2),
    size=st.integers(0, 3),
    deeper=st.booleans(),
)
def test_the_compiled_scan_refuses_a_shape_or_takes_it_as_the_torch_scan_does(
    *, which: int, axis: int, size: int, deeper: bool, **sizes: int
) -> None:
    leaves = drawn(**sizes, gain=True)
    shape = list(leaves[which].shape)
    shape[axis % len(shape)] = size
    other = torch.full(shape + [1] * deeper, -0.5, dtype=torch.float64)
    fits = other.shape == leaves[which].shape
    leaves[which] = other.requires_grad_()
    with annotations_unchecked():
        if fits:
            compiled = with_gradients(ops.native_selective_scan, leaves)
            torch.testing.assert_close(compiled, with_gradients(chunked_selective_scan, leaves))
        else:
            with pytest.raises(SpecError, match=r"The compiled scan takes \w+ as"):
                scanned(ops.native_selective_scan, leaves)


@needs_library
@pytest.mark.parametrize("which", range(8))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64, torch.complex128])
def test_the_compiled_scan_refuses_another_precision_or_device(
    which: int, dtype: torch.dtype
) -> None:
    leaves = [leaf.detach() for leaf in drawn(**EVERY, gain=True)]
    others = [*leaves[:which], leaves[which].to(dtype), *leaves[which + 1 :]]
    away = [*leaves[:which], leaves[which].to("meta"), *leaves[which + 1 :]]
    with annotations_unchecked():
        with pytest.raises(SpecError, match="takes float32 or float64 on the CPU"):
            scanned(ops.native_selective_scan, others)
        with pytest.raises(SpecError, match=r"is torch.float64 on meta beside"):
            scanned(ops.native_selective_scan, away)


@needs_library
@pytest.mark.parametrize("which", range(8))
def test_the_compiled_scan_takes_any_strides(which: int) -> None:
    leaves = drawn(**EVERY, gain=True)
    expected = with_gradients(chunked_selective_scan, leaves)
    gaps = leaves[which].detach().repeat_interleave(2, -1).flip(0).flip(0)[..., ::2]
    leaves[which] = gaps.requires_grad_()
    assert not gaps.is_contiguous()
    torch.testing.assert_close(with_gradients(ops.native_selective_scan, leaves), expected)


@given(
    **SHAPES | {"length": st.integers(1, 40), "channels": st.integers(1, 5)},
    chunk=st.integers(1, 20),
)
def test_the_torch_scan_equals_the_recurrence_step_by_step(
    batch: int, length: int, channels: int, states: int, gain: bool, chunk: int
) -> None:
    leaves = drawn(batch, length, channels, states, gain)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "CHUNK", chunk)
        chunked = with_gradients(chunked_selective_scan, leaves)
    torch.testing.assert_close(chunked, with_gradients(naive_selective_scan, leaves))


@pytest.mark.parametrize("gain", [False, True])
def test_an_output_is_the_sum_over_the_past_that_the_paper_defines(gain: bool) -> None:
    x, dt, A, B, C, D, state, G = drawn(**EVERY, gain=gain)
    read = C[:, :, None] * (1 if G is None else G)
    y, last = scanned(ops.selective_scan, [x, dt, A, B, C, D, state, G])
    for t in range(9):
        decay = torch.exp(A * dt[:, : t + 1].sum(1)[..., None])
        h = decay * state
        for s in range(t + 1):
            since = torch.exp(A * dt[:, s + 1 : t + 1].sum(1)[..., None])
            h = h + since * (dt * x)[:, s, :, None] * B[:, s, None]
        torch.testing.assert_close(y[:, t], (read[:, t] * h).sum(-1) + D * x[:, t])
    torch.testing.assert_close(last, h)


def test_frozen_steps_and_vectors_make_it_a_time_invariant_diagonal_system() -> None:
    x, dt, A, B, C, D, _, _ = drawn(**EVERY, gain=False)
    dt, B, C = (part[:1, :1].expand_as(part) for part in (dt, B, C))
    y, _ = ops.selective_scan(x, Selective(dt=dt, A=A, B=B, C=C, D=D))
    pole, weight = torch.exp(dt[0, 0, :, None] * A), dt[0, 0, :, None] * B[0, 0] * C[0, 0]
    kernel = torch.stack([(weight * pole**lag).sum(-1) for lag in range(9)])
    for t in range(9):
        convolved = sum(kernel[lag] * x[:, t - lag] for lag in range(t + 1))
        torch.testing.assert_close(y[:, t], convolved + D * x[:, t])


def test_with_one_state_it_is_the_gated_recurrence_of_the_papers_first_theorem() -> None:
    """N = 1, A = -1, B = 1: h_t = (1 - g_t) h_{t-1} + dt_t x_t, g_t the sigmoid of dt's logit."""
    logit, x = (torch.randn(1, 20, 4, generator=stream(n), dtype=torch.float64) for n in "lx")
    one = torch.ones(1, 20, 1, dtype=torch.float64)
    dt, A, D = F.softplus(logit), -torch.ones(4, 1).double(), torch.zeros(4).double()
    y, _ = ops.selective_scan(x, Selective(dt=dt, A=A, B=one, C=one, D=D))
    h, gate = torch.zeros(1, 4).double(), logit.sigmoid()
    for t in range(20):
        h = (1 - gate[:, t]) * h + dt[:, t] * x[:, t]
        torch.testing.assert_close(y[:, t], h)


@given(length=st.integers(2, 140), cut=st.integers(1, 139))
def test_two_pieces_give_what_one_gives(length: int, cut: int) -> None:
    cut = min(cut, length - 1)
    x, dt, A, B, C, D, state, gain = drawn(2, length, 5, 3, True)
    whole, last = scanned(ops.selective_scan, [x, dt, A, B, C, D, state, gain])
    outputs = []
    for part in (slice(cut), slice(cut, None)):
        inputs = [x[:, part], dt[:, part], A, B[:, part], C[:, part], D, state, gain]
        y, state = scanned(ops.selective_scan, inputs)
        outputs.append(y)
    torch.testing.assert_close(torch.cat(outputs, 1), whole)
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("form", [ops.selective_scan, chunked_selective_scan])
def test_its_gradient_is_the_derivative(form: Form) -> None:
    leaves = drawn(1, 5, 2, 3, True)
    torch.autograd.gradcheck(lambda *leaves: scanned(form, list(leaves)), leaves)


@pytest.mark.parametrize("level", ["0", *LEVELS])
@pytest.mark.parametrize(("dt", "A"), [(0.0, -1.0), (1e30, -1.0), (30.0, -3.1)])
def test_no_step_at_all_keeps_a_state_and_a_huge_one_forgets_it(
    level: str, dt: float, A: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSM_BENCH_NATIVE", level)
    x, B = torch.zeros(1, 1, 3), torch.ones(1, 1, 1)
    system = Selective(dt=torch.full_like(x, dt), A=torch.full((3, 1), A), B=B, C=B, D=x[0, 0])
    y, last = ops.selective_scan(x, system, torch.full((1, 3, 1), 0.75))
    assert last[..., 0].equal(y[:, 0])
    expected = 0.75 if dt == 0 else 0.0
    assert last.flatten().tolist() == pytest.approx([expected] * 3, abs=1e-37)


@pytest.mark.parametrize("level", ["0", *LEVELS])
@pytest.mark.parametrize("where", [0, 1, 2, 3, 4, 6])
def test_a_nan_is_not_hidden(level: str, where: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSM_BENCH_NATIVE", level)
    leaves = [leaf if leaf is None else leaf.detach() for leaf in drawn(**EVERY, gain=False)]
    leaves[where].view(-1)[0] = math.nan
    assert scanned(ops.selective_scan, leaves)[0][0].isnan().any()


@needs_library
@pytest.mark.parametrize("level", LEVELS)
def test_float32_keeps_four_digits_at_262144_steps(
    level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSM_BENCH_NATIVE", level)
    leaves = [None if x is None else x.detach().float() for x in drawn(1, 262_144, 4, 4, False)]
    leaves[1] *= 1e-3  # so slow that a state remembers thousands of steps
    single, double = (
        with_gradients(
            ops.selective_scan,
            [None if x is None else x.to(dtype).requires_grad_() for x in leaves],
        )
        for dtype in (torch.float32, torch.float64)
    )
    for value, exact in zip(single, double, strict=True):
        assert value.dtype == torch.float32
        assert (value.double() - exact).norm() / exact.norm() < 1e-4


def test_half_precision_is_computed_in_single() -> None:
    leaves = [None if x is None else x.detach().bfloat16() for x in drawn(**EVERY, gain=True)]
    y, last = scanned(ops.selective_scan, leaves)
    single, _ = scanned(ops.selective_scan, [None if x is None else x.float() for x in leaves])
    assert y.dtype == last.dtype == torch.float32
    torch.testing.assert_close(y, single)


def test_no_positions_leave_the_state_as_it_is() -> None:
    leaves = [None if x is None else x.detach() for x in drawn(2, 0, 3, 2, False)]
    y, last = scanned(ops.selective_scan, leaves)
    assert y.shape == (2, 0, 3)
    assert last.equal(leaves[6])
