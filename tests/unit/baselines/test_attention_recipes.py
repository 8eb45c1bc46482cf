"""Attention, recurrent and convolutional recipes: parameter counts and refused options."""

import pytest

from baselines.conv import Conv
from baselines.gru import GRU
from baselines.linear_attention import LinearAttention
from baselines.local_attention import LocalAttention
from baselines.lstm import LSTM
from baselines.performer import Performer
from baselines.transformer import Transformer
from harness.api import Model, SpecError, UnsupportedError

D = 16


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (Transformer(), 4 * D * (D + 1)),
        (Transformer(kv_heads=1), 2 * D * (D + 1) + 2 * D // 4 * (D + 1)),
        (LocalAttention(), 4 * D * (D + 1)),
        (LinearAttention(), 4 * D * (D + 1)),
        (Performer(), 4 * D * (D + 1)),
        (LSTM(), 4 * (2 * D * D + 2 * D) + D * (D + 1)),
        (GRU(), 3 * (2 * D * D + 2 * D) + D * (D + 1)),
        (Conv(kernel=5, levels=2), 2 * (5 * D * D + D) + D * (D + 1)),
    ],
    ids=str,
)
def test_a_layer_counts_the_formulas_parameters(recipe: Model, expected: int) -> None:
    layer = recipe.build(width=D, length=8, causal=True)
    assert sum(p.numel() for p in layer.parameters()) == expected


def test_the_performers_directions_are_kept_and_not_trained() -> None:
    layer = Performer(features=6).build(width=D, length=8, causal=True)
    assert layer.state_dict()["features.directions"].shape == (6, 4)


@pytest.mark.parametrize("recipe", [LSTM(), GRU(), Conv(), LocalAttention(), Performer()], ids=str)
def test_a_layer_that_sees_the_future_refuses_to_generate(recipe: Model) -> None:
    layer = recipe.build(width=D, length=8, causal=False)
    for ask in (lambda: layer.initial_state(1), lambda: layer.state_bytes(3)):
        with pytest.raises(UnsupportedError, match="future"):
            ask()


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        (Transformer, {"heads": 0}),
        (Transformer, {"kv_heads": 3}),
        (Transformer, {"kv_heads": -1}),
        (LocalAttention, {"chunk": 0}),
        (LinearAttention, {"heads": 0}),
        (Performer, {"features": 0}),
        (Conv, {"kernel": 1}),
        (Conv, {"levels": 0}),
    ],
)
def test_impossible_options_are_refused_in_a_sentence(recipe: type[Model], options: dict) -> None:
    with pytest.raises(SpecError, match="must"):
        recipe(**options)


def test_a_width_that_the_heads_do_not_divide_is_refused_in_a_sentence() -> None:
    with pytest.raises(SpecError, match="use a multiple of 3"):
        LinearAttention(heads=3).build(width=D, length=8, causal=True)
