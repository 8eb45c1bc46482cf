"""Kernels of Mamba-2's authors are asked for what ours compute, and give it back as ours.

No GPU runs them here. A stand-in has the signature and the axes of the function in mamba_ssm 2.3.2,
and computes them position by position.
"""

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.forms import chosen
from baselines.ops.kernels import installed
from baselines.ops.scans import by_mamba_ssm, ssd
from harness.core.seeding import stream
from harness.plugins.loading import load_model
from tests.numerics.interpreted import with_gradients
from tests.numerics.test_by_fla import OnCuda

SIGNATURE = (
    "x dt A B C chunk_size D z dt_bias initial_states seq_idx cu_seqlens dt_softplus dt_limit "
    "return_final_states return_varlen_states"
)


def mamba_chunk_scan_combined(*given: Any, **named: Any) -> Any:
    """Take x (b, l, h, p), dt (b, l, h), A (h), B and C (b, l, g, n) and states (b, h, p, n)."""
    asked = dict(zip(SIGNATURE.split(), given, strict=False)) | named
    assert asked.keys() <= set(SIGNATURE.split())
    x, dt, A, B, C, states = (asked[n] for n in ("x", "dt", "A", "B", "C", "initial_states"))
    heads, outputs = x.shape[2], []
    B, C = (part.repeat_interleave(heads // part.shape[2], 2) for part in (B, C))
    for now in range(x.shape[1]):
        decay = (dt[:, now] * A).exp()[..., None, None]
        states = decay * states + torch.einsum("bh,bhp,bhn->bhpn", dt[:, now], x[:, now], B[:, now])
        outputs.append(torch.einsum("bhpn,bhn->bhp", states, C[:, now]))
    y = torch.stack(outputs, 1)
    return (y, states) if asked["return_final_states"] else y


@pytest.mark.parametrize("groups", [1, 2])
def test_state_space_duality_is_theirs(groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("mamba_ssm.ops.triton.ssd_combined")
    module.mamba_chunk_scan_combined = mamba_chunk_scan_combined  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)

    def of(form: Any) -> Any:
        return lambda x, dt, rates, *rest: form(x, F.softplus(dt), -rates.exp(), *rest)

    def recurrent(x: Tensor, dt: Tensor, rates: Tensor, *rest: Tensor) -> Any:
        return ssd.recurrent_ssd(x, dt, dt * rates, *rest)

    rng = stream("by mamba_ssm", groups)
    shapes = (2, 6, 4, 3), (2, 6, 4), (4,), (2, 6, groups, 5), (2, 6, groups, 5), (2, 4, 5, 3)
    leaves = [
        torch.randn(shape, generator=rng, dtype=torch.float64).requires_grad_() for shape in shapes
    ]
    found = with_gradients(of(by_mamba_ssm.rated_ssd), leaves)
    torch.testing.assert_close(found, with_gradients(of(recurrent), leaves))


@pytest.mark.parametrize(
    ("dtype", "form"),
    [(torch.bfloat16, "mamba_ssm"), (torch.float32, "triton"), (torch.float64, "triton")],
)
def test_they_run_where_products_may_be_rounded(
    dtype: torch.dtype, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(installed.SWITCH, "triton,fla,mamba_ssm")
    monkeypatch.setattr(installed, "is_installed", lambda name: True)
    x = torch.zeros(1, dtype=dtype).as_subclass(OnCuda)
    assert chosen(ssd.RATED, x, widest=8).name == form


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["mamba", "mamba2"])
def test_a_layer_by_their_kernels_gives_what_it_gives_by_ours(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mamba_ssm")
    layer = load_model(name).build(width=64, length=200, causal=True).cuda()
    u = torch.randn(2, 200, 64, generator=stream("u")).cuda()
    found = {}
    for asked in ("triton", "mamba_ssm,triton"):
        monkeypatch.setenv(installed.SWITCH, asked)
        with torch.autocast("cuda", torch.bfloat16):
            leaves = [u.clone().requires_grad_(), *layer.parameters()]
            y = layer(leaves[0])
            found[layer.path()] = [y, *torch.autograd.grad(y.float().square().mean(), leaves)]
    assert set(found) == {"triton", "mamba_ssm"}
    for mine, theirs in zip(*found.values(), strict=True):
        assert (mine - theirs).norm() <= 3e-2 * mine.norm()
