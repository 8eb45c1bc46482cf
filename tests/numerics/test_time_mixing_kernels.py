"""The kernels of RWKV-7 equal torch in results and all gradients, in Triton's interpreter."""

import pytest
import torch
from torch import Tensor

from baselines.ops.layers.time_mixing import (
    Parts,
    Weights,
    torch_time_mixing,
    torch_token_shift,
)
from baselines.ops.scans.generalized_delta_rule import (
    Transition,
    recurrent_generalized_delta_rule,
)
from harness.core.seeding import stream
from tests.numerics.interpreted import agree, kernels

shift = kernels("token_shift")
mixing = kernels("time_mixing")
walks = kernels("head_walks")
rule = kernels("delta_rule")
HEADS, FEATURES = 2, 3


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks be so small, and programs so few, that several of each are cheap."""
    for name, size in (("CHANNELS", 4), ("NUMBERS", 8), ("PROGRAMS", 2)):
        monkeypatch.setattr(shift, name, size)
    for name, size in (("NUMBERS", 8), ("PROGRAMS", 2)):
        monkeypatch.setattr(walks, name, size)
    for name, size in (("CHUNK", 4), ("GROUP", 2), ("BLOCK", 4), ("COLUMNS", 2), ("LEAST", 2)):
        monkeypatch.setattr(rule, name, size)


def drawn(*shapes: tuple[int, ...]) -> list[Tensor]:
    rng = stream("time mixing", *shapes)
    leaves = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    return [leaf.requires_grad_() for leaf in leaves]


@pytest.mark.parametrize("length", [1, 2, 9])
def test_positions_are_mixed_with_those_before_alike(length: int) -> None:
    agree(shift.token_shift, torch_token_shift, drawn((2, length, 5), (2, 5), (6, 5)))


def of(form):
    """Return a form as a function of tensors only."""

    def run(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        *given, state = tensors
        return form(Parts(*given[:6]), Weights(*given[6:], 1e-3), state)

    return run


@pytest.mark.parametrize("length", [1, 5])
def test_time_is_mixed_alike(length: int) -> None:
    width = HEADS * FEATURES
    parts, vectors = [(2, length, width)] * 6, [(width,)] * 2
    gains = (HEADS, FEATURES), *vectors, (2, HEADS, FEATURES, FEATURES)
    leaves = drawn(*parts, *vectors, *gains)
    agree(of(mixing.time_mixing), of(torch_time_mixing), leaves)


def test_the_rule_may_erase_under_keys_of_its_own() -> None:
    def by_steps(*given: Tensor) -> tuple[Tensor, Tensor]:
        """Read after a decay what the other form reads before it."""
        q, k, v, b, a, log_decay, state = given
        keys, erased = torch.stack([b, k], 2), torch.stack([a, 0 * a], 2)
        return rule.erasing_delta_rule(
            q, keys, torch.stack([0 * v, v], 2), erased, -log_decay.exp(), state
        )

    def recurrent(*given: Tensor) -> tuple[Tensor, Tensor]:
        q, k, v, b, a, log_decay, state = given
        log_f = -log_decay.exp()
        return recurrent_generalized_delta_rule(
            q, k, v, Transition(log_f, -a * log_f.exp(), b), state
        )

    shape = 1, 7, HEADS, FEATURES
    leaves = drawn(*[shape] * 2, (1, 7, HEADS, 2), *[shape] * 3, (1, HEADS, FEATURES, 2))
    agree(by_steps, recurrent, leaves)
