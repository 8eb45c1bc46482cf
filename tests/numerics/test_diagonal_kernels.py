"""The kernels of diagonal systems, tables of powers and discretisation, equal torch's forms."""

import pytest
import torch

from baselines.ops.scans.powers import squared_powers
from baselines.ops.ssm import diagonal
from baselines.ops.ssm.complex_parameters import torch_scaled
from baselines.ops.ssm.discretisation import Disc, torch_discretise
from baselines.ops.ssm.softmax_scales import torch_softmax_scales
from harness.core.seeding import stream
from tests.numerics.interpreted import agree, kernels, with_gradients

tables, systems, softmax = kernels("powers"), kernels("discretise"), kernels("softmax_scales")
products = kernels("scaled")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks be so small that several are cheap, and let operators take the ways of a GPU."""
    monkeypatch.setattr(tables, "MODES", 2)
    monkeypatch.setattr(tables, "COUNT", 4)
    for module in (systems, softmax, products):
        monkeypatch.setattr(module, "SIZE", 4)
    monkeypatch.setattr("baselines.ops.forms.on_gpu", lambda x: True)


def poles(radius: float = 0.9) -> torch.Tensor:
    """Draw poles of two channels and three modes."""
    phase = torch.rand(2, 3, generator=stream("poles"), dtype=torch.float64)
    return torch.polar(torch.full_like(phase, radius), 6 * phase).requires_grad_()


@pytest.mark.parametrize("step", [1, 8])
@pytest.mark.parametrize("radius", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("count", [1, 4, 9])
def test_a_table_of_powers_and_its_gradient_are_those_of_squaring(
    count: int, radius: float, step: int
) -> None:
    def of(form):
        return lambda pole: (form(pole, count, torch.complex128, step),)

    agree(of(tables.powers), of(squared_powers), [poles(radius)])


def test_a_long_power_in_single_precision_has_the_phase_of_double() -> None:
    pole = poles(1.0).detach()
    single = tables.powers(pole, 3, torch.complex64, 131_072).to(torch.complex128)
    exact = (torch.arange(3)[:, None] * 131_072 * pole.log()[:, None]).exp()
    assert (single - exact).abs().max() < 2e-7


def test_what_has_faded_is_zero_in_both_forms() -> None:
    pole = poles(0.1).detach()
    forms = (each(pole, 30, torch.complex64) for each in (tables.powers, squared_powers))
    found, expected = ((table == 0).sum() for table in forms)
    assert found == expected > 0


@pytest.mark.parametrize("disc", ["zoh", "bilinear"])
@pytest.mark.parametrize("shape", [(3,), (2, 1), (2, 2, 1), (2, 3)])
def test_discretisation_and_its_gradients_are_torchs(shape: tuple[int, ...], disc: Disc) -> None:
    rng = stream("system", *shape)
    A = torch.randn(3, generator=rng, dtype=torch.complex128) * 5
    dt = torch.rand(shape, generator=rng, dtype=torch.float64)
    leaves = [A.requires_grad_(), dt.requires_grad_()]
    agree(systems.discretise, torch_discretise, leaves, disc=disc)


def test_a_short_step_keeps_its_digits() -> None:
    A = torch.tensor([-1e-9 + 1e-9j, -0.5 + 3j, -40 + 1j], dtype=torch.complex128)
    dt = torch.tensor([1e-3], dtype=torch.float64)
    _, gain = systems.discretise(A, dt, "zoh")
    series = dt * (1 + dt * A / 2 + (dt * A) ** 2 / 6 + (dt * A) ** 3 / 24 + (dt * A) ** 4 / 120)
    torch.testing.assert_close(gain, series, rtol=1e-9, atol=0)


@pytest.mark.parametrize("span", [1, 40])
def test_softmax_and_its_gradients_are_torchs_for_modes_that_decay_and_that_grow(span: int) -> None:
    decay, frequency = torch.randn(2, 5, generator=stream("modes"), dtype=torch.float64)
    dt = torch.tensor([[0.02], [0.3]], dtype=torch.float64)
    assert {True, False} == set((decay > 0).tolist())
    leaves = [each.requires_grad_() for each in (decay.clone(), 9 * frequency, dt)]
    agree(softmax.softmax_scales, torch_softmax_scales, leaves, span=span)


@pytest.mark.parametrize(
    "shapes", [((2, 3), (2, 3)), ((2, 1, 3), (2, 2, 3)), ((2, 1, 2, 3), (2, 2, 1, 3))]
)
def test_a_product_with_shared_factors_and_its_gradients_are_torchs(shapes) -> None:
    rng = stream("product")
    draw = {"generator": rng, "dtype": torch.complex128}
    leaves = [torch.randn(shape, **draw).requires_grad_() for shape in shapes]

    def of(form):
        return lambda *given: (form(*given),)

    agree(of(products.scaled), of(torch_scaled), leaves)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("length", [1, 17])
def test_taps_of_a_system_and_their_gradients_are_those_of_the_textbook(
    length: int, shared: bool
) -> None:
    weight = torch.randn(2, 2, 3, generator=stream("weight"), dtype=torch.complex128)
    pole = poles()[: 1 if shared else 2].detach().requires_grad_()
    leaves = [weight.requires_grad_(), pole]

    def of(form):
        return lambda weight, pole: (form(weight, pole, length),)

    found = with_gradients(of(diagonal.kernel), leaves)
    expected = with_gradients(of(diagonal.textbook_kernel), leaves)
    torch.testing.assert_close(found, expected)
