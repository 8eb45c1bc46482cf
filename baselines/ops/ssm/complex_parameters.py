"""Complex parameters are held as pairs of real ones, which optimisers and half precision know."""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from baselines.ops.forms import Form, chosen, triton


def complex_type(real: Float[Tensor, "..."]) -> torch.dtype:
    """Return the complex type in which a parameter's states are held, complex64 at least."""
    return torch.promote_types(real.dtype, torch.complex64)


def as_complex(pairs: Float[Tensor, "*axes 2"]) -> Complex[Tensor, "*axes"]:
    """Read a parameter's last axis as real and imaginary part."""
    return torch.view_as_complex(pairs.to(complex_type(pairs).to_real()))


def scaled(x: Complex[Tensor, "..."], factor: Complex[Tensor, "..."]) -> Complex[Tensor, "..."]:
    """Return x times factors of any precision, rounded to that of x first."""
    product: Tensor = chosen(FORMS, x).run(x, factor)
    return product


def torch_scaled(
    x: Complex[Tensor, "..."], factor: Complex[Tensor, "..."]
) -> Complex[Tensor, "..."]:
    """Return the same in torch."""
    return x * factor.to(x.dtype)


FORMS = triton("scaled"), Form("torch", torch_scaled)
