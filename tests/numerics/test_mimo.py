"""Systems of many inputs and outputs: blocks of scans equal all states at hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.ops.ssm import mimo as ops
from baselines.ops.ssm.mimo import mimo, naive_mimo, varying_mimo
from harness.core.seeding import stream

MODES = 5


def given_system(length: int, directions: int) -> list[Tensor]:
    """Draw inputs of 2 sequences and 3 channels, poles, B, C, D and a first state."""
    rng = stream("mimo", length, str(directions))

    def draw(*shape: int, dtype: torch.dtype = torch.complex128) -> Tensor:
        return torch.randn(shape, generator=rng, dtype=dtype)

    size, phase = torch.rand(2, MODES, generator=rng, dtype=torch.float64)
    u, D = draw(2, length, 3, dtype=torch.float64), draw(3, dtype=torch.float64)
    B, C = draw(MODES, 3), draw(directions, 3, MODES)
    return [u, torch.polar(size, 7 * phase), B, C, D, draw(2, MODES)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sequences of tests fill several blocks, of 32 positions."""
    monkeypatch.setattr(ops, "BLOCK", 2 * MODES * 32)


@given(length=st.integers(1, 110), directions=st.sampled_from([1, 2]))
def test_blocks_equal_the_walk_in_output_and_gradients(length: int, directions: int) -> None:
    leaves = [leaf.requires_grad_() for leaf in given_system(length, directions)]
    direction = torch.randn(2, length, 3, generator=stream("to"), dtype=torch.float64)
    found = []
    for form in (mimo, naive_mimo):
        y, last = form(*leaves)
        loss = (y * direction).sum() + (last * (1 + 2j)).sum().imag
        found.append((y, last, *torch.autograd.grad(loss, leaves)))
    torch.testing.assert_close(*found)


@given(length=st.integers(1, 80), directions=st.sampled_from([1, 2]))
def test_blocks_equal_the_convolution_with_matrices_of_taps(length: int, directions: int) -> None:
    u, pole, B, C, D, _ = given_system(length, directions)
    rest = torch.zeros(2, MODES, dtype=torch.complex128)
    lags = pole ** torch.arange(length)[:, None]
    taps = torch.einsum("kdn,ln,ne->klde", C, lags, B).real
    expected = D * u
    for position in range(length):
        past = u[:, : position + 1].flip(1)
        expected[:, position] += torch.einsum("lde,ble->bd", taps[0, : position + 1], past)
        if directions == 2:
            future = taps[1, : length - position]
            expected[:, position] += torch.einsum("lde,ble->bd", future, u[:, position:])
    torch.testing.assert_close(mimo(u, pole, B, C, D, rest)[0], expected)


@given(length=st.integers(2, 100), cut=st.integers(1, 99))
def test_a_sequence_in_two_pieces_is_the_sequence(length: int, cut: int) -> None:
    u, *system, initial = given_system(length, 1)
    cut = min(cut, length - 1)
    whole, last = mimo(u, *system, initial)
    first, carried = mimo(u[:, :cut], *system, initial)
    second, end = mimo(u[:, cut:], *system, carried)
    torch.testing.assert_close((torch.cat([first, second], 1), end), (whole, last))


@given(length=st.integers(1, 40), directions=st.sampled_from([1, 2]))
def test_a_system_that_varies_walks_with_each_positions_pole(length: int, directions: int) -> None:
    u, _, B, C, D, _ = given_system(length, directions)
    rng = stream("poles", length)
    size, phase = torch.rand(2, 2, length, MODES, generator=rng, dtype=torch.float64)
    pole, gain = torch.polar(size, 7 * phase), torch.polar(phase, size)
    expected = D * u
    for k, order in enumerate([range(length), range(length - 1, -1, -1)][:directions]):
        state = torch.zeros(2, MODES, dtype=torch.complex128)
        for at in order:
            state = pole[:, at] * state + gain[:, at] * (u[:, at].to(B.dtype) @ B.mT)
            expected[:, at] += (state @ C[k].mT).real
    torch.testing.assert_close(varying_mimo(u, pole, gain, B, C, D), expected)


def test_float32_keeps_four_digits_at_262144_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    length, rng = 262_144, stream("long")
    decay = -torch.logspace(-6, -3, MODES, dtype=torch.float64)
    phase = 3 * torch.rand(MODES, generator=rng, dtype=torch.float64)
    pole = torch.complex(decay, phase).exp()
    _, _, B, C, D, _ = given_system(1, 2)
    u = torch.randn(1, length, 3, generator=rng)
    rest = torch.zeros(1, MODES, dtype=torch.complex64)
    single = [t.to(torch.complex64) for t in (B, C)]
    y, _ = mimo(u, pole, *single, D.float(), rest)
    exact, _ = mimo(u.double(), pole, B, C, D, rest.to(torch.complex128))
    assert y.dtype == torch.float32
    assert len(ops.blocks_of(u, MODES, future=False)) > 5
    for part in (slice(None), slice(4096), slice(-4096, None)):
        assert (y - exact)[:, part].norm() / exact[:, part].norm() < 1e-4


def test_inputs_in_half_precision_leave_states_in_theirs() -> None:
    u, pole, B, C, D, initial = given_system(50, 2)
    rounded = u.bfloat16()
    y, last = mimo(rounded, pole, B, C, D, initial)
    exact, exact_last = mimo(rounded.double(), pole, B, C, D, initial)
    torch.testing.assert_close(last, exact_last)
    # Rounded twice: the future's part is added to a sum that is rounded already.
    torch.testing.assert_close(y, exact.bfloat16(), rtol=0.016, atol=0.05)
