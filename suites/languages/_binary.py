"""Binary numbers as strings, and their sums, products and roots as Python's integers have them.

Axes: b batch, n digits, m digits of the answer.
"""

from collections.abc import Callable
from itertools import takewhile

import torch
from jaxtyping import Int
from torch import Tensor

SIGN = 2
"""Stands between two numbers."""


def value(digits: list[int]) -> int:
    """Return a number whose lowest digit comes first."""
    return sum(digit << place for place, digit in enumerate(digits))


def digits(number: int, count: int) -> list[int]:
    """Return the lowest digits of a number, the lowest first."""
    return [number >> place & 1 for place in range(count)]


def joined(string: list[int], count: int, operation: Callable[[int, int], int]) -> list[int]:
    """Do arithmetic with the two numbers of a string, and return so many digits."""
    left = list(takewhile(SIGN.__ne__, string))
    return digits(operation(value(left), value(string[len(left) + 1 :])), count)


def carried(columns: Int[Tensor, "b m"]) -> Int[Tensor, "b m"]:
    """Turn sums of columns into digits, from the lowest column up."""
    carry, found = torch.zeros_like(columns[:, 0]), []
    for column in columns.unbind(1):
        carry = carry + column
        found.append(carry % 2)
        carry = carry // 2
    return torch.stack(found, 1)
