"""What the kernels of `delta_rule` share: rows of chunks, and products of them.

Rows of all steps of a sequence lie in one line for each head. A position has its decay in the first
of its steps and its query in the last one; other steps have a decay of one and a query of zero.
"""

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check
def of_chunk(CHUNK: tl.constexpr):
    """Return a program's chunk and head, its rows in the chunk and in the sequence, and ones."""
    r, chunk = tl.arange(0, CHUNK), tl.program_id(0)
    return chunk, tl.program_id(2).to(tl.int64), r, chunk * CHUNK + r, r >= 0


@triton.jit
@no_type_check
def of_columns(CHUNK: tl.constexpr, KEYS: tl.constexpr, VALUES: tl.constexpr):
    """Return rows of a chunk, key features, a program's columns, and its head."""
    col = tl.program_id(0) * VALUES + tl.arange(0, VALUES)
    return tl.arange(0, CHUNK), tl.arange(0, KEYS), col, tl.program_id(2).to(tl.int64)


@triton.jit
@no_type_check
def lines(row, rows, heads, STEPS: tl.constexpr, STEP: tl.constexpr):
    """Return where a head's rows lie that are one of several steps, and which are."""
    chain = tl.program_id(2).to(tl.int64)
    place = chain // heads * (rows // STEPS) + row // STEPS
    return place * heads + chain % heads, (row < rows) & (row % STEPS == STEP)


@triton.jit
@no_type_check
def load(x, row, had, col, features, SUMS: tl.constexpr):
    """Read some features of some rows, and zeros where there are none."""
    mask = had[:, None] & (col < features)[None, :]
    return tl.load(x + row[:, None] * features + col[None, :], mask=mask, other=0.0).to(SUMS)


@triton.jit
@no_type_check
def store(x, row, had, col, features, value):
    """Write some features of some rows."""
    mask = had[:, None] & (col < features)[None, :]
    tl.store(x + row[:, None] * features + col[None, :], value, mask=mask)


@triton.jit
@no_type_check
def gate_of(x, row, had, SUMS: tl.constexpr):
    """Read a column."""
    return tl.load(x + row[:, None], mask=had[:, None], other=0.0).to(SUMS)


@triton.jit
@no_type_check
def erased_of(erase, key, row, had, col, keys, OWN: tl.constexpr, SUMS: tl.constexpr):
    """Return what is read to be erased: keys as far as a gate says, or what has its own place."""
    if OWN:
        key = load(erase, row, had, col, keys, SUMS)
    else:
        key *= gate_of(erase, row, had, SUMS)
    return key


@triton.jit
@no_type_check
def queries(q, row, rows, heads, col, keys, STEPS: tl.constexpr, SUMS: tl.constexpr):
    """Read queries, which the last step of a position has; those of the others are zero."""
    at, had = lines(row, rows, heads, STEPS, STEPS - 1)
    return load(q, at, had, col, keys, SUMS)


@triton.jit
@no_type_check
def logs(
    log_decay, row, r, rows, heads, col, keys,
    STEPS: tl.constexpr, APART: tl.constexpr, CHUNK: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """Read logarithms of decays, which the first step of a position has, and the next row's."""
    at, had = lines(row, rows, heads, STEPS, 0)
    following, has = lines(row + 1, rows, heads, STEPS, 0)
    has &= r + 1 < CHUNK
    if APART:
        now = load(log_decay, at, had, col, keys, SUMS)
        after = load(log_decay, following, has, col, keys, SUMS)
    else:
        now = gate_of(log_decay, at, had, SUMS)
        after = gate_of(log_decay, following, has, SUMS)
    return now, after


@triton.jit
@no_type_check
def pairs(
    q, k, erase, log_decay, r, row, rows, heads, keys,
    STEPS: tl.constexpr, OWN: tl.constexpr, APART: tl.constexpr, CHUNK: tl.constexpr,
    LEVELS: tl.constexpr, KEYS: tl.constexpr, SUMS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Return products of what is erased and of queries with earlier keys as far as these reach."""
    step, inside = lines(row, rows, heads, 1, 0)
    removes = tl.zeros((CHUNK, CHUNK), SUMS)
    read = tl.zeros((CHUNK, CHUNK), SUMS)
    for first in range(0, keys, KEYS):
        col = first + tl.arange(0, KEYS)
        key = load(k, step, inside, col, keys, SUMS)
        erased = erased_of(erase, key, step, inside, col, keys, OWN, SUMS)
        query = queries(q, row, rows, heads, col, keys, STEPS, SUMS)
        if APART:
            f, _ = logs(log_decay, row, r, rows, heads, col, keys, STEPS, APART, CHUNK, SUMS)
            read += tl.where(r[:, None] == r[None, :], tl.sum(query * key, 1)[:, None], 0)
            for level in range(LEVELS):
                scale, across = split_pairs(f, r, level)
                until = tl.trans(key * scale)
                removes += tl.where(across, dot(erased * scale, until, PRECISION), 0)
                read += tl.where(across, dot(query * scale, until, PRECISION), 0)
        else:
            removes += dot(erased, tl.trans(key), PRECISION)
            read += dot(query, tl.trans(key), PRECISION)
    if not APART:
        f, _ = logs(log_decay, row, r, rows, heads, r, 1, STEPS, APART, CHUNK, SUMS)
        between = decays_between(f, r)
        removes *= between
        read *= between
    return removes, read


@triton.jit
@no_type_check
def inverted(lower, r, CHUNK: tl.constexpr, SUMS: tl.constexpr):
    """Return the inverse of a matrix with ones on its diagonal, whose rest is given."""
    columns = tl.trans(lower)
    solved = tl.where(r[:, None] == r[None, :], tl.full((CHUNK, CHUNK), 1, SUMS), 0)
    for now in range(1, CHUNK):
        factor = tl.sum(tl.where(r[None, :] == now, columns, 0), 1)
        line = tl.sum(factor[:, None] * solved, 0)
        solved -= tl.where(r[:, None] == now, line[None, :], 0)
    return solved


@triton.jit
@no_type_check
def decays_between(f, r):
    """Return the decays of a head between all pairs of rows; one above the diagonal."""
    return tl.exp(tl.cumsum(tl.where(r[:, None] > r[None, :], f, 0), 0))


@triton.jit
@no_type_check
def split_pairs(f, r, level):
    """Return decays to and from the middles of blocks, and which pairs lie across one."""
    half = r >> level
    late = half % 2 == 1
    reach = tl.where(late[:, None], r[None, :] <= r[:, None], r[None, :] > r[:, None])
    reach &= half[:, None] == half[None, :]
    # Logarithms are not rounded, whatever may be.
    scale = tl.exp(dot(reach.to(f.dtype), f, "tf32x3"))
    return scale, late[:, None] & (half[:, None] == half[None, :] + 1)


@triton.jit
@no_type_check
def dot(a, b, PRECISION: tl.constexpr):
    """Multiply matrices."""
    return tl.dot(a, b, input_precision=PRECISION)


@triton.jit
@no_type_check
def state_before(
    states, late, written, whole, chunk, chunks, key, keys, col, values,
    CHUNK: tl.constexpr, GROUP: tl.constexpr, SUMS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Return some rows and columns of the state before a chunk, from that before its group."""
    chain, r, group = tl.program_id(2).to(tl.int64), tl.arange(0, CHUNK), chunk // GROUP
    mark = chain * tl.cdiv(chunks, GROUP) + group
    state = load(states, mark * keys + key, key < keys, col, values, SUMS)
    for now in range(group * GROUP, chunk):
        line = (chain * chunks + now) * CHUNK + r
        reach = tl.trans(load(late, line, r >= 0, key, keys, SUMS))
        writes = load(written, line, r >= 0, col, values, SUMS)
        decay = tl.load(whole + (chain * chunks + now) * keys + key, mask=key < keys, other=0.0)
        state = state * decay[:, None] + dot(reach, writes, PRECISION)
    return state
