"""The layer of attention: steps, pieces, padding and its cache."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import NoReturn

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.ops.layers.attention_layer import BLOCK, AttentionLayer
from baselines.transformer import Transformer
from harness.api import SpecError, tensor_bytes
from harness.core.seeding import scope, stream


def layer(backend: str = "auto", *, causal: bool = True) -> AttentionLayer:
    """Build a float64 layer of width 16."""
    with scope("layer"):
        recipe = Transformer(backend=backend)
        return recipe.build(width=16, length=8, causal=causal).double()


@pytest.mark.parametrize("length", [1, 6])
def test_steps_and_prefill_continue_what_the_whole_sequence_gives(length: int) -> None:
    mixer = layer()
    u = torch.randn(2, length + 3, 16, generator=stream("u"), dtype=torch.float64)
    whole = mixer(u)
    state = mixer.prefill(u[:, :length])
    torch.testing.assert_close(state, super(AttentionLayer, mixer).prefill(u[:, :length]))
    for position in range(length, length + 3):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])


@torch.no_grad()
def test_the_cache_grows_by_blocks_and_says_what_it_holds() -> None:
    mixer = layer().float()
    state = mixer.initial_state(1)
    assert mixer.state_bytes(0) == tensor_bytes(state)
    state = mixer.prefill(torch.zeros(1, BLOCK - 1, 16))
    held = set()
    for length in range(BLOCK, BLOCK + 3):
        _, state = mixer.step(torch.zeros(1, 16), state)
        assert mixer.state_bytes(length) == tensor_bytes(state)
        held.add(tensor_bytes(state))
    assert len(held) == 2


def test_padding_reaches_no_valid_position() -> None:
    mixer = layer(causal=False)
    u = torch.randn(2, 9, 16, generator=stream("u"), dtype=torch.float64)
    padded = u.clone()
    padded[1, 5:] = 1e6
    y = mixer(padded, torch.tensor([9, 5]))
    assert mixer.path() == "sdpa-masked"
    torch.testing.assert_close(y[0], mixer(u)[0])
    torch.testing.assert_close(y[1:, :5], mixer(u[1:, :5]))


@pytest.mark.parametrize("causal", [True, False])
def test_the_backends_agree_and_name_themselves(causal: bool) -> None:
    u = torch.randn(2, 9, 16, generator=stream("u"), dtype=torch.float64)
    auto, naive = layer("auto", causal=causal), layer("naive", causal=causal)
    torch.testing.assert_close(auto(u), naive(u))
    assert (auto.path(), naive.path()) == ("sdpa", "naive")


def test_xformers_on_a_cpu_is_refused_in_a_sentence() -> None:
    with pytest.raises(SpecError, match="backend=auto"):
        layer("xformers")(torch.zeros(1, 4, 16, dtype=torch.float64))


class OnCuda(torch.Tensor):
    """Says that it lies on a CUDA device."""

    is_cuda = True


def broken() -> NoReturn:
    """Stand in for operators whose compiled part was built for another CUDA."""
    raise NotImplementedError("No operator found for `attention` with inputs:\n  query")


def absent() -> NoReturn:
    """Stand in for a library that its loader does not take."""
    raise OSError("libcudart.so.12: cannot open shared object file")


@pytest.mark.parametrize("fault", [broken, absent, None], ids=["broken", "absent", "none"])
@pytest.mark.parametrize("padded", [True, False])
def test_auto_takes_no_operator_that_may_refuse_and_who_asks_for_it_is_told(
    fault: Callable[[], NoReturn] | None, padded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its import fails where there is no fault of the operator's."""
    ops, mask = ModuleType("xformers.ops"), SimpleNamespace(from_seqlens=lambda lengths: None)
    attention = SimpleNamespace(BlockDiagonalMask=mask, LowerTriangularMask=lambda: None)
    ops.fmha = SimpleNamespace(  # type: ignore[attr-defined]
        attn_bias=attention, memory_efficient_attention=lambda *_, **__: fault and fault()
    )
    monkeypatch.setitem(sys.modules, "xformers", ModuleType("xformers"))
    monkeypatch.setitem(sys.modules, "xformers.ops", ops if fault else None)
    u = torch.randn(2, 9, 16, generator=stream("u"), dtype=torch.float64)
    lengths = torch.tensor([9, 5]) if padded else None
    there, auto = u.as_subclass(OnCuda), layer("auto", causal=False)
    y = auto(there, lengths).as_subclass(torch.Tensor)
    torch.testing.assert_close(y, layer("naive", causal=False)(u, lengths))
    assert auto.path() == ("sdpa-masked" if padded else "sdpa")
    with pytest.raises(SpecError, match=r"^xformers refuses .* float64 \(.+\); use backend=auto"):
        layer("xformers", causal=False)(there, lengths)


@pytest.mark.parametrize("causal", [True, False])
def test_every_gradient_is_the_derivative(causal: bool) -> None:
    mixer = Transformer(heads=2).build(width=4, length=4, causal=causal).double()
    u = torch.randn(1, 4, 4, generator=stream("u"), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda u, *_: mixer(u), (u, *mixer.parameters()))


def test_heads_that_share_keys_equal_full_attention_with_copied_maps() -> None:
    shared = Transformer(kv_heads=2).build(width=16, length=8, causal=True).double()
    full = layer()
    with torch.no_grad():
        q, k, v = shared.heads.project.weight.split((16, 8, 8))
        copies = [x.unflatten(0, (2, 4)).repeat_interleave(2, 0).flatten(0, 1) for x in (k, v)]
        full.heads.project.weight.copy_(torch.cat([q, *copies]))
        q, k, v = shared.heads.project.bias.split((16, 8, 8))
        copies = [x.unflatten(0, (2, 4)).repeat_interleave(2, 0).flatten() for x in (k, v)]
        full.heads.project.bias.copy_(torch.cat([q, *copies]))
        full.out.load_state_dict(shared.out.state_dict())
    u = torch.randn(2, 9, 16, generator=stream("u"), dtype=torch.float64)
    torch.testing.assert_close(shared(u), full(u))


@given(first=st.integers(0, 7), positions=st.sampled_from(["rotary", "sinusoidal", "none"]))
def test_a_sequence_in_two_pieces_equals_one_pass(first: int, positions: str) -> None:
    mixer = Transformer(positions=positions).build(width=16, length=8, causal=True).double()
    u = torch.randn(2, 8, 16, generator=stream("u"), dtype=torch.float64)
    before, state = mixer.advance(u[:, :first], mixer.initial_state(2))
    after, state = mixer.advance(u[:, first:], state)
    torch.testing.assert_close(torch.cat([before, after], 1), mixer(u))
    assert int(state[2]) == 8


def test_without_positions_bidirectional_attention_knows_no_order() -> None:
    mixer = Transformer(positions="none").build(width=16, length=8, causal=False).double()
    u = torch.randn(2, 8, 16, generator=stream("u"), dtype=torch.float64)
    order = torch.randperm(8, generator=stream("order"))
    torch.testing.assert_close(mixer(u[:, order]), mixer(u)[:, order])
