"""The gated delta rule, chunk by chunk: three launches forwards, six backwards, at every length.

All steps of a sequence lie in a row, cut into chunks. Within one, all that needs no state is made
for all chunks at once: a unit triangular matrix is inverted row by row, which loses no digits where
erase gates reach 2, and turns values and keys into what each step would write from a state of zero,
and what it would take from another. Then one program for some columns of the values walks through
the chunks with their part of the state, and the outputs are read for all chunks at once.

Backwards, all of this is computed again from the arguments; a second walk, from the end, carries
the gradient of the state; and the rest is again done for all chunks at once. States and their
gradients are held between groups of chunks, while a pass lasts, and made again within a group from
what its steps write. Nothing is held in between passes.

Decays are products over the positions between two steps. Where a head decays as one, their sums of
logarithms are (s, s) running sums. Where each key feature decays on its own, a pair of steps is
split at the middle of the smallest block, of a power of two steps, that holds both: what lies
before and what lies after are sums of their own. So nothing is raised that is above zero, and
sums are never subtracted, whatever the decays.

Sums are float32 unless values are double. Where torch may round products of single precision, under
`autocast` or by its own switch, or where the arguments are half precision, factors are rounded to
TF32; else each is split in two.

Axes: b batch, l length, p steps of a position, h heads, k key features, v value features; c chunks,
s rows of a chunk.
"""

from inspect import signature
from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels import delta_chunks, delta_gradients
from baselines.ops.kernels.launch import launch, may_round
from baselines.ops.scans.delta_rule import Gates, Keys, Outputs, Queries, State, Values

CHUNK = 64
"""Steps of a chunk."""
GROUP = 4
"""Chunks between states that are held."""
BLOCK = 32
"""Features that a program takes at a time."""
COLUMNS = 16
"""Columns of a state that a program takes through the chunks."""
LEAST = 16
"""Rows and columns of a matrix product at least."""


def delta_rule(q: Queries, k: Keys, v: Values, gates: Gates, state: State) -> tuple[Outputs, State]:
    """Return the outputs and the last state; see `baselines.ops.scans.delta_rule`.

    Erase and write gates are shared by all features.
    """
    result: tuple[Tensor, Tensor] = _DeltaRule.apply(q, k, v, *gates, state)  # type: ignore[no-untyped-call]
    return result


def erasing_delta_rule(
    q: Queries, k: Keys, v: Values, erased: Keys, log_decay: Float[Tensor, "b l h k"], state: State
) -> tuple[Outputs, State]:
    """Return the same where a step takes away what is read under a key of its own, S'^T erased_t.

    Its values are written whole.
    """
    result: tuple[Tensor, Tensor] = _DeltaRule.apply(q, k, v, log_decay, erased, None, state)  # type: ignore[no-untyped-call]
    return result


class _DeltaRule(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, Tensor]:
        # Nothing is cast while a gradient is computed, so it is asked for here.
        ctx.rounded = may_round(given[2])
        ctx.set_materialize_grads(False)
        chunks = _Chunks(*(x if x is None else x.contiguous() for x in given), rounded=ctx.rounded)
        ctx.save_for_backward(*chunks.given)
        reads, taken, written, late, whole = chunks.solved()
        states, last = chunks.walked(taken, written, late, whole)
        q, _, v, log_decay, *_ = chunks.given
        y = torch.empty_like(v[:, :, 0], memory_format=torch.contiguous_format)
        given = q, log_decay, reads, written, late, whole, states, y
        chunks.launch(delta_chunks.read, chunks.by_values(), *given)
        return y, last

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_y: Tensor | None, grad_last: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        chunks = _Chunks(*ctx.saved_tensors, rounded=ctx.rounded)
        q, k, v, log_decay, erase, write, state = chunks.given
        early, inverse = chunks.room(chunks.keys), chunks.room(chunks.chunk)
        reads, taken, written, late, whole = chunks.solved(early, inverse)
        states, _ = chunks.walked(taken, written, late, whole)
        grad_y = torch.zeros_like(v[:, :, 0]) if grad_y is None else grad_y.contiguous()
        grad_last = None if grad_last is None else grad_last.contiguous()
        grad_written, grad_states = torch.empty_like(written), torch.empty_like(states)
        grad_q, grad_k, grad_v, grad_write, grad_state = (
            None if each is None else torch.empty_like(each) for each in (q, k, v, write, state)
        )
        chunks.walk(
            delta_gradients.walk_back, grad_y, reads, taken, early, late, whole, grad_last,
            grad_states, grad_written, grad_state,
        )  # fmt: skip
        # From here on, room is used again for the gradients of what it held.
        chunks.launch(
            delta_gradients.write_gradients_of_values, (chunks.count, 1, chunks.chains),
            v, write, grad_y, written, reads, inverse, grad_written, grad_v, grad_write,
        )  # fmt: skip
        grid, shared = chunks.by_keys(), log_decay.shape[-1] == 1
        parts = 1 if chunks.own else grid[1]
        grad_erase = erase.new_empty(parts, *erase.shape, dtype=chunks.sums)
        grad_decay = erase.new_empty(*[grid[1]] * shared, *log_decay.shape, dtype=chunks.sums)
        chunks.launch(
            delta_gradients.write_gradients_of_keys, grid, q, k, log_decay, erase, grad_y, written,
            late, early, whole, reads, inverse, grad_written, states, grad_states, grad_q, grad_k,
            grad_erase, grad_decay,
        )  # fmt: skip
        grad_decay = (grad_decay.sum(0) if shared else grad_decay).to(log_decay.dtype)
        grad_erase = (grad_erase[0] if parts == 1 else grad_erase.sum(0)).to(erase.dtype)
        return grad_q, grad_k, grad_v, grad_decay, grad_erase, grad_write, grad_state


class _Chunks:
    """The arguments, without gaps, of a sequence cut into chunks, and what runs over these."""

    def __init__(self, *given: Any, rounded: bool) -> None:
        self.given = given
        _, k, v, log_decay, _, write, state = given
        self.state: Tensor = state
        self.own = write is None
        batch, length, steps, heads, self.keys = k.shape
        self.values, rows = v.shape[-1], length * steps
        self.chunk = min(CHUNK, _tile(rows))
        self.count, self.chains = triton.cdiv(rows, self.chunk), batch * heads
        self.sizes = {"rows": rows, "heads": heads, "keys": self.keys, "values": self.values}
        self.sums = torch.promote_types(v.dtype, torch.float32)
        self.key_block, self.value_block = (
            min(BLOCK, _tile(features)) for features in (self.keys, self.values)
        )
        apart = log_decay.shape[-1] > 1
        self.constants = {
            "STEPS": steps,
            "OWN": self.own,
            "APART": apart,
            "CHUNK": self.chunk,
            "GROUP": GROUP,
            "LEVELS": self.chunk.bit_length() - 1 if apart else 1,
            "KEYS": self.key_block,
            "VALUES": self.value_block,
            "SUMS": tl.float64 if self.sums == torch.float64 else tl.float32,
            "PRECISION": "tf32" if rounded else "tf32x3",
            "num_warps": 8,
            "num_stages": 1,
        }

    def by_keys(self) -> tuple[int, ...]:
        """Return programs for each block of key features of each chunk."""
        return self.count, triton.cdiv(self.keys, self.key_block), self.chains

    def by_values(self) -> tuple[int, ...]:
        """Return programs for each block of value features of each chunk."""
        return self.count, triton.cdiv(self.values, self.value_block), self.chains

    def launch(
        self, kernel: Any, grid: tuple[int, ...], *given: Tensor | None, **constants: Any
    ) -> None:
        """Run a kernel, with those sizes and constants that it asks for."""
        asked = {*signature(kernel.fn).parameters, "num_warps", "num_stages"}
        sizes = [each for name, each in self.sizes.items() if name in asked]
        constants = self.constants | constants
        constants = {name: each for name, each in constants.items() if name in asked}
        launch(kernel, grid, *given, *sizes, **constants)

    def room(self, *shape: int) -> Tensor:
        """Return room for each row of all chunks, or of another shape for each chunk."""
        shape = shape if len(shape) > 1 else (self.chunk, *shape)
        return self.state.new_empty(self.chains, self.count, *shape, dtype=self.sums)

    def solved(self, early: Tensor | None = None, inverse: Tensor | None = None) -> list[Tensor]:
        """Return what is made of all chunks without a state, in this order.

        Reads: what a row reads of what each row of its chunk writes. Taken: what a row's write
        loses by the state before the chunk. Written: what it writes where that is zero. Late: keys
        as far as they reach the end. Whole: decays of the state. If there is room, also queries as
        far as they reach the beginning, and the inverse.
        """
        q, k, v, log_decay, erase, write, _ = self.given
        made = [self.room(size) for size in (self.chunk, self.keys, self.values, self.keys)]
        made.append(self.room(1, self.keys))
        given = q, k, v, log_decay, erase, write, *made, early, inverse
        self.launch(delta_chunks.solve, (self.count, 1, self.chains), *given)
        return made

    def walked(
        self, taken: Tensor, written: Tensor, late: Tensor, whole: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the states before groups and the last one, and complete what is written."""
        groups = triton.cdiv(self.count, GROUP)
        states = self.state.new_empty(self.chains, groups, self.keys, self.values, dtype=self.sums)
        last = torch.empty_like(self.state, dtype=self.sums)
        self.walk(delta_chunks.walk, taken, written, late, whole, self.state, states, last)
        return states, last

    def walk(self, kernel: Any, *given: Tensor | None) -> None:
        """Run a kernel whose programs take some columns of the state through all chunks."""
        columns = min(COLUMNS, self.value_block)
        grid = triton.cdiv(self.values, columns), 1, self.chains
        self.launch(kernel, grid, *given, KEYS=_tile(self.keys), VALUES=columns)


def _tile(size: int) -> int:
    return max(LEAST, int(triton.next_power_of_2(size)))
