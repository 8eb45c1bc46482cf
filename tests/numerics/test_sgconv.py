"""SGConv: its kernel is what the formula says, and steps go on where a sequence ends."""

import pytest
import torch
from torch import Tensor

from baselines.ops.convolution.fft_convolution import direct_convolve
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
