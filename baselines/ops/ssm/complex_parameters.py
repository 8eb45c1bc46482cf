"""Complex parameters are held as pairs of real ones, which optimisers and half precision know."""

import torch
from jaxtyping import Complex, Float
from torch import Tensor


def complex_type(real: Float[Tensor, "..."]) -> torch.dtype:
    """Return the complex type in which a parameter's states are held, complex64 at least."""
    return torch.promote_types(real.dtype, torch.complex64)


def as_complex(pairs: Float[Tensor, "*axes 2"]) -> Complex[Tensor, "*axes"]:
    """Read a parameter's last axis as real and imaginary part."""
    return torch.view_as_complex(pairs.to(complex_type(pairs).to_real()))
