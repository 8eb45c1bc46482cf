"""The kernel of matrix recurrences equals the walk, whatever the sizes, in Triton's interpreter."""

import pytest
import torch
from torch import Tensor

from baselines.ops.scans import gla, ssd
from harness.core.seeding import stream
from tests.numerics.interpreted import agree, kernels

scans = kernels("matrix_scan")
LENGTHS = [1, 4, 5, 14]
HEADS, KEYS, VALUES = 2, 3, 3


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let chunks, blocks and tiles be so small that several are cheap."""
    for name, size in {"ROWS": 4, "BLOCKS": 2, "LEAST": 2, "STATE": 8, "LANES": 16}.items():
        monkeypatch.setattr(scans, name, size)
    monkeypatch.setattr("baselines.ops.forms.on_gpu", lambda x: True)


def of_features(length: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Draw q, k, v, gates, some of them shut and some wide open, and a state.

    There are two sequences if they are short.
    """
    rng, batch = stream("features", length), 2 if length < 6 else 1
    shapes = [(batch, length, HEADS, size) for size in (KEYS, KEYS, VALUES, KEYS)]
    shapes.append((batch, HEADS, KEYS, VALUES))
    leaves = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    leaves[3] = leaves[3].sigmoid()
    leaves[3][:, ::3, :, 0], leaves[3][:, 1::2, 0] = 0, 1
    return [leaf.to(dtype).requires_grad_() for leaf in leaves]


def of_heads(length: int, groups: int = 1, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Draw x, dt, logarithms of decays from none to all, B, C and a state, likewise."""
    rng, batch = stream("heads", length), 2 if length < 6 else 1
    shapes = [(batch, length, HEADS, VALUES), *[(batch, length, HEADS)] * 2]
    shapes += [*[(batch, length, groups, KEYS)] * 2, (batch, HEADS, KEYS, VALUES)]
    leaves = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    leaves[2] = -leaves[2].abs()
    leaves[2][:, ::3, 0], leaves[2][:, 1::4] = 0, -1e4
    return [leaf.to(dtype).requires_grad_() for leaf in leaves]


@pytest.mark.parametrize("length", LENGTHS)
def test_gates_of_features_give_what_the_walk_gives_with_all_gradients(length: int) -> None:
    agree(gla.gla, gla.recurrent_gla, of_features(length))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("length", LENGTHS)
def test_gates_of_heads_give_what_the_walk_gives_with_all_gradients(
    length: int, groups: int
) -> None:
    agree(ssd.ssd, ssd.recurrent_ssd, of_heads(length, groups))


@pytest.mark.parametrize("length", [1, 10])
def test_without_gates_and_weights_all_is_added_up(length: int) -> None:
    def summed(q: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return gla.recurrent_gla(q, k, v, torch.ones_like(k), state)

    q, k, v, _, state = of_features(length)
    agree(scans.matrix_scan, summed, (q, k, v, state))


def test_arguments_may_be_views_with_gaps_or_expanded() -> None:
    q, k, v, f, state = (leaf.detach() for leaf in of_features(9))
    q, k = q[..., :1].expand_as(k), k.transpose(1, 3).contiguous().transpose(1, 3)
    v, f = torch.cat([v, v], -1)[..., 2 : 2 + VALUES], f[:, :1].expand_as(f)
    leaves = [x.requires_grad_() for x in (q, k, v, f, state)]
    agree(gla.gla, gla.recurrent_gla, leaves)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["ssd", "gla"])
def test_sums_are_in_float32_at_least_and_outputs_as_values(name: str, dtype: torch.dtype) -> None:
    form, twin, draw = {
        "ssd": (ssd.ssd, ssd.recurrent_ssd, of_heads),
        "gla": (gla.gla, gla.recurrent_gla, of_features),
    }[name]
    leaves = [leaf.detach() for leaf in draw(10, dtype=dtype)]
    y, last = form(*leaves)
    exact, end = twin(*(leaf.double() for leaf in leaves))
    assert y.dtype == dtype
    assert last.dtype == torch.float32
    torch.testing.assert_close(y, exact.to(dtype))
    torch.testing.assert_close(last, end.float(), rtol=1e-5, atol=1e-5)


def test_gradients_in_single_precision_are_those_in_double_where_nothing_is_left() -> None:
    for form, leaves in ((ssd.ssd, of_heads(9)), (gla.gla, of_features(9))):
        exact = torch.autograd.grad(form(*leaves)[0].square().sum(), leaves)
        single = [leaf.detach().float().requires_grad_() for leaf in leaves]
        found = torch.autograd.grad(form(*single)[0].square().sum(), single)
        torch.testing.assert_close(found, tuple(g.float() for g in exact), rtol=1e-4, atol=1e-4)


def test_a_state_wider_than_a_program_can_hold_takes_torch() -> None:
    x = torch.empty(1)
    assert ssd.fits_tiles(x, widest=ssd.WIDEST)
    assert not ssd.fits_tiles(x, widest=ssd.WIDEST + 1)
