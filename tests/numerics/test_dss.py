"""DSS's layer has the kernel of its paper, with modes that decay and modes that grow."""

import pytest
import torch

from baselines.dss import DSS, DSSLayer
from harness.core.seeding import scope


def layer(recipe: DSS, *, causal: bool = True) -> DSSLayer:
    """Build a float64 layer of width 3."""
    with scope("layer"):
        return recipe.build(width=3, length=10, causal=causal).double()


def growing(recipe: DSS, *, causal: bool = True) -> DSSLayer:
    """Build a layer of DSS of which two modes grow."""
    mixer = layer(recipe, causal=causal)
    with torch.no_grad():
        mixer.A_re[:2] = torch.tensor([0.3, 40.0])
    return mixer


@pytest.mark.parametrize("length", [10, 4, 17])
@pytest.mark.parametrize("form", ["exp", "softmax"])
def test_dss_equals_the_papers_kernel(form: str, length: int) -> None:
    mixer = layer(DSS(state=5, form=form, init="lin", dt_min=0.3, dt_max=0.5))
    real = -mixer.A_re.exp() if form == "exp" else mixer.A_re
    lam = torch.complex(real, mixer.A_im)
    z = mixer.log_dt.exp()[:, None, None] * lam[:, None] * torch.arange(length).double()
    w = torch.view_as_complex(mixer.W)[:, 0]
    if form == "exp":
        step = (mixer.log_dt.exp()[:, None] * lam).exp()
        K = (w * (step - 1) / lam)[:, None] @ z.exp()
    else:
        built = mixer.log_dt.exp()[:, None, None] * lam[:, None] * torch.arange(10).double()
        K = (w / lam)[:, None] @ (z.exp() / built.exp().sum(-1, keepdim=True))
    torch.testing.assert_close(mixer.kernel(length), K.real, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("length", [10, 4, 17])
def test_growing_modes_of_dss_have_the_softmax_as_written(length: int) -> None:
    recipe = DSS(state=5, dt_min=0.3, dt_max=0.5)
    mixer = growing(recipe)
    lam = torch.complex(mixer.A_re, mixer.A_im)
    z = mixer.log_dt.exp()[:, None, None] * lam[:, None] * torch.arange(10).double()
    w = (torch.view_as_complex(mixer.W)[:, 0] / lam)[:, None]
    largest = z.real.amax(-1, keepdim=True)
    softmax = (z - largest).exp() / (z - largest).exp().sum(-1, keepdim=True)
    K = (w[..., :2] @ softmax[:, :2]).real
    decaying = layer(recipe)
    with torch.no_grad():
        decaying.W[:, :, :2] = 0
    expected = decaying.kernel(length)
    taps = min(length, 10)
    expected[..., :taps] += K[..., :taps]
    torch.testing.assert_close(mixer.kernel(length), expected, rtol=1e-5, atol=1e-6)
