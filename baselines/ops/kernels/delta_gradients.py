"""What `delta_rule` launches backwards; names are those of `delta_chunks`."""

from typing import no_type_check

import triton
import triton.language as tl

from baselines.ops.kernels.delta_lines import (
    decays_between,
    dot,
    erased_of,
    gate_of,
    lines,
    load,
    logs,
    of_chunk,
    of_columns,
    queries,
    split_pairs,
    state_before,
    store,
)


@triton.jit
@no_type_check
def walk_back(
    grad_y, reads, taken, early, late, whole, grad_last, grad_states, grad_written, grad_initial,
    rows, heads, keys, values,
    STEPS: tl.constexpr, CHUNK: tl.constexpr, GROUP: tl.constexpr, KEYS: tl.constexpr,
    VALUES: tl.constexpr, SUMS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write the gradients of the states after groups of chunks, and of what is written."""
    r, key, col, chain = of_columns(CHUNK, KEYS, VALUES)
    chunks, every = tl.cdiv(rows, CHUNK), r >= 0
    grad = tl.zeros((KEYS, VALUES), SUMS)
    if grad_last is not None:
        grad += load(grad_last, chain * keys + key, key < keys, col, values, SUMS)
    for back in range(chunks):
        chunk = chunks - 1 - back
        place = chain * chunks + chunk
        if (chunk % GROUP == GROUP - 1) | (back == 0):
            mark = chain * tl.cdiv(chunks, GROUP) + chunk // GROUP
            store(grad_states, mark * keys + key, key < keys, col, values, grad)
        line = place * CHUNK + r
        at, had = lines(chunk * CHUNK + r, rows, heads, STEPS, STEPS - 1)
        above = load(grad_y, at, had, col, values, SUMS)
        inner = tl.trans(load(reads, line, every, r, CHUNK, SUMS))
        reach = load(late, line, every, key, keys, SUMS)
        writes = dot(inner, above, PRECISION) + dot(reach, grad, PRECISION)
        store(grad_written, line, every, col, values, writes)
        decay = tl.load(whole + place * keys + key, mask=key < keys, other=0.0)
        begin = tl.trans(load(early, line, every, key, keys, SUMS))
        takes = tl.trans(load(taken, line, every, key, keys, SUMS))
        grad = grad * decay[:, None] + dot(begin, above, PRECISION)
        grad -= dot(takes, writes, PRECISION)
    store(grad_initial, chain * keys + key, key < keys, col, values, grad)


@triton.jit
@no_type_check
def write_gradients_of_values(
    v, write, grad_y, written, reads, inverse, grad_written, grad_v, grad_write,
    rows, heads, values,
    STEPS: tl.constexpr, CHUNK: tl.constexpr, VALUES: tl.constexpr, SUMS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Write the gradients of values, and in place of three arrays what keys need of them.

    The place of `grad_written` takes the gradient of what the triangular system makes it of, those
    of the inverse and of the reads take the gradients of the system and of the reads.
    """
    chunk, chain, r, row, every = of_chunk(CHUNK)
    step, inside = lines(row, rows, heads, 1, 0)
    at, had = lines(row, rows, heads, STEPS, STEPS - 1)
    line = (chain * tl.num_programs(0) + chunk) * CHUNK + r
    solved = tl.trans(load(inverse, line, every, r, CHUNK, SUMS))
    share = 1.0
    if write is not None:
        share = gate_of(write, step, inside, SUMS)
    removed = tl.zeros((CHUNK, CHUNK), SUMS)
    read = tl.zeros((CHUNK, CHUNK), SUMS)
    shares = tl.zeros((CHUNK,), SUMS)
    for first in range(0, values, VALUES):
        col = first + tl.arange(0, VALUES)
        known = dot(solved, load(grad_written, line, every, col, values, SUMS), PRECISION)
        writes = tl.trans(load(written, line, every, col, values, SUMS))
        removed -= dot(known, writes, PRECISION)
        read += dot(load(grad_y, at, had, col, values, SUMS), writes, PRECISION)
        shares += tl.sum(known * load(v, step, inside, col, values, SUMS), 1)
        store(grad_written, line, every, col, values, known)
        store(grad_v, step, inside, col, values, known * share)
    if write is not None:
        tl.store(grad_write + step, shares, mask=inside)
    store(inverse, line, every, r, CHUNK, tl.where(r[:, None] > r[None, :], removed, 0))
    store(reads, line, every, r, CHUNK, tl.where(r[:, None] >= r[None, :], read, 0))


@triton.jit
@no_type_check
def write_gradients_of_keys(
    q, k, log_decay, erase, grad_y, written, late, early, whole, grad_reads, grad_removed,
    grad_known, states, grad_states, grad_q, grad_k, grad_erase, grad_decay,
    rows, heads, keys, values,
    STEPS: tl.constexpr, OWN: tl.constexpr, APART: tl.constexpr, CHUNK: tl.constexpr,
    GROUP: tl.constexpr, LEVELS: tl.constexpr, KEYS: tl.constexpr, VALUES: tl.constexpr,
    SUMS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write the gradients of queries, keys, decays and erase gates, from some key features."""
    chunk, chain, r, row, every = of_chunk(CHUNK)
    step, inside = lines(row, rows, heads, 1, 0)
    at, had = lines(row, rows, heads, STEPS, STEPS - 1)
    chunks = tl.num_programs(0)
    line = (chain * chunks + chunk) * CHUNK + r
    col = tl.program_id(1) * KEYS + tl.arange(0, KEYS)
    grad_a, grad_b, grad_c, held = _summed_over_values(
        grad_y, written, late, early, whole, grad_known, states, grad_states, k, log_decay, erase,
        chunk, chunks, r, col, rows, heads, keys, values, STEPS, OWN, APART, CHUNK, GROUP, KEYS,
        VALUES, SUMS, PRECISION,
    )  # fmt: skip
    key = load(k, step, inside, col, keys, SUMS)
    query = queries(q, row, rows, heads, col, keys, STEPS, SUMS)
    erased = erased_of(erase, key, step, inside, col, keys, OWN, SUMS)
    f, after = logs(log_decay, row, r, rows, heads, col, keys, STEPS, APART, CHUNK, SUMS)
    since = tl.exp(tl.cumsum(f, 0))
    grad_a *= since
    grad_b *= since
    grad_c *= tl.exp(tl.cumsum(after, 0, reverse=True))
    # A decay counts for what is read after it of what was before it.
    upto = erased * grad_a + query * grad_b
    from_ = key * grad_c
    decay = tl.cumsum(from_, 0) - from_ + (held * tl.exp(tl.sum(f, 0)))[None, :]
    removed = load(grad_removed, line, every, r, CHUNK, SUMS)
    read = load(grad_reads, line, every, r, CHUNK, SUMS)
    if APART:
        own = tl.sum(tl.where(r[:, None] == r[None, :], read, 0), 1)[:, None]
        grad_b += own * key
        grad_c += own * query
    else:
        between = decays_between(f, r)
        removed *= between
        read *= between
    for level in range(LEVELS):
        scale, one, two = 1.0, removed, read
        if APART:
            scale, across = split_pairs(f, r, level)
            one = tl.where(across, removed, 0)
            two = tl.where(across, read, 0)
        part_a = dot(one, key * scale, PRECISION) * scale
        part_b = dot(two, key * scale, PRECISION) * scale
        part_c = dot(tl.trans(one), erased * scale, PRECISION)
        part_c = (part_c + dot(tl.trans(two), query * scale, PRECISION)) * scale
        grad_a += part_a
        grad_b += part_b
        grad_c += part_c
        upto += erased * part_a + query * part_b - key * part_c
    decay += tl.cumsum(upto, 0, reverse=True)
    store(grad_q, at, had, col, keys, grad_b)
    blocks = (tl.num_programs(2) // heads * rows).to(tl.int64) * heads
    if OWN:
        store(grad_erase, step, inside, col, keys, grad_a)
    else:
        place = grad_erase + tl.program_id(1) * blocks + step
        tl.store(place, tl.sum(grad_a * key, 1), mask=inside)
        grad_c += grad_a * gate_of(erase, step, inside, SUMS)
    store(grad_k, step, inside, col, keys, grad_c)
    at, had = lines(row, rows, heads, STEPS, 0)
    if APART:
        store(grad_decay, at, had, col, keys, decay)
    else:
        place = grad_decay + tl.program_id(1) * (blocks // STEPS) + at
        tl.store(place, tl.sum(decay, 1), mask=had)


@triton.jit
@no_type_check
def _summed_over_values(
    grad_y, written, late, early, whole, grad_known, states, grad_states, k, log_decay, erase,
    chunk, chunks, r, col, rows, heads, keys, values,
    STEPS: tl.constexpr, OWN: tl.constexpr, APART: tl.constexpr, CHUNK: tl.constexpr,
    GROUP: tl.constexpr, KEYS: tl.constexpr, VALUES: tl.constexpr, SUMS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Return the gradients of keys before their decays, and what the state's own decay is told."""
    every = r >= 0
    at, had = lines(chunk * CHUNK + r, rows, heads, STEPS, STEPS - 1)
    line = (tl.program_id(2).to(tl.int64) * chunks + chunk) * CHUNK + r
    grad_a = tl.zeros((CHUNK, KEYS), SUMS)
    grad_b = tl.zeros((CHUNK, KEYS), SUMS)
    grad_c = tl.zeros((CHUNK, KEYS), SUMS)
    held = tl.zeros((KEYS,), SUMS)
    for first in range(0, values, VALUES):
        value = first + tl.arange(0, VALUES)
        state = state_before(
            states, late, written, whole, chunk, chunks, col, keys, value, values, CHUNK, GROUP,
            SUMS, PRECISION,
        )  # fmt: skip
        grad = _adjoint_after(
            grad_states, k, log_decay, erase, early, grad_y, grad_known, whole, chunk, chunks, r,
            col, value, rows, heads, keys, values, STEPS, OWN, APART, CHUNK, GROUP, SUMS, PRECISION,
        )  # fmt: skip
        held += tl.sum(state * grad, 1)
        state = tl.trans(state)
        known = load(grad_known, line, every, value, values, SUMS)
        grad_a -= dot(known, state, PRECISION)
        grad_b += dot(load(grad_y, at, had, value, values, SUMS), state, PRECISION)
        writes = load(written, line, every, value, values, SUMS)
        grad_c += dot(writes, tl.trans(grad), PRECISION)
    return grad_a, grad_b, grad_c, held


@triton.jit
@no_type_check
def _adjoint_after(
    grad_states, k, log_decay, erase, early, grad_y, grad_known, whole, chunk, chunks, r,
    col, value, rows, heads, keys, values,
    STEPS: tl.constexpr, OWN: tl.constexpr, APART: tl.constexpr, CHUNK: tl.constexpr,
    GROUP: tl.constexpr, SUMS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Return some rows and columns of the state's gradient after a chunk, from its group's end."""
    chain, group = tl.program_id(2).to(tl.int64), chunk // GROUP
    last = tl.minimum(group * GROUP + GROUP, chunks) - 1
    mark = chain * tl.cdiv(chunks, GROUP) + group
    grad = load(grad_states, mark * keys + col, col < keys, value, values, SUMS)
    for back in range(last - chunk):
        row = (last - back) * CHUNK + r
        step, inside = lines(row, rows, heads, 1, 0)
        at, had = lines(row, rows, heads, STEPS, STEPS - 1)
        line = (chain * chunks + last - back) * CHUNK + r
        key = load(k, step, inside, col, keys, SUMS)
        erased = erased_of(erase, key, step, inside, col, keys, OWN, SUMS)
        f, _ = logs(log_decay, row, r, rows, heads, col, keys, STEPS, APART, CHUNK, SUMS)
        taken = tl.trans(erased * tl.exp(tl.cumsum(f, 0)))
        begin = tl.trans(load(early, line, r >= 0, col, keys, SUMS))
        above = load(grad_y, at, had, value, values, SUMS)
        known = load(grad_known, line, r >= 0, value, values, SUMS)
        place = whole + (chain * chunks + last - back) * keys + col
        grad *= tl.load(place, mask=col < keys, other=0.0)[:, None]
        grad += dot(begin, above, PRECISION) - dot(taken, known, PRECISION)
    return grad
