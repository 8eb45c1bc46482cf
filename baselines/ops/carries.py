"""The states between the chunks of a sequence, which run from chunk to chunk.

Axes: c channels, b batch, r steps (chunks), n modes, k directions, s real numbers of all carries at
one border (2kn).
"""

import torch
from jaxtyping import Complex, Complex128, Float
from torch import Tensor

from baselines.ops import diagonal


def as_complex(
    carries: Float[Tensor, "c br s"], far: Complex128[Tensor, "c n"]
) -> Complex[Tensor, "c br k n"]:
    """View the real numbers of carries as complex ones; `far` is asked for its n."""
    numbers: Tensor = torch.view_as_complex(carries.unflatten(-1, (-1, far.shape[-1], 2)))
    return numbers


def carry(
    carries: Float[Tensor, "c br s"],
    far: Complex128[Tensor, "c n"],
    state: Complex[Tensor, "c b n"],
    *,
    backwards: bool = False,
) -> Complex[Tensor, "c b n"]:
    """Turn what each chunk adds into the carries before it, in place.

    The past's run from the first chunk to the last and begin with the state, the future's the other
    way; both against their way if backwards. Returns the past's carry after its last.
    """
    past, *future = as_complex(carries, far).unflatten(1, (state.shape[1], -1)).unbind(3)
    for steps in future:
        scan(far, steps, torch.zeros_like(state), reverse=not backwards)
    return scan(far, past, state, reverse=backwards)


def scan(
    pole: Complex128[Tensor, "c n"],
    x: Complex[Tensor, "c b r n"],
    state: Complex[Tensor, "c b n"],
    *,
    reverse: bool = False,
) -> Complex[Tensor, "c b n"]:
    """Replace x_r by the state before it, where x_r leaves pole state + x_r; return the last state.

    Groups of about sqrt(r) steps are walked side by side, and then the groups.
    """
    count = x.shape[2]
    size = 1 << (count.bit_length() // 2)
    if rest := count % size:
        pieces = x.split((count - rest, rest), 2)
        for piece in reversed(pieces) if reverse else pieces:
            state = scan(pole, piece, state, reverse=reverse)
        return state
    groups = x.unflatten(2, (-1, size))
    table = diagonal.powers(pole, size + 1, x.dtype)
    after = torch.zeros_like(groups[:, :, :, 0])
    for step in _order(size, reverse=reverse):
        added = groups[:, :, :, step].clone()
        groups[:, :, :, step] = after
        after = added.addcmul_(table[:, 1, None, None], after)
    before = torch.empty_like(after)
    for group in _order(count // size, reverse=reverse):
        before[:, :, group] = state
        state = torch.addcmul(after[:, :, group], table[:, -1, None], state)
    decay = table[:, :-1].flip(1) if reverse else table[:, :-1]
    groups.addcmul_(decay[:, None, None], before[:, :, :, None])
    return state


def _order(count: int, *, reverse: bool) -> range:
    return range(count)[::-1] if reverse else range(count)


def naive_scan(
    pole: Complex128[Tensor, "c n"],
    x: Complex[Tensor, "c b r n"],
    state: Complex[Tensor, "c b n"],
    *,
    reverse: bool = False,
) -> Complex[Tensor, "c b n"]:
    """Take one step after the other, the twin of `scan`."""
    for step in _order(x.shape[2], reverse=reverse):
        added = x[:, :, step].clone()
        x[:, :, step] = state
        state = pole.to(x.dtype)[:, None] * state + added
    return state
