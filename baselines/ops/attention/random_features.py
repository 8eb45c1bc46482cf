"""Positive random features of attention, each vector's divided by its largest.

Choromanski et al. 2021, "Rethinking Attention with Performers": exp(w.x - |x|^2/2) for directions
w, of x that are divided by e^(1/4). Two forms: a kernel in Triton, and torch.

Axes: f random features, e features of a head.
"""

from jaxtyping import Float
from torch import Tensor

from baselines.ops.forms import Form, chosen, triton

Mapped = tuple[Float[Tensor, "*b f"], Float[Tensor, "*b"]]


def random_features(
    x: Float[Tensor, "*b e"], directions: Float[Tensor, "f e"], *, keys: bool
) -> Mapped:
    """Return features, and logarithms of the largest of each vector, which carry no gradient.

    Args:
        x: Queries or keys.
        directions: Are fixed.
        keys: Whether |x|^2/2 counts, in logarithms and gradients; of queries it cancels.
    """
    mapped: Mapped = chosen(FORMS, x).run(x, directions, keys=keys)
    return mapped


def torch_random_features(
    x: Float[Tensor, "*b e"], directions: Float[Tensor, "f e"], *, keys: bool
) -> Mapped:
    """Return the same, an operator of torch after the other."""
    x = x / x.shape[-1] ** 0.25
    exponent = x @ directions.mT
    if keys:
        exponent = exponent - x.square().sum(-1, keepdim=True) / 2
    largest = exponent.detach().amax(-1)
    return (exponent - largest[..., None]).exp(), largest


FORMS = triton("random_features"), Form("torch", torch_random_features)
