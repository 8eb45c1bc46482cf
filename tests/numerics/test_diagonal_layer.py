"""The layer of S4D, DLR and DSS: convolution, steps and the chunked form are one map."""

import copy
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from baselines.dlr import DLR
from baselines.dss import DSS, DSSLayer
from baselines.ops.convolution.fft_convolution import direct_convolve
from baselines.ops.layers import diagonal_layer
from baselines.ops.layers.diagonal_layer import DiagonalLayer
from baselines.ops.ssm import chunked_diagonal
from baselines.ops.ssm.diagonal import steps_per_block
from baselines.s4d import S4D
from harness.api import UnsupportedError
from harness.core.config import Protocol
from harness.core.seeding import scope, stream
from harness.training.loop import optimizer_groups

INITS = ("legs", "inv", "lin", "real", "fout", "inv2", "quad", "random")
S4DS = [
    *(
        S4D(state=6, init=init, disc=disc, dt_min=0.01)
        for init, disc in product(INITS, ("zoh", "bilinear"))
    ),
    S4D(state=6, real="relu"),
    S4D(state=6, real="none"),
    S4D(state=6, n_ssm=1, init="random"),
    S4D(state=6, bandlimit=0.01, dt_min=0.01),
]
DFOUT = S4D(state=6, init="dfout")
COMPLEX = ("complex", "phase", "phase-real")
DLRS = [
    *(DLR(state=5, form=f, kernel=k) for f, k in product(COMPLEX, ("real", "imag", "sum"))),
    DLR(state=5, form="decay-real"),
    DLR(state=5, init="randn"),
]
PRODUCTS = [DLR(state=5, form=f, kernel=k) for k, f in product(("prod", "real-prod"), COMPLEX)]
DSSS = [
    DSS(state=5, form=form, init=init)
    for form, init in product(("exp", "softmax"), ("hippo", "lin", "randn"))
]
RECURRENT = [*S4DS, DFOUT, *DLRS, *DSSS]
Recipe = S4D | DLR | DSS


def layer(recipe: Recipe, *, causal: bool = True) -> DiagonalLayer:
    """Build a float64 layer of width 3."""
    with scope("layer"):
        return recipe.build(width=3, length=10, causal=causal).double()


def growing(recipe: DSS, *, causal: bool = True) -> DSSLayer:
    """Build a layer of DSS of which two modes grow."""
    mixer = layer(recipe, causal=causal)
    with torch.no_grad():
        mixer.A_re[:2] = torch.tensor([0.3, 40.0])
    return mixer


@pytest.fixture
def always_chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every layer in the chunked form, with chunks of four positions."""
    monkeypatch.setattr(diagonal_layer, "CHUNKED_FROM", 0)
    monkeypatch.setattr(chunked_diagonal, "CHUNK", 4)


def features(length: int) -> Tensor:
    """Draw (2, length, 3) features."""
    return torch.randn(2, length, 3, generator=stream("features", length), dtype=torch.float64)


def check_gradients(mixer: DiagonalLayer) -> None:
    """Compare every gradient with finite differences."""
    names = [name for name, _ in mixer.named_parameters()]

    def run(u: Tensor, *parameters: Tensor) -> Tensor:
        state = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(mixer, state, (u,))

    parameters = [p.detach().clone().requires_grad_() for p in mixer.parameters()]
    leaves = (features(5).requires_grad_(), *parameters)
    assert torch.autograd.gradcheck(run, leaves, fast_mode=True)


@pytest.mark.parametrize("length", [1, 9, 32])
@pytest.mark.parametrize("recipe", RECURRENT, ids=str)
def test_steps_and_prefill_continue_what_the_whole_sequence_gives(
    recipe: Recipe, length: int
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


@given(read=st.integers(0, 20), walked=st.integers(0, 40), piece=st.integers(0, 20))
@settings(max_examples=10, deadline=None)
@pytest.mark.parametrize("recipe", [S4D(state=40), DLR(state=70), DSS(state=30)], ids=str)
def test_a_state_goes_on_from_anywhere_in_a_block(
    recipe: Recipe, read: int, walked: int, piece: int
) -> None:
    mixer = layer(recipe)
    assert steps_per_block(mixer.modes) > 4
    u = features(read + walked + piece + 3)
    whole, outputs = mixer(u), []
    first, second = read + walked, read + walked + piece
    state = mixer.prefill(u[:, :read])
    for position in range(read, first):
        y, state = mixer.step(u[:, position], state)
        outputs.append(y[:, None])
    y, state = mixer.advance(u[:, first:second], state)
    outputs.append(y)
    for position in range(second, second + 3):
        y, state = mixer.step(u[:, position], state)
        outputs.append(y[:, None])
    torch.testing.assert_close(torch.cat(outputs, 1), whole[:, read:])


def test_four_thousand_steps_in_float32_keep_five_digits() -> None:
    with scope("drift"):
        single = DLR(state=64, form="phase").build(width=1, length=8, causal=True)
    double, count = copy.deepcopy(single).double(), 4_000
    u = torch.randn(1, count, 1, generator=stream("drift"))
    state = single.initial_state(1)
    for position in range(count):
        _, state = single.step(u[:, position], state)
    _, state = single.advance(u[:, :0], state)
    exact = double.prefill(u.double()).start
    assert (state.start - exact).norm() / exact.norm() < 1e-5


@pytest.mark.parametrize("chunks", [False, True])
@pytest.mark.parametrize("recipe", [S4DS[0], DFOUT, DLRS[0], DSSS[0]], ids=str)
def test_pieces_that_carry_their_state_make_up_the_whole(
    recipe: Recipe, chunks: bool, request: pytest.FixtureRequest
) -> None:
    mixer, u = layer(recipe), features(31)
    whole = mixer(u)
    if chunks:
        request.getfixturevalue("always_chunked")
    state, outputs = mixer.initial_state(2), []
    for piece in u.split((9, 1, 21), 1):
        y, state = mixer.advance(piece, state)
        outputs.append(y)
    assert mixer.path() == ("chunked" if chunks else "split+fft")
    torch.testing.assert_close(torch.cat(outputs, 1), whole)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("recipe", [S4DS[0], S4DS[-2], DFOUT, DLRS[0], *DSSS[::3]], ids=str)
def test_both_forms_are_one_map_with_one_gradient(
    recipe: Recipe, causal: bool, request: pytest.FixtureRequest
) -> None:
    mixer, u = layer(recipe, causal=causal), features(31)
    lengths = torch.tensor([31, 20])
    direction = torch.randn(2, 31, 3, generator=stream("to"), dtype=torch.float64)
    direction[1, 20:] = 0
    found = []
    for form in ("split+fft", "chunked"):
        if form == "chunked":
            request.getfixturevalue("always_chunked")
        y = mixer(u, lengths) * (direction != 0)
        assert mixer.path() == form
        found.append((y, torch.autograd.grad((y * direction).sum(), list(mixer.parameters()))))
    torch.testing.assert_close(found[1], found[0])


def test_the_form_follows_the_length_and_the_modes() -> None:
    short, long = torch.zeros(1, 8191, 1), torch.zeros(1, 8192, 1)
    for recipe, causal, u, form in (
        (S4D(), True, short, "split+fft"),
        (S4D(), True, long, "chunked"),
        (S4D(), False, long, "split+fft"),
        (DLR(), True, long, "split+fft"),
        (DLR(state=8, kernel="prod"), True, long, "split+fft"),
        (DLR(state=8), True, long, "chunked"),
    ):
        mixer = recipe.build(width=1, length=8, causal=causal)
        with torch.no_grad():
            mixer(u)
        assert mixer.path() == form


@pytest.mark.parametrize("recipe", [S4DS[0], S4DS[1], DSSS[0], DSSS[3]], ids=str)
def test_half_the_samples_at_twice_the_step_hold_half_the_kernel(recipe: Recipe) -> None:
    mixer = recipe.build(width=3, length=4000, causal=True).double()
    with torch.no_grad():
        mixer.log_dt.fill_(-9.0)
    fine = mixer.kernel(4000)
    mixer.resample(2.0)
    coarse = mixer.kernel(2000)
    assert (coarse - 2 * fine[..., ::2]).norm() / coarse.norm() < 0.01
    mixer.resample(1.0)
    torch.testing.assert_close(mixer.kernel(4000), fine)


def test_steps_follow_the_rate() -> None:
    mixer, u = layer(S4DS[0]), features(6)
    mixer.step(u[:, 0], mixer.initial_state(2))
    mixer.resample(2.0)
    state, outputs = mixer.initial_state(2), []
    for u_t in u.unbind(1):
        y, state = mixer.step(u_t, state)
        outputs.append(y)
    torch.testing.assert_close(torch.stack(outputs, 1), mixer(u))


@pytest.mark.parametrize("recipe", [S4D(state=8), DLR(state=8), DSS(state=8)], ids=str)
@pytest.mark.parametrize("causal", [True, False])
def test_float32_keeps_four_digits_at_262144_steps(recipe: Recipe, causal: bool) -> None:
    with scope("long"):
        single = recipe.build(width=1, length=262_144, causal=causal)
    double = copy.deepcopy(single).double()
    u = torch.randn(1, 262_144, 1, generator=stream("long"))
    with torch.no_grad():
        y, expected = single(u), double(u.double())
        taps, kernel = single.kernel(262_144), double.kernel(262_144)
    assert (y - expected).norm() / expected.norm() < 1e-4
    assert (taps - kernel).norm() / kernel.norm() < 1e-4


@pytest.mark.parametrize("recipe", [S4DS[0], DLRS[0], *PRODUCTS], ids=str)
def test_a_bidirectional_layer_equals_its_two_direct_sums(recipe: Recipe) -> None:
    mixer = layer(recipe, causal=False)
    u = features(13)
    kernel = mixer.kernel(20)
    assert kernel.shape == (3, 2, 20)
    torch.testing.assert_close(mixer(u), direct_convolve(u, kernel, mixer.D))


@pytest.mark.parametrize("recipe", [S4DS[0], DLRS[0], DSSS[3]], ids=str)
def test_padding_reaches_no_valid_position_from_either_side(recipe: Recipe) -> None:
    mixer = layer(recipe, causal=False)
    u = features(9)
    padded = u.clone()
    padded[1, 5:] = torch.nan
    y = mixer(padded, torch.tensor([9, 5]))
    torch.testing.assert_close(y[0], mixer(u)[0])
    torch.testing.assert_close(y[1:, :5], mixer(u[1:, :5]))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("recipe", [*S4DS[-5:], DFOUT, *DLRS[:4], *PRODUCTS, *DSSS[::3]], ids=str)
def test_every_gradient_is_the_derivative(recipe: Recipe, causal: bool) -> None:
    check_gradients(layer(recipe, causal=causal))


def test_growing_modes_have_gradients_too() -> None:
    check_gradients(growing(DSS(state=3), causal=False))


@pytest.mark.parametrize(
    ("mixer", "reason"),
    [
        (layer(S4DS[0], causal=False), "future"),
        (layer(PRODUCTS[0]), "kernel=real"),
        (layer(PRODUCTS[-1]), "kernel=real"),
        (growing(DSS(state=5)), "form=exp"),
    ],
)
def test_a_layer_without_step_mode_says_why(mixer: DiagonalLayer, reason: str) -> None:
    for ask in (
        lambda: mixer.initial_state(1),
        lambda: mixer.state_bytes(4),
        lambda: mixer.prefill(torch.zeros(1, 4, 3).double()),
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


@pytest.mark.parametrize(
    "recipe",
    [
        *(S4D(state=8, init=init) for init in (*INITS, "dfout")),
        *(S4D(state=8, real=real) for real in ("relu", "none")),
        *(DLR(state=16, kernel=kernel) for kernel in ("real", "prod")),
        *(DSS(state=8, form=form) for form in ("exp", "softmax")),
    ],
    ids=str,
)
@pytest.mark.slow
def test_a_thousand_steps_on_random_labels_stay_finite(recipe: Recipe) -> None:
    with scope("noise"):
        mixer = recipe.build(width=8, length=64, causal=False)
        network = nn.Sequential(nn.Linear(1, 8), mixer, nn.GELU(), nn.Linear(8, 2))
    groups = optimizer_groups(network, recipe, Protocol())
    optimizer = torch.optim.AdamW(groups)
    rng = stream("noise")
    for _ in range(1000):
        inputs = torch.randn(16, 64, 1, generator=rng)
        labels = torch.randint(2, (16,), generator=rng)
        loss = nn.functional.cross_entropy(network(inputs).mean(1), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert loss.isfinite()
    assert all(p.isfinite().all() for p in network.parameters())
