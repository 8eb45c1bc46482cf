"""The one table of how closely two derivations of the same numbers must agree.

float64 at torch's defaults proves the algebra; a working precision then gets torch's default for
it. What is looser has its reason and its measured error beside it.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from harness.testing.check import CheckError, DisagreementError


class Tolerance(NamedTuple):
    """How far a value may lie from what is expected: `atol + rtol * |expected|`."""

    rtol: float
    atol: float


TOLERANCE: Mapping[torch.dtype, Tolerance] = {
    torch.float64: Tolerance(1e-7, 1e-7),
    torch.float32: Tolerance(1.3e-6, 1e-5),
}

HALF_PRECISION = 0.05
"""The largest error of a bfloat16 output, relative to its norm: eight bits of mantissa round by
0.4 %, and a chain of products and gates adds up several such errors."""

CHANCE = 0.01
"""How far a stated chance may lie from what the best constant scores on the test split, beside
three standard errors of a proportion: chance is written by hand to two digits."""

PERFECT = 1e-6
"""How far an oracle may stay below a perfect score: targets are rounded to float32, which costs an
R2 of the order of 1e-14."""


def agree(actual: Tensor, expected: Tensor, claim: str) -> None:
    """Check that two tensors have one shape and one precision and agree within the table.

    Args:
        actual: What is checked; NaN agrees with nothing.
        expected: What it must be.
        claim: What does not hold if they differ, as the beginning of a sentence.

    Raises:
        CheckError: They have not one shape and precision.
        DisagreementError: They differ; the message says where and by how much.
    """
    for what in ("shape", "dtype"):
        one, other = getattr(actual, what), getattr(expected, what)
        if one != other:
            raise CheckError(f"{claim}: the {what} is {_plain(one)}, not {_plain(other)}.")
    close = torch.isclose(actual, expected, *TOLERANCE[expected.dtype])
    if not close.all():
        error = (actual - expected).abs().nan_to_num(nan=torch.inf)
        worst = tuple(int(i) for i in torch.unravel_index(error.argmax(), error.shape))
        raise DisagreementError(
            f"{claim}: at {worst} it is {actual[worst].item():.6g}, not "
            f"{expected[worst].item():.6g}, and {int((~close).sum())} of {close.numel()} values "
            f"are too far off."
        )


def near_in_half_precision(output: Tensor, exact: Tensor, what: str) -> None:
    """Check that something computed under bfloat16 autocast lies near its float32 self."""
    error, size = (output.float() - exact).norm(), exact.norm()
    # Not their quotient: a layer whose last map starts at zero gives zeros in both.
    if not error <= HALF_PRECISION * size:
        off = f"{error / size:.1%} of its norm"
        raise CheckError(f"Under bfloat16 autocast the {what} is off by {off}.")


def _plain(value: object) -> str:
    return str(tuple(value) if isinstance(value, torch.Size) else value)
