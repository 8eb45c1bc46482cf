"""What `delta_rule` launches forwards, chunk by chunk, and what it says of it holds here.

In names, `late` is what reaches the end of a chunk, `early` what reaches its beginning; `removes`
and `reads` are (s, s) products of rows with earlier ones.
"""

from typing import no_type_check

import triton
import triton.language as tl

from baselines.ops.kernels.delta_lines import (
    dot,
    erased_of,
    gate_of,
    inverted,
    lines,
    load,
    logs,
    of_chunk,
    of_columns,
    pairs,
    queries,
    state_before,
    store,
)


@triton.jit
@no_type_check
def solve(
    q, k, v, log_decay, erase, write, reads, taken, written, late, whole, early, inverse,
    rows, heads, keys, values,
    STEPS: tl.constexpr, OWN: tl.constexpr, APART: tl.constexpr, CHUNK: tl.constexpr,
    LEVELS: tl.constexpr, KEYS: tl.constexpr, VALUES: tl.constexpr, SUMS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Write what `_Chunks.solved` says."""
    chunk, chain, r, row, every = of_chunk(CHUNK)
    step, inside = lines(row, rows, heads, 1, 0)
    removes, read = pairs(
        q, k, erase, log_decay, r, row, rows, heads, keys, STEPS, OWN, APART, CHUNK, LEVELS, KEYS,
        SUMS, PRECISION,
    )  # fmt: skip
    removes = tl.where(r[:, None] > r[None, :], removes, 0)
    solved = inverted(removes, r, CHUNK, SUMS)
    place = (chain * tl.num_programs(0) + chunk) * CHUNK + r
    store(reads, place, every, r, CHUNK, tl.where(r[:, None] >= r[None, :], read, 0))
    if inverse is not None:
        store(inverse, place, every, r, CHUNK, solved)
    for first in range(0, keys, KEYS):
        col = first + tl.arange(0, KEYS)
        key = load(k, step, inside, col, keys, SUMS)
        erased = erased_of(erase, key, step, inside, col, keys, OWN, SUMS)
        f, after = logs(log_decay, row, r, rows, heads, col, keys, STEPS, APART, CHUNK, SUMS)
        since = tl.exp(tl.cumsum(f, 0))
        until = tl.exp(tl.cumsum(after, 0, reverse=True))
        store(taken, place, every, col, keys, dot(solved, erased * since, PRECISION))
        store(late, place, every, col, keys, key * until)
        if early is not None:
            query = queries(q, row, rows, heads, col, keys, STEPS, SUMS)
            store(early, place, every, col, keys, query * since)
        total = tl.exp(tl.sum(f, 0)) + tl.zeros((KEYS,), SUMS)
        tl.store(whole + (chain * tl.num_programs(0) + chunk) * keys + col, total, mask=col < keys)
    share = 1.0
    if write is not None:
        share = gate_of(write, step, inside, SUMS)
    for first in range(0, values, VALUES):
        col = first + tl.arange(0, VALUES)
        value = load(v, step, inside, col, values, SUMS)
        store(written, place, every, col, values, dot(solved, value * share, PRECISION))


@triton.jit
@no_type_check
def walk(
    taken, written, late, whole, initial, states, last, rows, keys, values,
    CHUNK: tl.constexpr, GROUP: tl.constexpr, KEYS: tl.constexpr, VALUES: tl.constexpr,
    SUMS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write the states before groups of chunks, and in place of what is written what really is."""
    r, key, col, chain = of_columns(CHUNK, KEYS, VALUES)
    chunks, every = tl.cdiv(rows, CHUNK), r >= 0
    state = load(initial, chain * keys + key, key < keys, col, values, SUMS)
    for chunk in range(chunks):
        place = chain * chunks + chunk
        if chunk % GROUP == 0:
            mark = chain * tl.cdiv(chunks, GROUP) + chunk // GROUP
            store(states, mark * keys + key, key < keys, col, values, state)
        line = place * CHUNK + r
        takes = load(taken, line, every, key, keys, SUMS)
        writes = load(written, line, every, col, values, SUMS)
        writes -= dot(takes, state, PRECISION)
        store(written, line, every, col, values, writes)
        reach = tl.trans(load(late, line, every, key, keys, SUMS))
        decay = tl.load(whole + place * keys + key, mask=key < keys, other=0.0)
        state = state * decay[:, None] + dot(reach, writes, PRECISION)
    store(last, chain * keys + key, key < keys, col, values, state)


@triton.jit
@no_type_check
def read(
    q, log_decay, reads, written, late, whole, states, y, rows, heads, keys, values,
    STEPS: tl.constexpr, APART: tl.constexpr, CHUNK: tl.constexpr, GROUP: tl.constexpr,
    KEYS: tl.constexpr, VALUES: tl.constexpr, SUMS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write outputs."""
    chunk, chain, r, row, every = of_chunk(CHUNK)
    col = tl.program_id(1) * VALUES + tl.arange(0, VALUES)
    chunks = tl.num_programs(0)
    line = (chain * chunks + chunk) * CHUNK + r
    inner = load(reads, line, every, r, CHUNK, SUMS)
    sums = dot(inner, load(written, line, every, col, values, SUMS), PRECISION)
    for first in range(0, keys, KEYS):
        key = first + tl.arange(0, KEYS)
        query = queries(q, row, rows, heads, key, keys, STEPS, SUMS)
        f, _ = logs(log_decay, row, r, rows, heads, key, keys, STEPS, APART, CHUNK, SUMS)
        state = state_before(
            states, late, written, whole, chunk, chunks, key, keys, col, values, CHUNK, GROUP,
            SUMS, PRECISION,
        )  # fmt: skip
        sums += dot(query * tl.exp(tl.cumsum(f, 0)), state, PRECISION)
    at, had = lines(row, rows, heads, STEPS, STEPS - 1)
    store(y, at, had, col, values, sums)
