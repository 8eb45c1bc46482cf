"""Every model is built, trained and stepped in any type of numbers, and inside inference mode."""

import copy
from collections.abc import Iterator

import pytest
import torch

from baselines.ops.layers import diagonal_layer
from baselines.s4d import S4D
from harness.api import Mixer
from harness.core.seeding import scope, stream
from harness.plugins.loading import load_model
from harness.plugins.registry import registry

NAMES = [name for name in registry().of("model") if name != "chance"]


def layer(name: str, *, causal: bool = True) -> Mixer:
    with scope("layer", name):
        return load_model(name).build(width=32, length=16, causal=causal)


def features() -> torch.Tensor:
    return torch.randn(2, 16, 32, generator=stream("u"), dtype=torch.float32)


def stepped(mixer: Mixer, u: torch.Tensor) -> torch.Tensor:
    state, outputs = mixer.initial_state(len(u)), []
    for now in u.unbind(1):
        y, state = mixer.step(now, state)
        outputs.append(y)
    return torch.stack(outputs, 1)


@pytest.fixture
def double_by_default() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("double_by_default")
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_a_model_works_where_numbers_are_double_by_default(name: str, causal: bool) -> None:
    mixer, u = layer(name, causal=causal), features().double()
    assert {p.dtype for p in mixer.parameters()} == {torch.float64}
    y = mixer(u)
    y.sum().backward()
    assert y.dtype == torch.float64
    if causal and not mixer.no_step_mode():
        with torch.no_grad():
            torch.testing.assert_close(stepped(mixer, u), y)


@torch.inference_mode()
@pytest.mark.parametrize("name", NAMES)
def test_a_layer_made_in_inference_mode_steps_and_sees_its_parameters_change(name: str) -> None:
    mixer, u = layer(name), features()
    for _ in range(2):
        torch.testing.assert_close(stepped(mixer, u), mixer(u), rtol=1e-4, atol=1e-4)
        for each in mixer.parameters():
            each.mul_(0.9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_a_layer_of_half_precision_follows_its_copy_in_single(
    name: str, causal: bool, dtype: torch.dtype
) -> None:
    mixer, u = layer(name, causal=causal).to(dtype), features().to(dtype)
    single = copy.deepcopy(mixer).float()
    y, expected = mixer(u), single(u.float()).detach()
    y.float().sum().backward()
    assert y.dtype == dtype
    assert all(p.grad is None or p.grad.isfinite().all() for p in mixer.parameters())
    error = 16 * torch.finfo(dtype).eps * expected.norm()
    assert (y - expected).norm() <= error  # both are zero where a layer starts as nothing
    if causal and not mixer.no_step_mode():
        with torch.no_grad():
            steps = stepped(mixer, u)
        assert steps.dtype == dtype
        assert (steps - expected).norm() <= error


def test_the_chunked_form_takes_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagonal_layer, "CHUNKED_FROM", 0)
    mixer = S4D(state=8).build(width=32, length=16, causal=False).bfloat16()
    y = mixer(features().bfloat16())
    y.float().sum().backward()
    assert mixer.path() == "chunked"
    expected = copy.deepcopy(mixer).float()(features().bfloat16().float())
    assert (y - expected).norm() < 16 * torch.finfo(torch.bfloat16).eps * expected.norm()
