"""What `delta_rule` launches, chunk by chunk, and what it says of it holds here.

Rows of all steps of a sequence lie in one line for each head. A position has its decay in the first
of its steps and its query in the last one; other steps have a decay of one and a query of zero.

In names, `late` is what reaches the end of a chunk, `early` what reaches its beginning; `removes`
and `reads` are (s, s) products of rows with earlier ones.
"""

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check
def solve(
    q, k, v, log_decay, erase, write, reads, taken, written, late, whole, early, inverse,
    rows, heads, keys, values,
    STEPS: tl.constexpr, APART: tl.constexpr, CHUNK: tl.constexpr, LEVELS: tl.constexpr,
    KEYS: tl.constexpr, VALUES: tl.constexpr, SUMS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write what `_Chunks.solved` says."""
    chunk, chain, r, row, every = _rows(CHUNK)
    step, inside = _at(row, rows, heads, 1, 0)
    removes, read = _pairs(
        q, k, log_decay, r, row, rows, heads, keys, STEPS, APART, CHUNK, LEVELS, KEYS, SUMS,
        PRECISION,
    )  # fmt: skip
    gate = _gate(erase, step, inside, SUMS)
    removes = tl.where(r[:, None] > r[None, :], removes * gate, 0)
    solved = _inverse(removes, r, CHUNK, SUMS)
    place = (chain * tl.num_programs(0) + chunk) * CHUNK + r
    _store(reads, place, every, r, CHUNK, tl.where(r[:, None] >= r[None, :], read, 0))
    if inverse is not None:
        _store(inverse, place, every, r, CHUNK, solved)
    for first in range(0, keys, KEYS):
        col = first + tl.arange(0, KEYS)
        key = _load(k, step, inside, col, keys, SUMS)
        f, after = _logs(log_decay, row, r, rows, heads, col, keys, STEPS, APART, CHUNK, SUMS)
        since = tl.exp(tl.cumsum(f, 0))
        until = tl.exp(tl.cumsum(after, 0, reverse=True))
        _store(taken, place, every, col, keys, _dot(solved, key * gate * since, PRECISION))
        _store(late, place, every, col, keys, key * until)
        if early is not None:
            query = _queries(q, row, rows, heads, col, keys, STEPS, SUMS)
            _store(early, place, every, col, keys, query * since)
        total = tl.exp(tl.sum(f, 0)) + tl.zeros((KEYS,), SUMS)
        tl.store(whole + (chain * tl.num_programs(0) + chunk) * keys + col, total, mask=col < keys)
    share = _gate(write, step, inside, SUMS)
    for first in range(0, values, VALUES):
        col = first + tl.arange(0, VALUES)
        value = _load(v, step, inside, col, values, SUMS)
        _store(written, place, every, col, values, _dot(solved, value * share, PRECISION))


@triton.jit
@no_type_check
def walk(
    taken, written, late, whole, initial, states, last, rows, keys, values,
    CHUNK: tl.constexpr, KEYS: tl.constexpr, VALUES: tl.constexpr, SUMS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Write the states before the chunks, and in place of what is written what really is."""
    r, key, col, chain = _columns(CHUNK, KEYS, VALUES)
    chunks, every = tl.cdiv(rows, CHUNK), r >= 0
    state = _load(initial, chain * keys + key, key < keys, col, values, SUMS)
    for chunk in range(chunks):
        place = chain * chunks + chunk
        _store(states, place * keys + key, key < keys, col, values, state)
        line = place * CHUNK + r
        takes = _load(taken, line, every, key, keys, SUMS)
        writes = _load(written, line, every, col, values, SUMS)
        writes -= _dot(takes, state, PRECISION)
        _store(written, line, every, col, values, writes)
        reach = tl.trans(_load(late, line, every, key, keys, SUMS))
        decay = tl.load(whole + place * keys + key, mask=key < keys, other=0.0)
        state = state * decay[:, None] + _dot(reach, writes, PRECISION)
    _store(last, chain * keys + key, key < keys, col, values, state)


@triton.jit
@no_type_check
def read(
    q, log_decay, reads, written, states, y, rows, heads, keys, values,
    STEPS: tl.constexpr, APART: tl.constexpr, CHUNK: tl.constexpr, KEYS: tl.constexpr,
    VALUES: tl.constexpr, SUMS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write outputs."""
    chunk, chain, r, row, every = _rows(CHUNK)
    col = tl.program_id(1) * VALUES + tl.arange(0, VALUES)
    place = chain * tl.num_programs(0) + chunk
    line = place * CHUNK + r
    inner = _load(reads, line, every, r, CHUNK, SUMS)
    sums = _dot(inner, _load(written, line, every, col, values, SUMS), PRECISION)
    for first in range(0, keys, KEYS):
        key = first + tl.arange(0, KEYS)
        query = _queries(q, row, rows, heads, key, keys, STEPS, SUMS)
        f, _ = _logs(log_decay, row, r, rows, heads, key, keys, STEPS, APART, CHUNK, SUMS)
        state = _load(states, place * keys + key, key < keys, col, values, SUMS)
        sums += _dot(query * tl.exp(tl.cumsum(f, 0)), state, PRECISION)
    at, had = _at(row, rows, heads, STEPS, STEPS - 1)
    _store(y, at, had, col, values, sums)


@triton.jit
@no_type_check
def walk_back(
    grad_y, reads, taken, early, late, whole, grad_last, grad_states, grad_written, grad_initial,
    rows, heads, keys, values,
    STEPS: tl.constexpr, CHUNK: tl.constexpr, KEYS: tl.constexpr, VALUES: tl.constexpr,
    SUMS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write the gradients of the states after the chunks, and of what is written."""
    r, key, col, chain = _columns(CHUNK, KEYS, VALUES)
    chunks, every = tl.cdiv(rows, CHUNK), r >= 0
    grad = tl.zeros((KEYS, VALUES), SUMS)
    if grad_last is not None:
        grad += _load(grad_last, chain * keys + key, key < keys, col, values, SUMS)
    for back in range(chunks):
        chunk = chunks - 1 - back
        place = chain * chunks + chunk
        _store(grad_states, place * keys + key, key < keys, col, values, grad)
        line = place * CHUNK + r
        at, had = _at(chunk * CHUNK + r, rows, heads, STEPS, STEPS - 1)
        above = _load(grad_y, at, had, col, values, SUMS)
        inner = tl.trans(_load(reads, line, every, r, CHUNK, SUMS))
        reach = _load(late, line, every, key, keys, SUMS)
        writes = _dot(inner, above, PRECISION) + _dot(reach, grad, PRECISION)
        _store(grad_written, line, every, col, values, writes)
        decay = tl.load(whole + place * keys + key, mask=key < keys, other=0.0)
        begin = tl.trans(_load(early, line, every, key, keys, SUMS))
        takes = tl.trans(_load(taken, line, every, key, keys, SUMS))
        grad = grad * decay[:, None] + _dot(begin, above, PRECISION)
        grad -= _dot(takes, writes, PRECISION)
    _store(grad_initial, chain * keys + key, key < keys, col, values, grad)


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
    chunk, chain, r, row, every = _rows(CHUNK)
    step, inside = _at(row, rows, heads, 1, 0)
    at, had = _at(row, rows, heads, STEPS, STEPS - 1)
    line = (chain * tl.num_programs(0) + chunk) * CHUNK + r
    solved = tl.trans(_load(inverse, line, every, r, CHUNK, SUMS))
    share = _gate(write, step, inside, SUMS)
    removed = tl.zeros((CHUNK, CHUNK), SUMS)
    read = tl.zeros((CHUNK, CHUNK), SUMS)
    shares = tl.zeros((CHUNK,), SUMS)
    for first in range(0, values, VALUES):
        col = first + tl.arange(0, VALUES)
        known = _dot(solved, _load(grad_written, line, every, col, values, SUMS), PRECISION)
        writes = tl.trans(_load(written, line, every, col, values, SUMS))
        removed -= _dot(known, writes, PRECISION)
        read += _dot(_load(grad_y, at, had, col, values, SUMS), writes, PRECISION)
        shares += tl.sum(known * _load(v, step, inside, col, values, SUMS), 1)
        _store(grad_written, line, every, col, values, known)
        _store(grad_v, step, inside, col, values, known * share)
    tl.store(grad_write + step, shares, mask=inside)
    _store(inverse, line, every, r, CHUNK, tl.where(r[:, None] > r[None, :], removed, 0))
    _store(reads, line, every, r, CHUNK, tl.where(r[:, None] >= r[None, :], read, 0))


@triton.jit
@no_type_check
def write_gradients_of_keys(
    q, k, log_decay, erase, grad_y, written, grad_reads, grad_removed, grad_known, states,
    grad_states, grad_q, grad_k, grad_erase, grad_decay, rows, heads, keys, values,
    STEPS: tl.constexpr, APART: tl.constexpr, CHUNK: tl.constexpr, LEVELS: tl.constexpr,
    KEYS: tl.constexpr, VALUES: tl.constexpr, SUMS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write the gradients of queries, keys, decays and erase gates, from some key features."""
    chunk, chain, r, row, every = _rows(CHUNK)
    step, inside = _at(row, rows, heads, 1, 0)
    at, had = _at(row, rows, heads, STEPS, STEPS - 1)
    place = chain * tl.num_programs(0) + chunk
    line = place * CHUNK + r
    col = tl.program_id(1) * KEYS + tl.arange(0, KEYS)
    grad_a = tl.zeros((CHUNK, KEYS), SUMS)
    grad_b = tl.zeros((CHUNK, KEYS), SUMS)
    grad_c = tl.zeros((CHUNK, KEYS), SUMS)
    held = tl.zeros((KEYS,), SUMS)
    for first in range(0, values, VALUES):
        value = first + tl.arange(0, VALUES)
        state = _load(states, place * keys + col, col < keys, value, values, SUMS)
        grad = _load(grad_states, place * keys + col, col < keys, value, values, SUMS)
        held += tl.sum(state * grad, 1)
        state = tl.trans(state)
        known = _load(grad_known, line, every, value, values, SUMS)
        grad_a -= _dot(known, state, PRECISION)
        grad_b += _dot(_load(grad_y, at, had, value, values, SUMS), state, PRECISION)
        writes = _load(written, line, every, value, values, SUMS)
        grad_c += _dot(writes, tl.trans(grad), PRECISION)
    key = _load(k, step, inside, col, keys, SUMS)
    query = _queries(q, row, rows, heads, col, keys, STEPS, SUMS)
    gate = _gate(erase, step, inside, SUMS)
    erased = key * gate
    f, after = _logs(log_decay, row, r, rows, heads, col, keys, STEPS, APART, CHUNK, SUMS)
    since = tl.exp(tl.cumsum(f, 0))
    grad_a *= since
    grad_b *= since
    grad_c *= tl.exp(tl.cumsum(after, 0, reverse=True))
    # A decay counts for what is read after it of what was before it.
    upto = erased * grad_a + query * grad_b
    from_ = key * grad_c
    decay = tl.cumsum(from_, 0) - from_ + (held * tl.exp(tl.sum(f, 0)))[None, :]
    removed = _load(grad_removed, line, every, r, CHUNK, SUMS)
    read = _load(grad_reads, line, every, r, CHUNK, SUMS)
    if APART:
        own = tl.sum(tl.where(r[:, None] == r[None, :], read, 0), 1)[:, None]
        grad_b += own * key
        grad_c += own * query
    else:
        between = _between(f, r)
        removed *= between
        read *= between
    for level in range(LEVELS):
        scale, one, two = 1.0, removed, read
        if APART:
            scale, across = _across(f, r, level)
            one = tl.where(across, removed, 0)
            two = tl.where(across, read, 0)
        part_a = _dot(one, key * scale, PRECISION) * scale
        part_b = _dot(two, key * scale, PRECISION) * scale
        part_c = _dot(tl.trans(one), erased * scale, PRECISION)
        part_c = (part_c + _dot(tl.trans(two), query * scale, PRECISION)) * scale
        grad_a += part_a
        grad_b += part_b
        grad_c += part_c
        upto += erased * part_a + query * part_b - key * part_c
    decay += tl.cumsum(upto, 0, reverse=True)
    _store(grad_q, at, had, col, keys, grad_b)
    _store(grad_k, step, inside, col, keys, grad_c + grad_a * gate)
    blocks = (tl.num_programs(2) // heads * rows).to(tl.int64) * heads
    tl.store(grad_erase + tl.program_id(1) * blocks + step, tl.sum(grad_a * key, 1), mask=inside)
    at, had = _at(row, rows, heads, STEPS, 0)
    if APART:
        _store(grad_decay, at, had, col, keys, decay)
    else:
        place = grad_decay + tl.program_id(1) * (blocks // STEPS) + at
        tl.store(place, tl.sum(decay, 1), mask=had)


@triton.jit
@no_type_check
def _rows(CHUNK: tl.constexpr):
    """Return a program's chunk and head, its rows in the chunk and in the sequence, and ones."""
    r, chunk = tl.arange(0, CHUNK), tl.program_id(0)
    return chunk, tl.program_id(2).to(tl.int64), r, chunk * CHUNK + r, r >= 0


@triton.jit
@no_type_check
def _columns(CHUNK: tl.constexpr, KEYS: tl.constexpr, VALUES: tl.constexpr):
    """Return rows of a chunk, key features, a program's columns, and its head."""
    col = tl.program_id(0) * VALUES + tl.arange(0, VALUES)
    return tl.arange(0, CHUNK), tl.arange(0, KEYS), col, tl.program_id(2).to(tl.int64)


@triton.jit
@no_type_check
def _at(row, rows, heads, STEPS: tl.constexpr, STEP: tl.constexpr):
    """Return where a head's rows lie that are one of several steps, and which are."""
    chain = tl.program_id(2).to(tl.int64)
    place = chain // heads * (rows // STEPS) + row // STEPS
    return place * heads + chain % heads, (row < rows) & (row % STEPS == STEP)


@triton.jit
@no_type_check
def _load(x, row, had, col, features, SUMS: tl.constexpr):
    mask = had[:, None] & (col < features)[None, :]
    return tl.load(x + row[:, None] * features + col[None, :], mask=mask, other=0.0).to(SUMS)


@triton.jit
@no_type_check
def _store(x, row, had, col, features, value):
    mask = had[:, None] & (col < features)[None, :]
    tl.store(x + row[:, None] * features + col[None, :], value, mask=mask)


@triton.jit
@no_type_check
def _gate(x, row, had, SUMS: tl.constexpr):
    """Read a column."""
    return tl.load(x + row[:, None], mask=had[:, None], other=0.0).to(SUMS)


@triton.jit
@no_type_check
def _queries(q, row, rows, heads, col, keys, STEPS: tl.constexpr, SUMS: tl.constexpr):
    """Read queries, which the last step of a position has; those of the others are zero."""
    at, had = _at(row, rows, heads, STEPS, STEPS - 1)
    return _load(q, at, had, col, keys, SUMS)


@triton.jit
@no_type_check
def _logs(
    log_decay, row, r, rows, heads, col, keys,
    STEPS: tl.constexpr, APART: tl.constexpr, CHUNK: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """Read logarithms of decays, which the first step of a position has, and the next row's."""
    at, had = _at(row, rows, heads, STEPS, 0)
    following, has = _at(row + 1, rows, heads, STEPS, 0)
    has &= r + 1 < CHUNK
    if APART:
        now = _load(log_decay, at, had, col, keys, SUMS)
        after = _load(log_decay, following, has, col, keys, SUMS)
    else:
        now = _gate(log_decay, at, had, SUMS)
        after = _gate(log_decay, following, has, SUMS)
    return now, after


@triton.jit
@no_type_check
def _pairs(
    q, k, log_decay, r, row, rows, heads, keys,
    STEPS: tl.constexpr, APART: tl.constexpr, CHUNK: tl.constexpr, LEVELS: tl.constexpr,
    KEYS: tl.constexpr, SUMS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Return products of keys and of queries with earlier keys as far as these reach."""
    step, inside = _at(row, rows, heads, 1, 0)
    removes = tl.zeros((CHUNK, CHUNK), SUMS)
    read = tl.zeros((CHUNK, CHUNK), SUMS)
    for first in range(0, keys, KEYS):
        col = first + tl.arange(0, KEYS)
        key = _load(k, step, inside, col, keys, SUMS)
        query = _queries(q, row, rows, heads, col, keys, STEPS, SUMS)
        if APART:
            f, _ = _logs(log_decay, row, r, rows, heads, col, keys, STEPS, APART, CHUNK, SUMS)
            read += tl.where(r[:, None] == r[None, :], tl.sum(query * key, 1)[:, None], 0)
            for level in range(LEVELS):
                scale, across = _across(f, r, level)
                until = tl.trans(key * scale)
                removes += tl.where(across, _dot(key * scale, until, PRECISION), 0)
                read += tl.where(across, _dot(query * scale, until, PRECISION), 0)
        else:
            removes += _dot(key, tl.trans(key), PRECISION)
            read += _dot(query, tl.trans(key), PRECISION)
    if not APART:
        f, _ = _logs(log_decay, row, r, rows, heads, r, 1, STEPS, APART, CHUNK, SUMS)
        between = _between(f, r)
        removes *= between
        read *= between
    return removes, read


@triton.jit
@no_type_check
def _inverse(lower, r, CHUNK: tl.constexpr, SUMS: tl.constexpr):
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
def _between(f, r):
    """Return the decays of a head between all pairs of rows; one above the diagonal."""
    return tl.exp(tl.cumsum(tl.where(r[:, None] > r[None, :], f, 0), 0))


@triton.jit
@no_type_check
def _across(f, r, level):
    """Return decays to and from the middles of blocks, and which pairs lie across one."""
    half = r >> level
    late = half % 2 == 1
    reach = tl.where(late[:, None], r[None, :] <= r[:, None], r[None, :] > r[:, None])
    reach &= half[:, None] == half[None, :]
    # Logarithms are not rounded, whatever may be.
    scale = tl.exp(_dot(reach.to(f.dtype), f, "tf32x3"))
    return scale, late[:, None] & (half[:, None] == half[None, :] + 1)


@triton.jit
@no_type_check
def _dot(a, b, PRECISION: tl.constexpr):
    return tl.dot(a, b, input_precision=PRECISION)
