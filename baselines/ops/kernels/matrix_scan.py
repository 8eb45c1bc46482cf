"""The recurrence of matrices S_t = Diag(f_t) S_{t-1} + k_t (w_t v_t)^T, read as y_t = S_t^T q_t.

Gates f are of each key feature, of a head, or all one; `ssd` and `gla` are this, in an
order of their own.

A sequence is cut into chunks, which run side by side in three launches at every length: each chunk
from zero to its end; then the states before all chunks, one by one; then each chunk again, from the
state before it. A chunk has as many positions as there are chunks, so neither is many. A program
walks through its chunk by blocks of a few positions, whose pairs form a matrix, with the state of
some value features at hand.

The gradient is the same the other way round: the adjoint of the state decays as that does, adds
q_t dy_t^T where that adds k_t v_t^T, and is read for the gradient of v, in three launches. What is
left, the gradients of q, k, f and w, needs the state before and the adjoint after each block. Both
are written at marks, every few blocks, and the last launch makes those in between again. Chunks'
first states are held for it, and nothing else but the arguments.

Every factor between two positions is a product of the gates between them, made as a product in
`matrix_blocks`: nothing overflows or is divided, and a gate may be zero.

Sums are float32 unless an argument is double.

Axes: b batch, l length, g groups, h heads, k key features, v value features, c chunks.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.launch import launch, may_round
from baselines.ops.kernels.matrix_gradients import write_gradients
from baselines.ops.kernels.matrix_walks import write_ends, write_marks, write_outputs, write_starts

ROWS = 16
"""Positions of a block."""
BLOCKS = 4
"""Between marks."""
LEAST = 16
"""Features of a tile at least, which tensor cores ask for."""
STATE = 2048
"""Numbers of a state in a program, if tiles are not the least by then; more find no registers."""
WARP = 128
"""Numbers of a state that a warp takes, if eight suffice for them."""
LANES = 128
"""Numbers of a state that a program takes from chunk to chunk."""

NONE, HEAD, FEATURE = range(3)
"""What gates are of: there are none, heads have them, or key features."""

State = Float[Tensor, "b h k v"]


def matrix_scan(
    q: Float[Tensor, "b l g k"],
    k: Float[Tensor, "b l g k"],
    v: Float[Tensor, "b l h v"],
    state: State,
    gates: Float[Tensor, "b l h *k"] | None = None,
    weights: Float[Tensor, "b l h"] | None = None,
) -> tuple[Float[Tensor, "b l h v"], State]:
    """Return the outputs, in the precision of v, and the last state, in that of sums.

    Args:
        q: Where in the state an output is read; heads of a group share it.
        k: Where in the state a value is added, likewise.
        v: Values.
        state: Before the first position.
        gates: Of key features, in [0, 1]; or logarithms of those of heads, at most 0; or all one.
        weights: Of values, if features have no gates of their own; all one if None.
    """
    y, last = _MatrixScan.apply(q, k, v, state, gates, weights)  # type: ignore[no-untyped-call]
    return y, last


class _MatrixScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.rounded = may_round(given[2])
        scan = _Scan(*given, rounded=ctx.rounded)
        starts, products = scan.ends(scan.k, scan.v, scan.weights)
        last = scan.follow(starts, products, scan.state)
        ctx.save_for_backward(*scan.given, starts, products)
        return scan.outputs(scan.v, starts), last

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: Tensor | None, grad_last: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        *given, starts, products = ctx.saved_tensors
        scan = _Scan(*given, rounded=ctx.rounded)
        grad = torch.zeros_like(scan.v) if grad is None else _in_rows(grad)
        befores = scan.states(scan.mark)
        scan.walk(write_marks, scan.k, scan.v, scan.weights, starts, befores, scan.mark)
        ends, _ = scan.ends(scan.q, grad, None, adjoint=True)
        first = scan.follow(ends, products, grad_last, adjoint=True)
        afters = torch.empty_like(befores)
        grad_v = scan.outputs(grad, ends, afters, adjoint=True)
        wanted = ctx.needs_input_grad[4:]
        grad_q, grad_k, *rest = scan.gradients(grad, befores, afters, wanted)
        return grad_q, grad_k, grad_v, first.to(scan.state.dtype), *rest


class _Scan:
    """One scan: what it reads, how it is cut, and what its kernels are compiled for.

    Args:
        q: As the other tensors, an argument of `matrix_scan`.
        rounded: Whether factors of products may be.
    """

    def __init__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        state: Tensor,
        gates: Tensor | None,
        weights: Tensor | None,
        *,
        rounded: bool,
    ) -> None:
        self.q, self.k, self.v, self.state = _in_rows(q), _in_rows(k), _in_rows(v), state
        self.kind = 0 if gates is None else gates.ndim - 2
        self.gates = _in_rows(gates) if gates is not None and self.kind == FEATURE else gates
        self.weights = weights
        self.given = self.q, self.k, self.v, state, self.gates, weights
        (self.batch, self.length, self.heads, self.values), self.keys = v.shape, k.shape[3]
        every = [each.dtype for each in (q, k, v, state, gates, weights) if each is not None]
        self.dtype = torch.float64 if torch.float64 in every else torch.float32
        self.mark = ROWS * BLOCKS
        self.chunk = max(self.mark, 1 << math.ceil(math.log2(self.length) / 2))
        self.constants = {
            "GATES": self.kind,
            "SUMS": {torch.float32: tl.float32, torch.float64: tl.float64}[self.dtype],
        }
        self.products = {"PRECISION": "tf32" if rounded else "ieee", "ROWS": ROWS}

    def room(self, *shape: int) -> Tensor:
        """Return room for sums of each sequence."""
        return self.v.new_empty((self.batch, *shape), dtype=self.dtype)

    def states(self, positions: int) -> Tensor:
        """Return room for a state every so many positions."""
        return self.room(triton.cdiv(self.length, positions), self.heads, self.keys, self.values)

    def ends(
        self, k: Tensor, v: Tensor, weights: Tensor | None, *, adjoint: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Return the states after chunks that begin at zero, and the products of their gates.

        The adjoint has the same products.
        """
        ends, products = self.states(self.chunk), None
        if self.kind and not adjoint:
            products = self.room(*ends.shape[1:3], self.keys if self.kind == FEATURE else 1)
        self.walk(write_ends, k, v, weights, ends, products, adjoint=adjoint)
        return ends, products

    def follow(
        self,
        ends: Tensor,
        products: Tensor | None,
        initial: Tensor | None,
        *,
        adjoint: bool = False,
    ) -> Tensor:
        """Put the states before chunks where those after them were, and return the last one."""
        last = torch.empty_like(ends[:, 0])
        initial = None if initial is None else initial.contiguous()
        given = ends, products, initial, last, ends.shape[1], self.keys, self.values
        constants = self.constants | {"ADJOINT": adjoint, "LANES": LANES, "num_warps": 1}
        grid = triton.cdiv(self.keys * self.values, LANES), self.heads, self.batch
        launch(write_starts, grid, *given, **constants)
        return last

    def outputs(
        self, v: Tensor, starts: Tensor, marks: Tensor | None = None, *, adjoint: bool = False
    ) -> Tensor:
        """Return outputs; of the adjoint, gradients of values, with the states after marks."""
        y = torch.empty_like(v, memory_format=torch.contiguous_format)
        given = self.k, v, self.weights, starts, marks, self.mark, y
        self.walk(write_outputs, *given, queries=(self.q,), adjoint=adjoint)
        return y

    def walk(
        self,
        kernel: Any,
        k: Tensor,
        v: Tensor,
        weights: Tensor | None,
        *rest: Any,
        queries: tuple[Tensor, ...] = (),
        adjoint: bool = False,
    ) -> None:
        """Run a kernel whose programs hold the states of some value features through a chunk."""
        keys, values = _tiles(self.keys, self.values)
        tensors = *queries, k, v, self.gates, weights
        sizes = self.length, self.chunk, self.keys, self.values
        heads = self.heads, self.heads // self.q.shape[2]
        parts = self.heads * triton.cdiv(self.values, values)
        grid = triton.cdiv(self.length, self.chunk), parts, self.batch
        constants = self.tiled(keys, values) | {"ADJOINT": adjoint}
        launch(kernel, grid, *tensors, *_strides(tensors), *sizes, *heads, *rest, **constants)

    def tiled(self, keys: int, values: int) -> dict[str, Any]:
        """Return what kernels are compiled for whose programs hold a part of a state."""
        warps = min(8, max(1, keys * values // WARP))
        tiles = {"KEYS": keys, "VALUES": values, "num_warps": warps}
        return self.constants | self.products | tiles

    def gradients(
        self, grad: Tensor, befores: Tensor, afters: Tensor, wanted: Sequence[bool]
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Return the gradients of q, k, gates and weights from the states at marks."""
        values, keys = _tiles(self.values, self.keys)
        parts, groups = triton.cdiv(self.keys, keys), self.q.shape[2]
        alone = groups == self.heads
        shape = self.batch, self.length, self.heads
        grad_q, grad_k = (
            x.new_empty((*shape, self.keys), dtype=x.dtype if alone else self.dtype)
            for x in (self.q, self.k)
        )
        grad_gates, grad_weights = (
            None
            if x is None or not want
            else x.new_empty(x.shape)
            if x.ndim == 4
            else x.new_empty((parts, *shape), dtype=self.dtype)
            for x, want in zip((self.gates, self.weights), wanted, strict=True)
        )
        tensors = self.q, self.k, self.v, grad, self.gates, self.weights
        sizes = self.length, self.mark, self.keys, self.values, self.heads, self.heads // groups
        results = befores, afters, grad_q, grad_k, grad_gates, grad_weights
        grid = befores.shape[1], self.heads * parts, self.batch
        strides, constants = _strides(tensors), self.tiled(keys, values)
        launch(write_gradients, grid, *tensors, *strides, *sizes, *results, **constants)
        if not alone:
            grad_q, grad_k = (
                x.unflatten(2, (groups, -1)).sum(3).to(like.dtype)
                for x, like in ((grad_q, self.q), (grad_k, self.k))
            )
        if self.kind != FEATURE:
            grad_gates = _summed(grad_gates, self.gates)
        grad_weights = _summed(grad_weights, self.weights)
        return grad_q, grad_k, grad_gates, grad_weights


def _tiles(whole: int, shared: int) -> tuple[int, int]:
    """Return tiles that hold all features of one side of a state, and some of the other."""
    size = max(LEAST, triton.next_power_of_2(whole))
    return size, max(LEAST, min(triton.next_power_of_2(shared), STATE // size))


def _in_rows(x: Tensor) -> Tensor:
    """Return a tensor whose features are side by side."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _strides(tensors: Sequence[Tensor | None]) -> list[int]:
    """Return the strides of sequences, positions and heads."""
    return [n for x in tensors for n in ((0, 0, 0) if x is None else x.stride()[:3])]


def _summed(parts: Tensor | None, like: Tensor | None) -> Tensor | None:
    """Add what programs of a head found, each from its key features, if it is wanted."""
    if parts is None or like is None:
        return None
    return (parts[0] if len(parts) == 1 else parts.sum(0)).to(like.dtype)
