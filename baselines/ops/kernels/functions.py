"""What kernels compute number by number and the language has no word for.

Series, since a card's own logarithm near one keeps few digits in single precision.
"""

from typing import no_type_check

import triton
import triton.language as tl

NEAR = tl.constexpr(0.5)
"""Below which e^x - 1 would lose digits."""
TERMS = tl.constexpr(17)
"""Of a series, as many as double precision needs."""


@triton.jit
@no_type_check
def expm1(x):
    """Return e^x - 1; near zero by its series x (1 + x/2 (1 + x/3 (1 + ...)))."""
    near = tl.minimum(tl.maximum(x, -NEAR), NEAR)
    rest = near * 0 + 1
    for term in tl.static_range(TERMS - 1):
        rest = 1 + near * (1 / (TERMS - term)) * rest
    return tl.where(tl.abs(x) > NEAR, tl.exp(x) - 1, near * rest)


@triton.jit
@no_type_check
def log1p(x):
    """Return log(1 + x) for x from 0 to 1, by the series 2 (s + s^3/3 + ...) of s = x / (2 + x)."""
    s = x / (2 + x)
    square = s * s
    rest = s * 0
    for term in tl.static_range(TERMS):
        rest = 1 / (2 * (TERMS - term) - 1) + square * rest
    return 2 * s * rest


@triton.jit
@no_type_check
def sigmoid(x):
    """Return 1 / (1 + e^-x); no exponential overflows."""
    faint = tl.exp(-tl.abs(x))
    return tl.where(x < 0, faint, 1.0) / (1 + faint)


@triton.jit
@no_type_check
def tanh(x):
    """Return the hyperbolic tangent; near zero it keeps its digits."""
    fall = expm1(-2 * tl.abs(x))
    size = -fall / (2 + fall)
    return tl.where(x < 0, -size, size)
