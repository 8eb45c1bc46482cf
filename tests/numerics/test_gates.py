"""Gates made block by block are the formulas, in whatever order their arguments lie in memory."""

import pytest
import torch
from torch.nn import functional as F

from baselines.ops.gates import gated, softplus
from harness.core.seeding import stream


@pytest.mark.parametrize("turned", [False, True])
def test_a_gate_and_its_gradients_are_those_of_the_formula(turned: bool) -> None:
    rng = stream("gates")
    leaves = [torch.randn(2, 5, 7, generator=rng, dtype=torch.float64) for _ in range(2)]
    leaves = [(x.mT.contiguous().mT if turned else x).requires_grad_() for x in leaves]
    y, z = leaves
    weight = torch.randn(2, 5, 7, generator=rng, dtype=torch.float64)
    weight = weight.mT.contiguous().mT if turned else weight

    for made, wanted in ((gated(y, z), y * F.silu(z)), (softplus(z), F.softplus(z, threshold=40))):
        torch.testing.assert_close(made, wanted)
        pairs = [
            torch.autograd.grad(x, leaves, weight, retain_graph=True, allow_unused=True)
            for x in (made, wanted)
        ]
        torch.testing.assert_close(*pairs)
