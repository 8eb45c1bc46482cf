"""The kernels of the delta rule equal the recurrence, in Triton's interpreter."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.scans import delta_rule as ops
from baselines.ops.scans.delta_rule import Gates, recurrent_delta_rule
from harness.core.seeding import stream
from harness.plugins.loading import load_model
from tests.numerics.interpreted import agree, kernels, with_gradients
from tests.numerics.test_delta_rule import Form, flat

kernel = kernels("delta_rule")
KINDS = ["none", "scalar", "channel"]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let chunks and blocks be so small that several are cheap."""
    for name, size in (("CHUNK", 4), ("GROUP", 2), ("BLOCK", 4), ("COLUMNS", 2), ("LEAST", 2)):
        monkeypatch.setattr(kernel, name, size)


def drawn(length: int, kind: str, *, steps: int = 1, heads: int = 1) -> list[Tensor]:
    """Draw q, k, v, log decays, erase and write gates up to 2, and a state; sizes are odd."""
    rng = stream("delta kernel", length, kind, steps)
    f = 5 if kind == "channel" else 1
    shapes = (heads, 5), (steps, heads, 5), (steps, heads, 3), (heads, f), *[(steps, heads, 1)] * 2
    draw = {"generator": rng, "dtype": torch.float64}
    q, k, v, log_decay, *gates = (torch.randn(1, length, *shape, **draw) for shape in shapes)
    log_decay = torch.zeros_like(log_decay) if kind == "none" else -log_decay.exp()
    state = torch.randn(1, heads, 5, 3, **draw)
    leaves = q, F.normalize(k, dim=-1), v, log_decay, *(2 * x.sigmoid() for x in gates), state
    return [leaf.requires_grad_() for leaf in leaves]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [1, 3, 4, 9])
def test_the_kernels_equal_the_recurrence_in_outputs_states_and_gradients(
    length: int, kind: str
) -> None:
    agree(flat(kernel.delta_rule), flat(recurrent_delta_rule), drawn(length, kind))


@pytest.mark.parametrize("kind", ["scalar", "channel"])
@pytest.mark.parametrize(("length", "steps"), [(3, 2), (2, 3)])
def test_a_position_may_take_several_steps(length: int, steps: int, kind: str) -> None:
    agree(flat(kernel.delta_rule), flat(recurrent_delta_rule), drawn(length, kind, steps=steps))


@pytest.mark.parametrize("kind", KINDS)
def test_heads_of_several_sequences_keep_apart(kind: str) -> None:
    leaves = [
        torch.cat([one, two]).detach().requires_grad_()
        for one, two in zip(drawn(2, kind, heads=2), drawn(2, kind, heads=2), strict=True)
    ]
    with torch.no_grad():
        for leaf in leaves[2:3]:
            leaf[1] += 1
    agree(flat(kernel.delta_rule), flat(recurrent_delta_rule), leaves)


@pytest.mark.parametrize("used", [0, 1])
def test_outputs_or_the_last_state_may_go_unused(used: int) -> None:
    def taken(form: Form) -> Form:
        return lambda *given: (flat(form)(*given)[used],)

    leaves = drawn(5, "scalar")
    leaves[0].requires_grad_(used == 0)
    agree(taken(kernel.delta_rule), taken(recurrent_delta_rule), leaves)


@pytest.mark.parametrize("kind", ["scalar", "channel"])
def test_decays_that_leave_nothing_beside_such_that_leave_all_lose_no_digits(kind: str) -> None:
    leaves = [x.detach() for x in drawn(8, kind)]
    steep = torch.arange(8)[:, None, None] % 3 == 1
    leaves[3] = torch.where(steep, -1e5, 1e-3 * leaves[3])
    single = [x.float().requires_grad_() for x in leaves]
    exact = [x.detach().double().requires_grad_() for x in single]
    found = with_gradients(flat(kernel.delta_rule), single)
    wanted = with_gradients(flat(recurrent_delta_rule), exact)
    assert all(x.dtype == torch.float32 for x in found)
    torch.testing.assert_close(found, tuple(x.float() for x in wanted), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sums_of_half_precision_are_in_single(dtype: torch.dtype) -> None:
    leaves = [x.detach().to(dtype).requires_grad_() for x in drawn(9, "scalar")]
    y, last = flat(kernel.delta_rule)(*leaves)
    exact = flat(recurrent_delta_rule)(*(x.detach().double() for x in leaves))
    assert (y.dtype, last.dtype) == (dtype, torch.float32)
    torch.testing.assert_close(y, exact[0].to(dtype))
    torch.testing.assert_close(last, exact[1].float())
    (y.sum() + last.sum()).backward()
    assert all(x.grad is not None and x.grad.dtype == dtype for x in leaves)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Note when the kernels run, as if there were a GPU."""
    seen: list[object] = []
    real = kernel.delta_rule
    monkeypatch.setattr(kernel, "delta_rule", lambda *x: seen.append(1) or real(*x))
    monkeypatch.setattr("baselines.ops.forms.on_gpu", lambda x: True)
    return seen


def test_the_rule_takes_the_kernels_on_a_gpu_where_features_share_their_gates(
    calls: list[object],
) -> None:
    q, k, v, log_decay, erase, write, state = (x.detach() for x in drawn(3, "scalar"))
    expected = ops.chunked_delta_rule(q, k, v, Gates(log_decay, erase, write), state)
    found = ops.delta_rule(q, k, v, Gates(log_decay, erase, write), state)
    torch.testing.assert_close(found, expected)
    assert calls == [1]
    ops.delta_rule(q, k, v, Gates(log_decay, erase.expand_as(k), write), state)
    assert calls == [1]


@pytest.mark.parametrize("name", ["deltanet", "gated-deltanet", "gated-deltaproduct", "kda"])
def test_a_layer_says_which_form_of_the_rule_runs(name: str, calls: list[object]) -> None:
    layer = load_model(name).build(width=4, length=3, causal=True)
    assert layer.path() == "triton"
    layer(torch.randn(1, 3, 4, generator=stream("u")))
    assert calls == [1]
