"""S4: convolution, recurrence and dense matrices are one map."""

from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.ops.convolution.fft_convolution import direct_convolve
from baselines.ops.ssm import dplr, krylov
from baselines.ops.ssm.dplr_steps import Mode
from baselines.s4 import S4, S4Layer
from baselines.s4d import S4D
from harness.api import Mixer, UnsupportedError
from harness.core.seeding import scope, stream

INITS = ("legs", "legt", "fout", "legs-fout", "lagt")
every_init = pytest.mark.parametrize("init", INITS)
STEPPED = [
    *(S4(state=4, init=init, mode=mode) for init in INITS for mode in get_args(Mode)),
    *(S4(state=4, b_clip=0.5, mode=mode) for mode in get_args(Mode)),
]


def layer(recipe: S4 | S4D, *, causal: bool = True, width: int = 4) -> Mixer:
    """Build a float64 layer."""
    with scope("layer"):
        return recipe.build(width=width, length=10, causal=causal).double()


def features(length: int, width: int = 4) -> Tensor:
    """Draw (2, length, width) features."""
    rng = stream("features", length)
    return torch.randn(2, length, width, generator=rng, dtype=torch.float64)


def textbook(mixer: S4Layer, u: Tensor, rate: float = 1) -> Tensor:
    """Walk the discretised system over all conjugate states, as section 4 of the paper has it."""
    sets = len(mixer.D) // len(mixer.A_re)
    pole, P, B, C = (
        torch.cat([x, x.conj()], -1)
        for x in (
            torch.complex(-mixer.A_re.exp(), mixer.A_im),
            *map(torch.view_as_complex, (mixer.P, mixer.B, mixer.C[:, 0])),
        )
    )
    ys = []
    for channel in range(len(mixer.D)):
        own = channel % (len(mixer.D) // sets)
        A = torch.diag(pole[own]) - P[own].mT @ P[own].conj()
        half = rate * mixer.log_dt[channel].exp() / 2 * A
        one = torch.eye(len(A))
        Abar = torch.linalg.inv(one - half) @ (one + half)
        Bbar = torch.linalg.inv(one - half) @ B[own] * rate * mixer.log_dt[channel].exp()
        x, y = torch.zeros(2, len(A), dtype=A.dtype), []
        for now in u[..., channel].unbind(1):
            x = x @ Abar.mT + now[:, None] * Bbar
            y.append((x @ C[channel]).real + mixer.D[channel] * now)
        ys.append(torch.stack(y, 1))
    return torch.stack(ys, 2)


@every_init
@pytest.mark.parametrize("sets", [0, 2])
def test_s4_equals_the_papers_recurrence(init: str, sets: int) -> None:
    mixer = layer(S4(state=6, init=init, n_ssm=sets, b_clip=0.0 if init == "fout" else 0.5))
    u = features(19)
    torch.testing.assert_close(mixer(u), textbook(mixer, u))


@every_init
def test_the_layers_kernel_is_made_by_cauchy_sums_and_by_dense_powers_too(init: str) -> None:
    mixer = layer(S4(state=6, init=init), causal=False)
    P, B, C = (torch.view_as_complex(part.detach()) for part in (mixer.P, mixer.B, mixer.C))
    pole = torch.complex(-mixer.A_re.detach().exp(), mixer.A_im.detach())
    dt = mixer.log_dt.detach().exp()[:, None]
    taps = mixer.kernel(33)
    assert taps.shape == (4, 2, 33)
    torch.testing.assert_close(taps, dplr.cauchy_kernel(dplr.Continuous(pole, P, B), C, dt, 33))
    A, Bbar = dplr.dense(mixer.system())
    torch.testing.assert_close(taps, krylov.naive_kernel(A, Bbar, dplr.reading(C), 33))


@every_init
@given(length=st.integers(1, 40), more=st.integers(1, 9))
def test_the_start_of_a_longer_sequence_comes_out_the_same(
    init: str, length: int, more: int
) -> None:
    mixer = layer(S4(state=6, init=init))
    u = features(length + more)
    torch.testing.assert_close(mixer(u[:, :length]), mixer(u)[:, :length])


@pytest.mark.parametrize("recipe", STEPPED, ids=str)
@pytest.mark.parametrize("length", [1, 9, 32])
def test_steps_and_pieces_continue_what_the_whole_sequence_gives(recipe: S4, length: int) -> None:
    mixer = layer(recipe)
    u = features(length + 7)
    whole = mixer(u)
    first, state = mixer.advance(u[:, :length], mixer.initial_state(2))
    walked = Mixer.prefill(mixer, u[:, :length])
    stepped, after = Mixer.advance(mixer, u[:, :length], mixer.initial_state(2))
    torch.testing.assert_close(first, stepped)
    torch.testing.assert_close(first, whole[:, :length])
    for other in (walked, after):
        other_second, _ = mixer.advance(u[:, length : length + 3], other)
        torch.testing.assert_close(other_second, whole[:, length : length + 3])
    second, state = mixer.advance(u[:, length : length + 3], state)
    torch.testing.assert_close(second, whole[:, length : length + 3])
    for position in range(length + 3, length + 7):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])


@pytest.mark.parametrize("recipe", [S4(mode="diagonal"), S4(mode="diagonal", init="lagt")], ids=str)
def test_nearly_dependent_eigenvectors_make_no_diagonal_steps_in_float32(recipe: S4) -> None:
    with pytest.raises(UnsupportedError, match="mode=linear"):
        layer(recipe).float().initial_state(1)


def test_diagonal_steps_of_fout_are_exact_in_float32() -> None:
    mixer, u = layer(S4(mode="diagonal", init="fout")).float(), features(40).float()
    torch.testing.assert_close(Mixer.advance(mixer, u, mixer.initial_state(2))[0], mixer(u))


def test_a_bidirectional_layer_has_no_steps() -> None:
    with pytest.raises(UnsupportedError, match="future"):
        layer(S4(state=4), causal=False).initial_state(1)


def test_without_low_rank_s4_is_s4d_of_the_bilinear_rule() -> None:
    s4, s4d = layer(S4(state=6)), layer(S4D(state=6, disc="bilinear"))
    same = {name: p for name, p in s4d.named_parameters() if name in dict(s4.named_parameters())}
    assert len(same) >= 4
    s4.load_state_dict({**s4.state_dict(), **same})
    s4d.load_state_dict({**s4d.state_dict(), **same})
    u = features(21)
    assert not torch.allclose(s4(u), s4d(u))
    with torch.no_grad():
        s4.P.zero_()
    torch.testing.assert_close(s4(u), s4d(u))


@pytest.mark.parametrize("rate", [0.5, 2.0])
@pytest.mark.parametrize("mode", get_args(Mode))
def test_another_sampling_rate_scales_every_step_in_every_form(mode: Mode, rate: float) -> None:
    mixer = layer(S4(state=4, mode=mode))
    u = features(11)
    mixer.step(u[:, 0], mixer.initial_state(2))
    mixer.resample(rate)
    whole = mixer(u)
    torch.testing.assert_close(whole, textbook(mixer, u, rate))
    first, state = mixer.advance(u[:, :5], mixer.initial_state(2))
    torch.testing.assert_close(first, whole[:, :5])
    for position in range(5, 11):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])


def test_half_the_samples_at_twice_the_rate_give_nearly_the_same() -> None:
    mixer = layer(S4(state=16, dt_max=1e-2))
    with torch.no_grad():
        mixer.D.zero_()
    time = torch.arange(2000, dtype=torch.float64)
    u = torch.sin(time / 50)[None, :, None].expand(1, -1, 4)
    fine = mixer(u)[:, ::2]
    mixer.resample(2.0)
    coarse = mixer(u[:, ::2])
    assert (coarse - fine).norm() / fine.norm() < 0.05
    mixer.resample(1.0)
    assert (mixer(u[:, ::2]) - fine).norm() / fine.norm() > 0.2


def test_a_bidirectional_layer_equals_its_two_direct_sums() -> None:
    mixer = layer(S4(state=6), causal=False)
    u = features(13)
    torch.testing.assert_close(mixer(u), direct_convolve(u, mixer.kernel(20), mixer.D))


def test_padding_reaches_no_valid_position_from_either_side() -> None:
    mixer = layer(S4(state=6), causal=False)
    u = features(9)
    padded = u.clone()
    padded[1, 5:] = torch.nan
    y = mixer(padded, torch.tensor([9, 5]))
    torch.testing.assert_close(y[0], mixer(u)[0])
    torch.testing.assert_close(y[1:, :5], mixer(u[1:, :5]))


@every_init
def test_every_gradient_is_the_derivative(init: str) -> None:
    mixer = layer(S4(state=4, init=init, n_ssm=2, dt_min=0.01), causal=False)
    names = [name for name, _ in mixer.named_parameters()]

    def run(u: Tensor, *parameters: Tensor) -> Tensor:
        state = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(mixer, state, (u,))

    parameters = [p.detach().clone().requires_grad_() for p in mixer.parameters()]
    assert torch.autograd.gradcheck(run, (features(5).requires_grad_(), *parameters))


def test_steps_follow_a_parameter_that_changed_in_place() -> None:
    mixer = layer(S4(state=4))
    u = features(1)
    mixer.step(u[:, 0], mixer.initial_state(2))
    with torch.no_grad():
        mixer.C.mul_(2)
    torch.testing.assert_close(mixer.step(u[:, 0], mixer.initial_state(2))[0], mixer(u)[:, 0])
