"""S4D and DLR: convolution, recurrence and step are one map."""

from itertools import product

import pytest
import torch
from torch import Tensor

from baselines.dlr import DLR
from baselines.ops.convolution import direct_convolve
from baselines.ops.diagonal_layer import DiagonalLayer
from baselines.s4d import S4D
from harness.api import Model, UnsupportedError
from harness.seeding import scope, stream

S4DS = [
    S4D(state=6, init=init, disc=disc, dt_min=0.01)
    for init, disc in product(("legs", "inv", "lin", "real"), ("zoh", "bilinear"))
]
DLRS = [DLR(state=5, kernel=kernel) for kernel in ("real", "imag", "sum")]
PRODUCT = DLR(state=5, kernel="prod")


def layer(recipe: S4D | DLR, *, causal: bool = True) -> DiagonalLayer:
    """Build a float64 layer of width 3."""
    with scope("layer"):
        return recipe.build(width=3, length=10, causal=causal).double()


def features(length: int) -> Tensor:
    """Draw (2, length, 3) features."""
    return torch.randn(2, length, 3, generator=stream("features", length), dtype=torch.float64)


@pytest.mark.parametrize("recipe", S4DS, ids=str)
def test_s4d_equals_the_papers_recurrence_over_all_conjugate_states(recipe: S4D) -> None:
    mixer = layer(recipe)
    u = features(23)
    A = torch.complex(-mixer.A_re.exp(), mixer.A_im)
    A, B, C = (
        torch.cat([x, x.conj()], -1)
        for x in (A, torch.view_as_complex(mixer.B), torch.view_as_complex(mixer.C)[:, 0])
    )
    dt = mixer.log_dt.exp()[:, None]
    if recipe.disc == "zoh":
        Abar, Bbar = (dt * A).exp(), ((dt * A).exp() - 1) / A * B
    else:
        Abar, Bbar = (1 + dt / 2 * A) / (1 - dt / 2 * A), dt * B / (1 - dt / 2 * A)
    x, ys = torch.zeros(2, 3, 6, dtype=torch.complex128), []
    for u_t in u.unbind(1):
        x = Abar * x + Bbar * u_t[..., None]
        ys.append((C * x).sum(-1).real + mixer.D * u_t)
    torch.testing.assert_close(mixer(u), torch.stack(ys, 1))


@pytest.mark.parametrize("recipe", DLRS, ids=str)
def test_dlr_equals_the_papers_sum(recipe: DLR) -> None:
    mixer = layer(recipe)
    u = features(11)
    lam = torch.complex(-mixer.r.square(), mixer.theta)
    lags = torch.arange(11, dtype=torch.float64)
    Kc = torch.view_as_complex(mixer.W)[:, 0] @ torch.exp(lam[:, None] * lags)
    K = {"real": Kc.real, "imag": Kc.imag, "sum": Kc.real + Kc.imag}[recipe.kernel]
    torch.testing.assert_close(mixer(u), direct_convolve(u, K[:, None], mixer.D))


def test_the_product_kernel_multiplies_the_two_parts() -> None:
    mixer = layer(PRODUCT)
    real, imag = (layer(DLR(state=5, kernel=part)).kernel(9) for part in ("real", "imag"))
    torch.testing.assert_close(mixer.kernel(9), real * imag)


@pytest.mark.parametrize("length", [1, 9, 32])
@pytest.mark.parametrize("recipe", [*S4DS, *DLRS], ids=str)
def test_steps_and_prefill_continue_what_the_whole_sequence_gives(
    recipe: S4D | DLR, length: int
) -> None:
    mixer = layer(recipe)
    u = features(length + 4)
    whole = mixer(u)
    state = mixer.prefill(u[:, :length])
    walked = super(DiagonalLayer, mixer).prefill(u[:, :length])
    torch.testing.assert_close(state, walked)
    for position in range(length, length + 4):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])


@pytest.mark.parametrize("recipe", [S4DS[0], DLRS[0], PRODUCT], ids=str)
def test_a_bidirectional_layer_equals_its_two_direct_sums(recipe: S4D | DLR) -> None:
    mixer = layer(recipe, causal=False)
    u = features(13)
    kernel = mixer.kernel(20)
    assert kernel.shape == (3, 2, 20)
    torch.testing.assert_close(mixer(u), direct_convolve(u, kernel, mixer.D))


@pytest.mark.parametrize("recipe", [S4DS[0], DLRS[0]], ids=str)
def test_padding_reaches_no_valid_position_from_either_side(recipe: S4D | DLR) -> None:
    mixer = layer(recipe, causal=False)
    u = features(9)
    padded = u.clone()
    padded[1, 5:] = torch.nan
    y = mixer(padded, torch.tensor([9, 5]))
    torch.testing.assert_close(y[0], mixer(u)[0])
    torch.testing.assert_close(y[1:, :5], mixer(u[1:, :5]))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("recipe", [*S4DS, *DLRS, PRODUCT], ids=str)
def test_every_gradient_is_the_derivative(recipe: S4D | DLR, causal: bool) -> None:
    mixer = layer(recipe, causal=causal)
    names = [name for name, _ in mixer.named_parameters()]

    def run(u: Tensor, *parameters: Tensor) -> Tensor:
        state = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(mixer, state, (u,))

    parameters = [p.detach().clone().requires_grad_() for p in mixer.parameters()]
    assert torch.autograd.gradcheck(run, (features(5).requires_grad_(), *parameters))


@pytest.mark.parametrize(
    ("recipe", "causal", "reason"), [(S4DS[0], False, "future"), (PRODUCT, True, "kernel=real")]
)
def test_a_layer_without_step_mode_says_why(recipe: Model, causal: bool, reason: str) -> None:
    mixer = recipe.build(width=3, length=4, causal=causal)
    for ask in (
        lambda: mixer.initial_state(1),
        lambda: mixer.state_bytes(4),
        lambda: mixer.prefill(torch.zeros(1, 4, 3)),
    ):
        with pytest.raises(UnsupportedError, match=reason):
            ask()


def test_steps_follow_a_parameter_that_changed_in_place_and_one_that_changed_its_type():
    with scope("steps"):
        layer = S4D(state=4).build(width=3, length=8, causal=True)
    u = torch.randn(1, 5, 3, generator=stream("steps"))

    def stepped():
        state, outputs = layer.initial_state(1), []
        for position in range(5):
            y, state = layer.step(u[:, position], state)
            outputs.append(y)
        return torch.stack(outputs, 1)

    first = stepped()
    with torch.no_grad():
        layer.C.mul_(2)
    torch.testing.assert_close(stepped(), layer(u))
    layer, u = layer.double(), u.double()
    torch.testing.assert_close(stepped(), layer(u))
    assert not torch.allclose(first.double(), stepped())
