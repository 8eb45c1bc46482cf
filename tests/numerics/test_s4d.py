"""S4D's layer is the recurrence of its papers, over all conjugate states."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from baselines.ops.layers.diagonal_layer import DiagonalLayer
from baselines.s4d import S4D
from harness.core.seeding import scope, stream

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
    S4D(state=6, b_clip=0.5),
]
DFOUT = S4D(state=6, init="dfout")


def layer(recipe: S4D, *, causal: bool = True) -> DiagonalLayer:
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
    decay = {"exp": mixer.A_re.exp(), "relu": mixer.A_re + 1e-4, "none": mixer.A_re}[recipe.real]
    A, B, C = (
        torch.cat([x, x.conj()], -1)
        for x in (
            torch.complex(-decay, mixer.A_im).expand(3, -1),
            torch.view_as_complex(mixer.B).expand(3, -1),
            torch.view_as_complex(mixer.C)[:, 0],
        )
    )
    dt = mixer.log_dt.exp()[:, None]
    if recipe.bandlimit:
        loud = dt * A.imag.abs() / (2 * math.pi) < recipe.bandlimit / 2
        assert loud.any()
        assert not loud.all()
        C = C * loud
    if recipe.disc == "zoh":
        Abar, Bbar = (dt * A).exp(), ((dt * A).exp() - 1) / A * B
    else:
        Abar, Bbar = (1 + dt / 2 * A) / (1 - dt / 2 * A), dt * B / (1 - dt / 2 * A)
    x, ys = torch.zeros(2, 3, 6, dtype=torch.complex128), []
    for u_t in u.unbind(1):
        x = Abar * x + Bbar * u_t[..., None]
        ys.append((C * x).sum(-1).real + mixer.D * u_t)
    torch.testing.assert_close(mixer(u), torch.stack(ys, 1))


def test_dfout_equals_the_papers_recurrence_on_its_circle() -> None:
    mixer = layer(DFOUT)
    u = features(23)
    n, h = torch.arange(4.0, dtype=torch.float64), torch.arange(3.0, dtype=torch.float64)[:, None]
    phase = 2 * math.pi * n / 6 + 2 * math.pi * h / (6 * 3)
    torch.testing.assert_close(mixer.A_im.detach().float(), phase.float())
    xi = mixer.log_dt.exp()[:, None]
    pole = torch.polar((-xi / 2).exp().expand(3, 4), mixer.A_im)
    drive = xi * (pole - 1) / torch.complex((-xi / 2).expand(3, 4), mixer.A_im)
    C, x, ys = torch.view_as_complex(mixer.C)[:, 0], torch.zeros(2, 3, 4) + 0j, []
    for u_t in u.unbind(1):
        x = pole * x + drive * u_t[..., None]
        ys.append(2 * (C * x).sum(-1).real + mixer.D * u_t)
    torch.testing.assert_close(mixer(u), torch.stack(ys, 1))


@pytest.mark.parametrize("rate", [0.25, 4.0])
def test_the_modes_that_training_silenced_are_silent_at_every_rate(rate: float) -> None:
    mixer = layer(S4D(state=6, bandlimit=0.01, dt_min=0.01))
    silent = mixer.system()[0] == 0
    assert silent.any()
    assert not silent.all()
    mixer.resample(rate)
    assert torch.equal(mixer.system()[0] == 0, silent)


def test_dfout_turns_and_fades_twice_as_far_at_twice_the_rate() -> None:
    mixer = layer(DFOUT)
    _, fine = mixer.system()
    mixer.resample(2.0)
    torch.testing.assert_close(mixer.system()[1], fine.square())
