"""The mesa layer: a state that answers with the least-squares fit of what it has seen.

von Oswald et al. 2025, "MesaNet". A head sums keys with keys and keys with values, both fading,

    H_t = f_t H_{t-1} + beta_t k_t k_t^T,    G_t = f_t G_{t-1} + beta_t k_t v_t^T,

and y_t = G_t^T x_t where (H_t + Diag(ridge)) x_t = q_t: linear regression from keys to values,
fitted anew at each position. The systems of all positions are solved side by side by conjugate
gradients from q / diagonal; a product with H_t is one with the sum that entered the chunk, and one
with the keys since. Gradients are those of the exact solution, by as many steps of the same solver:
H is symmetric, so they need no others.

Axes: b batch, l length, h heads, k key features, v value features; n chunks, s rows of a chunk.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from baselines.ops.scans.checkpointed_scan import checkpointed_scan
from baselines.ops.scans.ssd import decays_between
from harness.api import recording

CHUNK = 64
"""Positions whose products form one matrix."""
SEGMENT = 1024
"""Positions of the whole batch whose systems are solved at a time."""

Keys = Float[Tensor, "b l h k"]
Values = Float[Tensor, "b l h v"]
MesaState = tuple[Float[Tensor, "b h k k"], Float[Tensor, "b h k v"]]
"""H and G."""
Product = Callable[[Tensor], Tensor]


def mesa(
    signals: tuple[Keys, Keys, Values],
    log_f: Float[Tensor, "b l h"],
    beta: Float[Tensor, "b l h"],
    ridge: Float[Tensor, "h k"],
    state: MesaState,
    *,
    steps: int,
) -> tuple[Values, MesaState]:
    """Return the outputs and the last state. Float32 at least.

    Memory O(b l h (k + v)); systems are solved again for the gradient.

    Args:
        signals: Queries, keys and values.
        log_f: Logarithms of the decays, at most 0.
        beta: Weights of the positions, not negative.
        ridge: What is added to the diagonals, positive.
        state: Before the first position.
        steps: Of the solver.
    """
    values = signals[2]
    if not values.shape[1]:
        return values, state
    dtype = torch.promote_types(values.dtype, torch.float32)
    rows = max(1, SEGMENT // (CHUNK * max(1, len(values)))) * CHUNK
    inputs = tuple(part.to(dtype) for part in (*signals, log_f, beta))
    start = tuple(part.to(dtype) for part in state)
    with torch.autocast(values.device.type, enabled=False):
        y, (H, G) = checkpointed_scan(
            partial(_segment, steps), rows, start, inputs, (ridge.to(dtype),)
        )
    return y.to(values.dtype), (H, G)


def exact_mesa(
    signals: tuple[Keys, Keys, Values],
    log_f: Float[Tensor, "b l h"],
    beta: Float[Tensor, "b l h"],
    ridge: Float[Tensor, "h k"],
    state: MesaState,
) -> tuple[Values, MesaState]:
    """Take the positions one by one and solve each system by factors, the twin of `mesa`."""
    (q, k, v), (H, G), outputs = signals, state, []
    for now in range(q.shape[1]):
        f = log_f[:, now].exp()[..., None, None]
        key = (beta[:, now, :, None] * k[:, now])[..., None]
        H, G = f * H + key * k[:, now, :, None], f * G + key * v[:, now, :, None]
        solved = torch.linalg.solve(H + torch.diag_embed(ridge), q[:, now])
        outputs.append(torch.einsum("bhk,bhkv->bhv", solved, G))
    return torch.stack(outputs, 1), (H, G)


def mesa_step(
    signals: tuple[Float[Tensor, "b h k"], Float[Tensor, "b h k"], Float[Tensor, "b h v"]],
    log_f: Float[Tensor, "b h"],
    beta: Float[Tensor, "b h"],
    ridge: Float[Tensor, "h k"],
    state: MesaState,
    *,
    steps: int,
) -> tuple[Float[Tensor, "b h v"], MesaState]:
    """Advance one position without gradients; returns the output and the state, made in place."""
    H, G = state
    with torch.autocast(H.device.type, enabled=False):
        q, k, v, log_f, beta = (part.to(H) for part in (*signals, log_f, beta))
        f, key = log_f.exp()[..., None, None], (beta[..., None] * k)[..., None]
        H.mul_(f).addcmul_(key, k[..., None, :])
        G.mul_(f).addcmul_(key, v[..., None, :])
        x = solve(partial(_with_ridge, H, ridge), q, H.diagonal(dim1=-2, dim2=-1) + ridge, steps)
        return (x[..., None, :] @ G).squeeze(-2), (H, G)


def _with_ridge(H: Tensor, ridge: Tensor, x: Tensor) -> Tensor:
    return torch.addcmul((x[..., None, :] @ H).squeeze(-2), x, ridge)


def solve(
    product: Product, target: Float[Tensor, "*r k"], diagonal: Float[Tensor, "*r k"], steps: int
) -> Float[Tensor, "*r k"]:
    """Solve symmetric positive systems by conjugate gradients, all rows side by side.

    Args:
        product: Multiplies each row with its system's matrix.
        target: What the products are to be.
        diagonal: Of the matrices; the first guess is the target divided by it.
        steps: At most so many; it ends where another would be lost in rounding.
    """
    tiny, eps = torch.finfo(target.dtype).tiny, torch.finfo(target.dtype).eps
    x = target / diagonal
    residual = target - product(x)
    direction, size = residual, residual.square().sum(-1, keepdim=True)
    # It moves a solution by less than eps, unless the condition is 1 / eps and no digit is known.
    least = (eps**2 * target).square().sum(-1, keepdim=True)
    for _ in range(steps):
        if not recording() and bool((size <= least).all()):
            break
        image = product(direction)
        rate = size / (direction * image).sum(-1, keepdim=True).clamp(min=tiny)
        x = torch.addcmul(x, rate, direction)
        residual = torch.addcmul(residual, rate, image, value=-1)
        before, size = size, residual.square().sum(-1, keepdim=True)
        direction = torch.addcmul(residual, size / before.clamp(min=tiny), direction)
    return x


class _Solved(torch.autograd.Function):
    """Adds to a solution what its residual, which is nought, would add: only gradients see it."""

    @staticmethod
    def forward(
        ctx: Any, residual: Tensor, x: Tensor, diagonal: Tensor, product: Product, steps: int
    ) -> Tensor:
        ctx.save_for_backward(diagonal)
        ctx.product, ctx.steps = product, steps
        return x + torch.zeros_like(residual)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (diagonal,) = ctx.saved_tensors
        return solve(ctx.product, grad, diagonal, ctx.steps), None, None, None, None


def _segment(
    steps: int, start: tuple[Tensor, Tensor], *parts: Tensor
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Do a segment: sums that enter its chunks in turn, then the systems of all its positions."""
    H, G = start
    *inputs, ridge = parts
    length = inputs[0].shape[1]
    size = min(CHUNK, 1 << (length - 1).bit_length())
    q, k, v, log_f, beta = (_chunks(part, size) for part in inputs)
    # Small next to the rest, so in double: differences of the sums keep all their digits.
    total = log_f.double().cumsum(-2)
    since, until = (part.to(k) for part in (total.exp(), (total[..., -1:, :] - total).exp()))
    # Weights of past positions, which the key and value sums of a chunk share.
    weights = decays_between(total[..., 0]).to(k) * beta.mT
    added, both = (k * until * beta).mT, torch.cat([k, v], -1)
    entering, inner = [], torch.cat([H, G], -1).flatten(0, 1)
    for decay, new in zip(since[:, :, -1:], added @ both, strict=True):
        entering.append(inner)
        inner = decay * inner + new
    sums = torch.stack(entering)
    features = k.shape[-1]
    ridge = ridge.repeat(len(H), 1)[None, :, None]
    x = _fit(steps, q, (k, weights, since, sums[..., :features], ridge))
    y = (x * since) @ sums[..., features:] + ((x @ k.mT) * weights) @ v
    y = y.unflatten(1, H.shape[:2]).permute(1, 0, 3, 2, 4).flatten(1, 2)[:, :length]
    H, G = inner.unflatten(0, H.shape[:2]).split([features, v.shape[-1]], -1)
    return y, (H, G)


def _fit(steps: int, q: Tensor, system: tuple[Tensor, ...]) -> Tensor:
    """Solve the systems of all positions; the gradient sees the solution, not the steps."""
    with torch.no_grad():
        fixed = tuple(part.detach() for part in system)
        k, weights, since, entered, ridge = fixed
        own = entered.diagonal(dim1=-2, dim2=-1)[..., None, :]
        diagonal = since * own + weights @ k.square() + ridge
        x = solve(partial(_product, fixed), q, diagonal, steps)
    residual = q - _product(system, x)
    fitted: Tensor = _Solved.apply(residual, x, diagonal, partial(_product, fixed), steps)  # type: ignore[no-untyped-call]
    return fitted


def _product(system: tuple[Tensor, ...], x: Float[Tensor, "n x s k"]) -> Tensor:
    """Multiply the rows of chunks with H + Diag(ridge) of their positions."""
    k, weights, since, entered, ridge = system
    product: Tensor = (x * since) @ entered + ((x @ k.mT) * weights) @ k + x * ridge
    return product


def _chunks(part: Float[Tensor, "b l h *d"], size: int) -> Float[Tensor, "n x s d"]:
    """Cut into chunks, filled up with positions that add nothing and do not decay."""
    part = part if part.ndim == 4 else part[..., None]
    filled = F.pad(part, (0, 0, 0, 0, 0, -part.shape[1] % size))
    chunks: Tensor = filled.unflatten(1, (-1, size)).permute(1, 0, 3, 2, 4).flatten(1, 2)
    return chunks
