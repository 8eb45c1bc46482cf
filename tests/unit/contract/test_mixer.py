"""What every mixer has from the contract: its word on steps, and the bytes of its state."""

import pytest
import torch
from torch import Tensor, nn

from harness.api import Mixer, UnsupportedError, mask_padding, valid_positions


class Sum(Mixer):
    """A running sum."""

    def __init__(self, *, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.scale * u.cumsum(1)

    def initial_state(self, batch: int) -> Tensor:
        return self.scale.new_zeros(batch, 3)

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.scale * (state + u), state + u


class SumAfterAll(Sum):
    """One whose steps need nothing from the future."""

    def no_step_mode(self) -> str:
        return ""


def test_a_layer_that_sees_the_future_has_no_steps_and_says_so_by_every_face() -> None:
    layer, u = Sum(causal=False), torch.zeros(2, 4, 3)
    for ask in (
        lambda: layer.initial_state(2),
        lambda: layer.prefill(u),
        lambda: layer.state_bytes(4),
    ):
        with pytest.raises(UnsupportedError, match="sees the future, so it has no step mode"):
            ask()


@pytest.mark.parametrize("layer", [Sum(causal=True), SumAfterAll(causal=False)], ids=["a", "b"])
def test_another_layer_steps_and_weighs_its_first_state(layer: Mixer) -> None:
    u = torch.ones(2, 4, 3)
    assert layer.prefill(u).equal(torch.full((2, 3), 4.0))
    assert layer.state_bytes(1) == layer.state_bytes(1000) == 12


def test_padding_is_what_lies_behind_a_sequences_length() -> None:
    x, lengths = torch.ones(2, 3, 2), torch.tensor([3, 1])
    assert valid_positions(x, lengths).tolist() == [[True] * 3, [True, False, False]]
    assert mask_padding(x, lengths)[..., 0].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert mask_padding(x, None) is x


def test_what_padding_held_is_forgotten_even_if_it_is_no_number() -> None:
    x = torch.full((1, 2, 1), torch.nan)
    assert mask_padding(x, torch.tensor([0])).tolist() == [[[0.0], [0.0]]]


class Mean(Mixer):
    """Knows nothing of lengths."""

    causal = False

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return u.sum(1, keepdim=True).expand(u.shape)


@pytest.mark.parametrize("held", [torch.nan, torch.inf, 1e30])
def test_a_layer_never_sees_what_padding_held(held: float) -> None:
    u = torch.ones(2, 4, 1)
    u[1, 2:] = held
    assert Mean()(u, torch.tensor([4, 2]))[:, 0, 0].tolist() == [4, 2]


@pytest.mark.parametrize("shape", [(0, 4, 3), (2, 0, 3), (0, 0, 3)])
def test_of_nothing_every_face_makes_nothing(shape: tuple[int, ...]) -> None:
    layer, u = Sum(causal=True), torch.zeros(shape)
    state = layer.prefill(u)
    assert layer(u, torch.zeros(len(u))).shape == u.shape
    assert layer.advance(u, state)[0].shape == u.shape
    assert layer.step(u[:0, 0] if shape[1] else u[:0].sum(1), state[:0])[0].shape == (0, 3)
