"""What stands before and behind the delta rule on a GPU equals torch, in Triton's interpreter."""

import pytest
import torch
from torch import Tensor

from baselines.ops.layers import delta_decay, delta_layer, matrix_layer
from baselines.ops.layers.delta_decay import DeltaForm
from harness.core.seeding import stream
from tests.numerics.interpreted import agree, kernels

outputs = kernels("normed_output")
signals = kernels("delta_signals")
decays = kernels("log_decays")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks be so small, and programs so few, that several of each are cheap."""
    for module, name, size in (
        (outputs, "NUMBERS", 8),
        (outputs, "PROGRAMS", 3),
        (signals, "NUMBERS", 8),
        (decays, "NUMBERS", 8),
        (decays, "CHANNELS", 4),
        (decays, "PROGRAMS", 2),
    ):
        monkeypatch.setattr(module, name, size)


def drawn(*shapes: tuple[int, ...]) -> list[Tensor]:
    rng = stream("around the rule", *shapes)
    leaves = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    return [leaf.requires_grad_() for leaf in leaves]


@pytest.mark.parametrize("length", [1, 5])
@pytest.mark.parametrize("activation", ["silu", "sigmoid"])
def test_outputs_are_normed_gated_and_projected_alike(length: int, activation: str) -> None:
    def of(form):
        return lambda *given: (form(*given, activation=activation),)

    leaves = drawn((2, length, 2, 3), (2, length, 6), (3,), (5, 6))
    agree(of(outputs.normed_output), of(matrix_layer.pieced_output), leaves)


def test_outputs_may_have_no_gate() -> None:
    def of(form):
        return lambda y, *rest: (form(y, None, *rest, activation="silu"),)

    leaves = drawn((2, 3, 2, 5), (5,), (3, 10))
    agree(of(outputs.normed_output), of(matrix_layer.pieced_output), leaves)


@pytest.mark.parametrize(("steps", "expand"), [(1, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize("length", [1, 4])
def test_queries_keys_and_values_are_alike(length: int, steps: int, expand: int) -> None:
    form = DeltaForm(width=6, heads=2, steps=steps, expand_v=expand)
    leaves = drawn((2, length, sum(form.parts)))
    with torch.no_grad():
        leaves[0][0, 0, :3] = 0  # A query of zero keeps a finite gradient.
    agree(
        lambda mixed: signals.delta_signals(mixed, form),
        lambda mixed: delta_layer.split_signals(mixed, form),
        leaves,
    )


@pytest.mark.parametrize("shared", [1, 3])
@pytest.mark.parametrize("length", [1, 11])
def test_logarithms_of_decays_are_alike(length: int, shared: int) -> None:
    leaves = drawn((2, length, 2, shared), (2, shared), (2, 1))
    with torch.no_grad():
        leaves[0][0, 0, 0] = -300
        leaves[0][0, 0, 1] = 300
    agree(
        lambda *given: (decays.log_decays(*given),),
        lambda *given: (delta_decay.torch_log_decays(*given),),
        leaves,
    )


def test_logits_of_half_precision_give_decays_of_the_parameters() -> None:
    logits, *parameters = (leaf.detach() for leaf in drawn((1, 3, 2, 1), (2, 1), (2, 1)))
    logits = logits.bfloat16().requires_grad_()
    found = decays.log_decays(logits, *(each.float() for each in parameters))
    expected = delta_decay.torch_log_decays(logits, *(each.float() for each in parameters))
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert logits.grad is not None
    assert logits.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_projected_in_half_precision_has_gradients_of_its_arguments(
    dtype: torch.dtype,
) -> None:
    y, gate, scale, matrix = (
        leaf.detach().float() for leaf in drawn((1, 3, 2, 2), (1, 3, 4), (2,), (4, 4))
    )
    leaves = [y.to(dtype), gate.to(dtype), scale, matrix]
    found, expected = [], []
    for form, grads in ((outputs.normed_output, found), (matrix_layer.pieced_output, expected)):
        given = [leaf.clone().requires_grad_() for leaf in leaves]
        with torch.autocast("cpu", torch.bfloat16):
            output = form(*given, activation="silu")
        output.float().square().sum().backward()
        grads += [output, *(leaf.grad for leaf in given)]
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=3e-2, atol=3e-2)
