"""A level of dilated convolutions: the ReLU of a map of taps that lie apart, beside what it maps.

Bai, Kolter, Koltun 2018, "An Empirical Evaluation of Generic Convolutional and Recurrent Networks
for Sequence Modeling". Two forms: kernels in Triton around one product, and a product a tap.

Axes: b batch, l length, d width, k taps, m positions with those around.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.forms import Form, chosen, triton


def dilated_level(
    u: Float[Tensor, "b l d"],
    weight: Float[Tensor, "d kd"],
    bias: Float[Tensor, " d"],
    dilation: int,
    before: int,
) -> Float[Tensor, "b l d"]:
    """Return u and its branch; there are zeros around a sequence.

    Args:
        u: Features.
        weight: The matrix of each tap, side by side.
        bias: Of the map.
        dilation: Positions from one tap to the next.
        before: How far the first tap looks back.
    """
    y: Tensor = chosen(FORMS, u).run(u, weight, bias, dilation, before)
    return y


def torch_dilated_level(
    u: Float[Tensor, "b l d"],
    weight: Float[Tensor, "d kd"],
    bias: Float[Tensor, " d"],
    dilation: int,
    before: int,
) -> Float[Tensor, "b l d"]:
    """Return the same, a product a tap."""
    around = (weight.shape[1] // u.shape[2] - 1) * dilation
    inputs = F.pad(u, (0, 0, before, around - before))
    return u + dilated_branch(inputs, weight, bias, dilation)


def dilated_branch(
    inputs: Float[Tensor, "b m d"],
    weight: Float[Tensor, "d kd"],
    bias: Float[Tensor, " d"],
    dilation: int,
) -> Float[Tensor, "b l d"]:
    """Return the ReLU of a convolution of inputs with those around."""
    kernel = weight.shape[1] // inputs.shape[2]
    length = inputs.shape[1] - (kernel - 1) * dilation
    taps = (inputs[:, dilation * tap :][:, :length] for tap in range(kernel))
    # The matrix of each tap, kept side by side so that a step needs one product.
    maps = weight.chunk(kernel, 1)
    first, *others = (F.linear(x, W) for x, W in zip(taps, maps, strict=True))
    return F.relu(sum(others, first) + bias)


FORMS = triton("dilated_level"), Form("torch", torch_dilated_level)
