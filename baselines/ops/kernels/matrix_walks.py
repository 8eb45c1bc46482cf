"""Walks of `matrix_scan` through chunks, and from chunk to chunk.

Of the adjoint, queries and gradients of outputs stand where keys and values do, and a walk goes
from the last block to the first.
"""

from typing import no_type_check

import triton
import triton.language as tl

from baselines.ops.kernels.matrix_blocks import (
    FEATURE,
    NONE,
    dot,
    last,
    pairs,
    since,
    tile,
    until,
    weighted,
)


@triton.jit
@no_type_check
def write_ends(
    k, v, gates, weights,
    k_batch, k_row, k_head, v_batch, v_row, v_head, g_batch, g_row, g_head, w_batch, w_row, w_head,
    length, chunk, keys, values, heads, shared, ends, products,
    ADJOINT: tl.constexpr, GATES: tl.constexpr, PRECISION: tl.constexpr, SUMS: tl.constexpr,
    ROWS: tl.constexpr, KEYS: tl.constexpr, VALUES: tl.constexpr,
):  # fmt: skip
    """Write the state after each chunk from zero, and the product of its gates if it is wanted."""
    key, value, head, batch = lanes(values, KEYS, VALUES)
    k += batch * k_batch + head // shared * k_head
    v += batch * v_batch + head * v_head
    gates = moved(gates, batch, head, g_batch, g_head)
    weights = moved(weights, batch, head, w_batch, w_head)
    start, stop = bounds(length, chunk)
    state, product = tl.zeros((KEYS, VALUES), SUMS), tl.full((KEYS,), 1, SUMS)
    blocks = tl.cdiv(stop - start, ROWS)
    for step in range(blocks):
        first = start + (blocks - 1 - step if ADJOINT else step) * ROWS
        state, passed = advance(
            state, k, v, gates, weights, first, tl.minimum(first + ROWS, stop),
            k_row, v_row, g_row, w_row, key, value, keys, values,
            ADJOINT, GATES, PRECISION, SUMS, ROWS,
        )  # fmt: skip
        product *= passed
    index, count = tl.program_id(0), tl.num_programs(0)
    at = state_at(batch, index, count, head, heads, key, value, keys, values)
    tl.store(ends + at, state, mask=within(key, value, keys, values))
    if products is not None:
        # All programs of a head know it, and one of them writes it.
        width = keys if GATES == FEATURE else 1
        width = tl.where(tl.program_id(1) % tl.cdiv(values, VALUES) == 0, width, 0)
        at = ((batch * count + index) * heads + head) * (keys if GATES == FEATURE else 1) + key
        tl.store(products + at, product, mask=key < width)


@triton.jit
@no_type_check
def write_marks(
    k, v, gates, weights,
    k_batch, k_row, k_head, v_batch, v_row, v_head, g_batch, g_row, g_head, w_batch, w_row, w_head,
    length, chunk, keys, values, heads, shared, starts, states, mark,
    ADJOINT: tl.constexpr, GATES: tl.constexpr, PRECISION: tl.constexpr, SUMS: tl.constexpr,
    ROWS: tl.constexpr, KEYS: tl.constexpr, VALUES: tl.constexpr,
):  # fmt: skip
    """Write the states before marks from those before chunks."""
    key, value, head, batch = lanes(values, KEYS, VALUES)
    k += batch * k_batch + head // shared * k_head
    v += batch * v_batch + head * v_head
    gates = moved(gates, batch, head, g_batch, g_head)
    weights = moved(weights, batch, head, w_batch, w_head)
    start, stop = bounds(length, chunk)
    inside, count = within(key, value, keys, values), tl.num_programs(0)
    at = state_at(batch, tl.program_id(0), count, head, heads, key, value, keys, values)
    state = tl.load(starts + at, mask=inside, other=0.0)
    for first in range(start, stop, ROWS):
        if first % mark == 0:
            index, count = first // mark, tl.cdiv(length, mark)
            at = state_at(batch, index, count, head, heads, key, value, keys, values)
            tl.store(states + at, state, mask=inside)
        state, _ = advance(
            state, k, v, gates, weights, first, tl.minimum(first + ROWS, stop),
            k_row, v_row, g_row, w_row, key, value, keys, values,
            ADJOINT, GATES, PRECISION, SUMS, ROWS,
        )  # fmt: skip


@triton.jit
@no_type_check
def write_starts(
    ends, products, initial, final, chunks, keys, values,
    ADJOINT: tl.constexpr, GATES: tl.constexpr, SUMS: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """Write the state before each chunk where that after it was, and the one after the last."""
    lane = tl.program_id(0) * LANES + tl.arange(0, LANES)
    head, heads, batch = tl.program_id(1), tl.num_programs(1), tl.program_id(2).to(tl.int64)
    size = keys * values
    inside = lane < size
    width = keys if GATES == FEATURE else 1
    key = lane // values if GATES == FEATURE else lane * 0
    state = tl.zeros((LANES,), SUMS)
    if initial is not None:
        at = initial + (batch * heads + head) * size + lane
        state = tl.load(at, mask=inside, other=0.0).to(SUMS)
    for step in range(chunks):
        chunk = chunks - 1 - step if ADJOINT else step
        place = (batch * chunks + chunk) * heads + head
        end = tl.load(ends + place * size + lane, mask=inside, other=0.0)
        tl.store(ends + place * size + lane, state, mask=inside)
        if GATES == NONE:
            state += end
        else:
            state = state * tl.load(products + place * width + key, mask=inside, other=0.0) + end
    tl.store(final + (batch * heads + head) * size + lane, state, mask=inside)


@triton.jit
@no_type_check
def write_outputs(
    q, k, v, gates, weights,
    q_batch, q_row, q_head, k_batch, k_row, k_head, v_batch, v_row, v_head,
    g_batch, g_row, g_head, w_batch, w_row, w_head,
    length, chunk, keys, values, heads, shared, starts, states, mark, outputs,
    ADJOINT: tl.constexpr, GATES: tl.constexpr, PRECISION: tl.constexpr, SUMS: tl.constexpr,
    ROWS: tl.constexpr, KEYS: tl.constexpr, VALUES: tl.constexpr,
):  # fmt: skip
    """Write the outputs of each chunk from the state before it.

    Of the adjoint, these are the gradients of values, and the states after marks are written too.
    """
    key, value, head, batch = lanes(values, KEYS, VALUES)
    q += batch * q_batch + head // shared * q_head
    k += batch * k_batch + head // shared * k_head
    v += batch * v_batch + head * v_head
    outputs += batch * length * heads * values + head * values
    gates = moved(gates, batch, head, g_batch, g_head)
    weights = moved(weights, batch, head, w_batch, w_head)
    start, stop = bounds(length, chunk)
    inside, count = within(key, value, keys, values), tl.num_programs(0)
    at = state_at(batch, tl.program_id(0), count, head, heads, key, value, keys, values)
    state = tl.load(starts + at, mask=inside, other=0.0)
    blocks = tl.cdiv(stop - start, ROWS)
    for step in range(blocks):
        first = start + (blocks - 1 - step if ADJOINT else step) * ROWS
        high = tl.minimum(first + ROWS, stop)
        q_tile = tile(q, first, first, high, q_row, key, keys, 0.0, ROWS, SUMS)
        k_tile = tile(k, first, first, high, k_row, key, keys, 0.0, ROWS, SUMS)
        v_tile = tile(v, first, first, high, v_row, value, values, 0.0, ROWS, SUMS)
        k_tile = weighted(k_tile, weights, first, high, w_row, ROWS, SUMS)
        matrix, reached = pairs(
            k, q_tile, k_tile, gates, first, high, k_row, g_row, key, keys,
            GATES, PRECISION, ROWS, SUMS,
        )  # fmt: skip
        left = until(gates, first, high, g_row, key, keys, GATES, ROWS, SUMS)
        read, add = q_tile * reached, k_tile * left
        if ADJOINT:
            if high == stop or high % mark == 0:
                index, count = first // mark, tl.cdiv(length, mark)
                at = state_at(batch, index, count, head, heads, key, value, keys, values)
                tl.store(states + at, state, mask=inside)
            matrix, read, add = tl.trans(matrix), add, read
        y = dot(matrix, v_tile, PRECISION) + dot(read, state, PRECISION)
        position = first + tl.arange(0, ROWS)
        y_at = outputs + position.to(tl.int64)[:, None] * heads * values + value[None, :]
        tl.store(y_at, y, mask=(position < high)[:, None] & (value < values)[None, :])
        state = state * last(reached, ROWS)[:, None] + dot(tl.trans(add), v_tile, PRECISION)


@triton.jit
@no_type_check
def advance(
    state, k, v, gates, weights, first, high, k_row, v_row, g_row, w_row, key, value, keys, values,
    ADJOINT: tl.constexpr, GATES: tl.constexpr, PRECISION: tl.constexpr, SUMS: tl.constexpr,
    ROWS: tl.constexpr,
):  # fmt: skip
    """Return the state after a block, and the products of all its gates."""
    k_tile = tile(k, first, first, high, k_row, key, keys, 0.0, ROWS, SUMS)
    k_tile = weighted(k_tile, weights, first, high, w_row, ROWS, SUMS)
    v_tile = tile(v, first, first, high, v_row, value, values, 0.0, ROWS, SUMS)
    reached = since(gates, first, high, g_row, key, keys, GATES, ROWS, SUMS)
    passed = last(reached, ROWS)
    if not ADJOINT:
        reached = until(gates, first, high, g_row, key, keys, GATES, ROWS, SUMS)
    return state * passed[:, None] + dot(tl.trans(k_tile * reached), v_tile, PRECISION), passed


@triton.jit
@no_type_check
def lanes(values, KEYS: tl.constexpr, VALUES: tl.constexpr):
    """Return a program's features, its head and its sequence."""
    parts = tl.cdiv(values, VALUES)
    value = tl.program_id(1) % parts * VALUES + tl.arange(0, VALUES)
    return tl.arange(0, KEYS), value, tl.program_id(1) // parts, tl.program_id(2).to(tl.int64)


@triton.jit
@no_type_check
def bounds(length, chunk):
    """Return a program's first position, and the one after its last."""
    start = tl.program_id(0) * chunk
    return start, tl.minimum(start + chunk, length)


@triton.jit
@no_type_check
def moved(x, batch, head, x_batch, x_head):
    """Return where a sequence and a head begin, if there is a tensor."""
    if x is not None:
        x += batch * x_batch + head * x_head
    return x


@triton.jit
@no_type_check
def within(key, value, keys, values):
    """Return which numbers of a state there are."""
    return (key < keys)[:, None] & (value < values)[None, :]


@triton.jit
@no_type_check
def state_at(batch, index, count, head, heads, key, value, keys, values):
    """Return where the numbers of a state are, the so manyth of so many."""
    place = ((batch * count + index) * heads + head) * keys
    return (place + key)[:, None] * values + value[None, :]
