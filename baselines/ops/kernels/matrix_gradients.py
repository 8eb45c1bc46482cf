"""The gradients of queries, keys, gates and weights of `matrix_scan`, from mark to mark.

A pair of positions s < t <= u gives the gate of t the product of all gates between s and u but its
own. So what entered before and is read after, at each row, makes its gradient: sums of products,
with nothing divided and nothing subtracted.
"""

from typing import no_type_check

import triton
import triton.language as tl

from baselines.ops.kernels.matrix_blocks import (
    FEATURE,
    between,
    dot,
    gates_of,
    last,
    one,
    pick,
    since,
    tile,
    until,
    weighted,
)
from baselines.ops.kernels.matrix_walks import advance, moved, state_at, within


@triton.jit
@no_type_check
def write_gradients(
    q, k, v, d, gates, weights,
    q_batch, q_row, q_head, k_batch, k_row, k_head, v_batch, v_row, v_head,
    d_batch, d_row, d_head, g_batch, g_row, g_head, w_batch, w_row, w_head,
    length, mark, keys, values, heads, shared,
    befores, afters, grad_q, grad_k, grad_gates, grad_weights,
    GATES: tl.constexpr, PRECISION: tl.constexpr, SUMS: tl.constexpr,
    ROWS: tl.constexpr, KEYS: tl.constexpr, VALUES: tl.constexpr,
):  # fmt: skip
    """Write them for some key features between two marks; d are the gradients of outputs."""
    parts = tl.cdiv(keys, KEYS)
    part, head, batch = (
        tl.program_id(1) % parts,
        tl.program_id(1) // parts,
        tl.program_id(2).to(tl.int64),
    )
    key, value = part * KEYS + tl.arange(0, KEYS), tl.arange(0, VALUES)
    q += batch * q_batch + head // shared * q_head
    k += batch * k_batch + head // shared * k_head
    v += batch * v_batch + head * v_head
    d += batch * d_batch + head * d_head
    gates = moved(gates, batch, head, g_batch, g_head)
    weights = moved(weights, batch, head, w_batch, w_head)
    start = tl.program_id(0) * mark
    stop = tl.minimum(start + mark, length)
    inside, count = within(key, value, keys, values), tl.num_programs(0)
    at = state_at(batch, tl.program_id(0), count, head, heads, key, value, keys, values)
    entering = tl.load(befores + at, mask=inside, other=0.0)
    adjoint = tl.load(afters + at, mask=inside, other=0.0)
    blocks = tl.cdiv(stop - start, ROWS)
    for step in range(blocks):
        first = start + (blocks - 1 - step) * ROWS
        high = tl.minimum(first + ROWS, stop)
        state = entering
        for earlier in range(blocks - 1 - step):
            state, _ = advance(
                state, k, v, gates, weights, start + earlier * ROWS, start + (earlier + 1) * ROWS,
                k_row, v_row, g_row, w_row, key, value, keys, values,
                False, GATES, PRECISION, SUMS, ROWS,
            )  # fmt: skip
        q_tile = tile(q, first, first, high, q_row, key, keys, 0.0, ROWS, SUMS)
        k_tile = tile(k, first, first, high, k_row, key, keys, 0.0, ROWS, SUMS)
        v_tile = tile(v, first, first, high, v_row, value, values, 0.0, ROWS, SUMS)
        d_tile = tile(d, first, first, high, d_row, value, values, 0.0, ROWS, SUMS)
        # What outputs ask of each row's values and of the state, and what is after asks of rows.
        asked = dot(d_tile, tl.trans(v_tile), PRECISION)
        read = dot(d_tile, tl.trans(state), PRECISION)
        added = dot(v_tile, tl.trans(adjoint), PRECISION)
        through = tl.sum(state * adjoint, 1)
        reached = since(gates, first, high, g_row, key, keys, GATES, ROWS, SUMS)
        position = (first + tl.arange(0, ROWS)).to(tl.int64)
        rows = (batch * length + position) * heads + head
        row_at = rows[:, None] * keys + key[None, :]
        there = (position < high)[:, None] & (key < keys)[None, :]
        if GATES == FEATURE:
            dq, dk, df = of_features(
                q, k, gates, k_tile, asked, read, added, through, first, high,
                q_row, k_row, g_row, key, keys, ROWS, SUMS,
            )  # fmt: skip
            put(grad_gates, row_at, df, there)
        else:
            k_whole = weighted(k_tile, weights, first, high, w_row, ROWS, SUMS)
            decays = between(gates, first, high, g_row, GATES, ROWS, SUMS)
            left = until(gates, first, high, g_row, key, keys, GATES, ROWS, SUMS)
            asked *= decays
            dq = dot(asked, k_whole, PRECISION) + read * reached
            dk = dot(tl.trans(asked), q_tile, PRECISION) + added * left
            slot = part * tl.num_programs(2) * length * heads + rows
            df = of_heads(
                dot(q_tile, tl.trans(k_whole), PRECISION) * asked,
                tl.sum(q_tile * read * reached, 1), tl.sum(k_whole * added * left, 1),
                tl.sum(through * last(reached, ROWS), 0), ROWS,
            )  # fmt: skip
            put(grad_gates, slot, df, position < high)
            put(grad_weights, slot, tl.sum(k_tile * dk, 1), position < high)
            dk = weighted(dk, weights, first, high, w_row, ROWS, SUMS)
        tl.store(grad_q + row_at, dq, mask=there)
        tl.store(grad_k + row_at, dk, mask=there)
        adjoint = adjoint * last(reached, ROWS)[:, None]
        adjoint += dot(tl.trans(q_tile * reached), d_tile, PRECISION)


@triton.jit
@no_type_check
def put(x, at, numbers, there):
    """Write gradients if they are wanted."""
    if x is not None:
        tl.store(x + at, numbers, mask=there)


@triton.jit
@no_type_check
def of_heads(met, reads, adds, through, ROWS: tl.constexpr):
    """Return the gradients of the logarithms of gates that a head shares.

    Args:
        met: What a pair (u, s) gives to all gates in between.
        reads: What an output gives to the gates since the block's begin.
        adds: What a value gives to the gates until its end.
        through: What all gates of the block get.
        ROWS: Of the block.
    """
    t, other = tl.arange(0, ROWS)[:, None], tl.arange(0, ROWS)[None, :]
    after = tl.cumsum(met, 0, reverse=True) + adds[None, :]
    before = tl.where(other < t, after, 0.0) + tl.where(other >= t, reads[None, :], 0.0)
    return tl.sum(before, 1) + through


@triton.jit
@no_type_check
def of_features(
    q, k, gates, k_tile, asked, read, added, through, first, high, q_row, k_row, g_row, key, keys,
    ROWS: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """Return the gradients of queries, keys and gates of features, from the last row to the first.

    At each row, `later` is what the rows from there on make of each earlier one, and `beyond` of
    the state before the block.
    """
    row = tl.arange(0, ROWS)
    following = gates_of(gates, first + 1, first, high, g_row, key, keys, FEATURE, ROWS, SUMS)
    # The products before each row.
    earlier = gates_of(gates, first - 1, first, high, g_row, key, keys, FEATURE, ROWS, SUMS)
    earlier = tl.cumprod(earlier, 0)
    dq, dk, df = (
        tl.zeros(k_tile.shape, SUMS),
        tl.zeros(k_tile.shape, SUMS),
        tl.zeros(k_tile.shape, SUMS),
    )
    later, beyond = added, through
    for step in range(ROWS):
        t = ROWS - 1 - step
        here = (row == t)[:, None]
        query = one(q, first + t, high, q_row, key, keys, 0.0, SUMS)
        own = one(k, first + t, high, k_row, key, keys, 0.0, SUMS)
        gate = one(gates, first + t, high, g_row, key, keys, 1.0, SUMS)
        following_gate = one(gates, first + t + 1, high, g_row, key, keys, 1.0, SUMS)
        weight, seen, reached = pick(asked, t, ROWS), pick(read, t, ROWS), pick(earlier, t, ROWS)
        later = weight[:, None] * query[None, :] + following_gate[None, :] * later
        beyond = query * seen + following_gate * beyond
        # Keys as they are just before this row's gate, and those that are not yet there as zero.
        kept = tl.cumprod(tl.where((row + 1 < t)[:, None], following, 1.0), 0, reverse=True)
        kept = tl.where((row < t)[:, None], kept * k_tile, 0.0)
        opened = tl.sum(kept * later, 0) + reached * beyond
        held = tl.sum(kept * weight[:, None], 0) + reached * seen
        now = tl.sum(tl.where(row == t, weight, 0.0), 0)
        dq = tl.where(here, (gate * held + own * now)[None, :], dq)
        dk = tl.where(here, later, dk)
        df = tl.where(here, opened[None, :], df)
    return dq, dk, df
