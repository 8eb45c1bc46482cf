"""What kernels of `matrix_scan` make of a block: its tiles, products of gates, matrix of pairs.

A block has a row for each of its positions and those from `low` up to `high`; rows beyond add
nothing and decay nothing. Axes of tiles: t and s rows (s the earlier one), k and v features.
"""

from typing import no_type_check

import triton
import triton.language as tl

NONE, HEAD, FEATURE = (tl.constexpr(kind) for kind in range(3))
"""What gates are of: there are none, logarithms of those of heads, those of key features."""


@triton.jit
@no_type_check
def tile(
    x, first, low, high, x_row, column, columns, other, ROWS: tl.constexpr, SUMS: tl.constexpr
):  # fmt: skip
    """Read features of rows."""
    position = first + tl.arange(0, ROWS)
    inside = ((position >= low) & (position < high))[:, None] & (column < columns)[None, :]
    at = x + position.to(tl.int64)[:, None] * x_row + column[None, :]
    return tl.load(at, mask=inside, other=other).to(SUMS)


@triton.jit
@no_type_check
def lane(x, first, low, high, x_row, ROWS: tl.constexpr, SUMS: tl.constexpr):
    """Read a number of each row."""
    position = first + tl.arange(0, ROWS)
    inside = (position >= low) & (position < high)
    return tl.load(x + position.to(tl.int64) * x_row, mask=inside, other=0.0).to(SUMS)


@triton.jit
@no_type_check
def one(x, position, high, x_row, column, columns, other, SUMS: tl.constexpr):
    """Read features of one row."""
    inside = column < tl.where(position < high, columns, 0)
    return tl.load(x + position.to(tl.int64) * x_row + column, mask=inside, other=other).to(SUMS)


@triton.jit
@no_type_check
def gates_of(
    gates, first, low, high, g_row, key, keys,
    GATES: tl.constexpr, ROWS: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """Read gates, of (t, k), or of (t, 1) if features share them."""
    if GATES == FEATURE:
        found = tile(gates, first, low, high, g_row, key, keys, 1.0, ROWS, SUMS)
    elif GATES == HEAD:
        found = tl.exp(lane(gates, first, low, high, g_row, ROWS, SUMS))[:, None]
    else:
        found = tl.full((ROWS, 1), 1, SUMS)
    return found


@triton.jit
@no_type_check
def since(
    gates, first, high, g_row, key, keys,
    GATES: tl.constexpr, ROWS: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """Return the products of the gates of a block up to each row's own."""
    return tl.cumprod(gates_of(gates, first, first, high, g_row, key, keys, GATES, ROWS, SUMS), 0)


@triton.jit
@no_type_check
def until(
    gates, first, high, g_row, key, keys,
    GATES: tl.constexpr, ROWS: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """Return the products of the gates of a block after each row."""
    later = gates_of(gates, first + 1, first, high, g_row, key, keys, GATES, ROWS, SUMS)
    inside = tl.arange(0, ROWS)[:, None] < ROWS - 1
    return tl.cumprod(tl.where(inside, later, 1.0), 0, reverse=True)


@triton.jit
@no_type_check
def weighted(k, weights, first, high, w_row, ROWS: tl.constexpr, SUMS: tl.constexpr):
    """Return keys times the weights of their values, if there are any."""
    if weights is not None:
        k *= lane(weights, first, first, high, w_row, ROWS, SUMS)[:, None]
    return k


@triton.jit
@no_type_check
def between(gates, first, high, g_row, GATES: tl.constexpr, ROWS: tl.constexpr, SUMS: tl.constexpr):
    """Return the products of the gates of a head after s up to t, and zero where s is later."""
    t, s = tl.arange(0, ROWS)[:, None], tl.arange(0, ROWS)[None, :]
    gate = gates_of(gates, first, first, high, g_row, s, ROWS, GATES, ROWS, SUMS)
    product = tl.cumprod(tl.where(t > s, gate, 1.0), 0)
    return tl.where(t >= s, product, 0.0)


@triton.jit
@no_type_check
def pairs(
    k, q_tile, k_tile, gates, first, high, k_row, g_row, key, keys,
    GATES: tl.constexpr, PRECISION: tl.constexpr, ROWS: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """Return the matrix from values to outputs of a block, and `since` of it."""
    if GATES == FEATURE:
        # From the last column to the first, rows below it having met the gates since.
        t = tl.arange(0, ROWS)
        product = tl.full(q_tile.shape, 1, SUMS)
        matrix = tl.zeros((ROWS, ROWS), SUMS)
        for step in range(ROWS):
            s = ROWS - 1 - step
            column = one(k, first + s, high, k_row, key, keys, 0.0, SUMS)
            gate = one(gates, first + s, high, g_row, key, keys, 1.0, SUMS)
            met = tl.sum(q_tile * product * column[None, :], 1)
            matrix = tl.where((t[None, :] == s) & (t[:, None] >= s), met[:, None], matrix)
            product = tl.where(t[:, None] >= s, product * gate[None, :], product)
    else:
        decays = between(gates, first, high, g_row, GATES, ROWS, SUMS)
        matrix = dot(q_tile, tl.trans(k_tile), PRECISION) * decays
        product = since(gates, first, high, g_row, key, keys, GATES, ROWS, SUMS)
    return matrix, product


@triton.jit
@no_type_check
def last(x, ROWS: tl.constexpr):
    """Return the last row of a tile."""
    return pick(x, ROWS - 1, ROWS)


@triton.jit
@no_type_check
def pick(x, row, ROWS: tl.constexpr):
    """Return a row of a tile."""
    return tl.sum(tl.where(tl.arange(0, ROWS)[:, None] == row, x, 0.0), 0)


@triton.jit
@no_type_check
def dot(a, b, PRECISION: tl.constexpr):
    """Multiply matrices, and sum in their precision."""
    return tl.dot(a, b, input_precision=PRECISION, out_dtype=a.dtype)
