"""SGConv: its kernel is what the formula says, and steps go on where a sequence ends."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.ops.convolution import direct_convolve
from baselines.ops.multiscale import multiscale_kernel, naive_multiscale_kernel, scales
from baselines.sgconv import SGConv, SGConvLayer
from harness.api import Mixer, UnsupportedError, tensor_bytes
from harness.core.seeding import scope, stream

RECIPE = SGConv(piece=3, decay_min=1.0, decay_max=3.0)


def layer(*, causal: bool = True, length: int = 10) -> SGConvLayer:
    """Build a float64 layer of width 4; it reaches 12 positions back for a length of 10."""
    with scope("layer"):
        return RECIPE.build(width=4, length=length, causal=causal).double()


def features(length: int) -> Tensor:
    """Draw (2, length, 4) features."""
    rng = stream("features", length)
    return torch.randn(2, length, 4, generator=rng, dtype=torch.float64)


def drawn(count: int, size: int) -> tuple[Tensor, Tensor]:
    """Draw pieces and decays."""
    rng = stream("pieces", count, size)
    pieces = torch.randn(count, 2, 2, size, generator=rng, dtype=torch.float64)
    return pieces, 1 + torch.rand(2, generator=rng, dtype=torch.float64)


@given(count=st.integers(1, 5), size=st.integers(1, 7), length=st.integers(1, 130))
def test_the_stretched_pieces_equal_the_taps_one_by_one(count: int, size: int, length: int) -> None:
    pieces, decay = drawn(count, size)
    taps = multiscale_kernel(pieces, decay, length)
    assert taps.shape == (2, 2, min(length, size << count - 1))
    torch.testing.assert_close(taps, naive_multiscale_kernel(pieces, decay, length))


@given(count=st.integers(1, 4), size=st.integers(1, 5), length=st.integers(1, 40))
def test_the_stretched_pieces_have_the_gradients_of_the_taps(
    count: int, size: int, length: int
) -> None:
    leaves = [leaf.requires_grad_() for leaf in drawn(count, size)]
    found, expected = (
        torch.autograd.grad(form(*leaves, length).square().sum(), leaves, materialize_grads=True)
        for form in (multiscale_kernel, naive_multiscale_kernel)
    )
    torch.testing.assert_close(found, expected)


def test_equal_parameters_make_steps_that_halve_where_a_piece_doubles() -> None:
    decay = torch.full((1,), 2, dtype=torch.float64)
    taps = multiscale_kernel(torch.ones(4, 1, 1, 3, dtype=torch.float64), decay, 24)
    expected = torch.tensor([1.0] * 3 + [0.5] * 3 + [0.25] * 6 + [0.125] * 12)
    torch.testing.assert_close(taps[0, 0], expected.double())


@given(length=st.integers(1, 10_000), piece=st.integers(1, 100))
def test_so_many_pieces_reach_over_a_length_and_one_fewer_do_not(length: int, piece: int) -> None:
    count = scales(length, piece)
    assert piece << count - 1 >= length
    assert count == 1 or piece << count - 2 < length


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("length", [1, 9, 12, 30])
def test_a_layer_equals_its_direct_sums_and_ends_where_its_kernel_ends(
    causal: bool, length: int
) -> None:
    mixer, u = layer(causal=causal), features(length)
    kernel = mixer.kernel(30)
    assert kernel.shape == (4, 2 - causal, 12)
    torch.testing.assert_close(mixer(u), direct_convolve(u, kernel, mixer.D))


def test_every_kernel_starts_with_norm_one_and_does_not_stay_there() -> None:
    mixer = layer(causal=False)
    torch.testing.assert_close(mixer.kernel(12).norm(dim=-1), torch.ones(4, 2).double())
    mixer(3 * features(7))
    with torch.no_grad():
        mixer.pieces.mul_(2)
    torch.testing.assert_close(mixer.kernel(12).norm(dim=-1), 2 * torch.ones(4, 2).double())


def test_a_checkpoint_keeps_the_norm() -> None:
    mixer, other = layer(), RECIPE.build(width=4, length=10, causal=True).double()
    with torch.no_grad():
        mixer.pieces.mul_(2)
    other.load_state_dict(mixer.state_dict())
    torch.testing.assert_close(other(features(9)), mixer(features(9)))


@pytest.mark.parametrize("built", [10, 100])
@pytest.mark.parametrize("length", [1, 5, 31, 93, 254, 600])
def test_steps_and_pieces_continue_what_the_whole_sequence_gives(built: int, length: int) -> None:
    mixer, u = layer(length=built), features(length + 7)
    whole = mixer(u)
    state = mixer.prefill(u[:, :length])
    torch.testing.assert_close(state, Mixer.prefill(mixer, u[:, :length]))
    first, again = mixer.advance(u[:, :length], mixer.initial_state(2))
    torch.testing.assert_close((first, again), (whole[:, :length], state))
    second, state = mixer.advance(u[:, length : length + 3], state)
    torch.testing.assert_close(second, whole[:, length : length + 3])
    for position in range(length + 3, length + 7):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])
    assert tensor_bytes(state) == 2 * mixer.state_bytes(length + 7) - state.done.nbytes


@pytest.mark.parametrize("length", [1, 300])
def test_a_piece_leaves_the_state_that_it_continues_from_as_it_was(length: int) -> None:
    mixer, u = layer(length=100), features(length)
    state = mixer.prefill(u)
    first, again = (mixer.advance(u, state) for _ in range(2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)


def test_steps_follow_a_parameter_that_changed_in_place() -> None:
    mixer, u = layer(), features(1)
    mixer.step(u[:, 0], mixer.initial_state(2))
    with torch.no_grad():
        mixer.pieces.mul_(2)
    torch.testing.assert_close(mixer.step(u[:, 0], mixer.initial_state(2))[0], mixer(u)[:, 0])


def test_a_bidirectional_layer_has_no_steps() -> None:
    with pytest.raises(UnsupportedError, match="future"):
        layer(causal=False).initial_state(1)


def test_float32_keeps_four_digits_of_the_kernel_at_262144_steps() -> None:
    pieces, decay = drawn(13, 64)
    single = multiscale_kernel(pieces.float(), decay.float(), 262_144)
    double = multiscale_kernel(pieces, decay, 262_144)
    assert (single - double).norm() / double.norm() < 1e-4
    last = slice(-4096, None)
    assert (single - double)[..., last].norm() / double[..., last].norm() < 1e-4
