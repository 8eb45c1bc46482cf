"""Random initial values that several models draw, from torch's global generator."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def log_uniform(low: float, high: float, count: int) -> Float[Tensor, " {count}"]:
    """Return logarithms of numbers drawn uniformly in log between two bounds."""
    return math.log(low) + torch.rand(count) * (math.log(high) - math.log(low))
