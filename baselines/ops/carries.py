"""The states between the chunks of a sequence, which run from chunk to chunk.

Axes: c channels, b batch, r steps (chunks), n modes, k directions, s real numbers of all carries at
one border (2kn).
"""

import torch
from jaxtyping import Complex, Complex128, Float
from torch import Tensor

WALKED = 8
"""Steps so few that they are taken one by one."""


def as_complex(
    carries: Float[Tensor, "c br s"], far: Complex128[Tensor, "c n"]
) -> Complex[Tensor, "c br k n"]:
    """View the real numbers of carries as complex ones; `far` is asked for its n."""
    numbers: Tensor = torch.view_as_complex(carries.unflatten(-1, (-1, far.shape[-1], 2)))
    return numbers


def carry(
    sums: Float[Tensor, "c br s"],
    far: Complex128[Tensor, "c n"],
    state: Complex[Tensor, "c b n"],
    *,
    backwards: bool = False,
) -> tuple[Float[Tensor, "c br s"], Complex[Tensor, "c b n"]]:
    """Return the carries before each chunk, of what each chunk adds, and the past's after its last.

    The past's run from the first chunk to the last and begin with the state, the future's the other
    way; both against their way if backwards.
    """
    carries = torch.empty_like(sums)
    (past, *future), (before, *behind) = (
        as_complex(x, far).unflatten(1, (state.shape[1], -1)).unbind(3) for x in (sums, carries)
    )
    for steps, out in zip(future, behind, strict=True):
        scan(far, steps, torch.zeros_like(state), out, reverse=not backwards)
    return carries, scan(far, past, state, before, reverse=backwards)


def scan(
    pole: Complex128[Tensor, "c n"],
    x: Complex[Tensor, "c b r n"],
    state: Complex[Tensor, "c b n"],
    out: Complex[Tensor, "c b r n"],
    *,
    reverse: bool = False,
) -> Complex[Tensor, "c b n"]:
    """Write the states before each step, which leaves pole state + x_r; return the last state.

    Two steps are one of pole^2: pairs are scanned the same way, and then parted, so that every
    operator works on many steps at once.
    """
    count = x.shape[2]
    if count <= WALKED:
        return naive_scan(pole, x, state, out, reverse=reverse)
    if odd := count % 2:
        parts = list(zip(*(z.split((count - odd, odd), 2) for z in (x, out)), strict=True))
        for steps, before in reversed(parts) if reverse else parts:
            state = scan(pole, steps, state, before, reverse=reverse)
        return state
    first, second = (0, 1)[:: -1 if reverse else 1]
    steps, before = (z.unflatten(2, (-1, 2)) for z in (x, out))
    once = pole.to(x.dtype)[:, None, None]
    both = torch.addcmul(steps[:, :, :, second], once, steps[:, :, :, first])
    state = scan(pole * pole, both, state, before[:, :, :, first], reverse=reverse)
    torch.addcmul(steps[:, :, :, first], once, before[:, :, :, first], out=before[:, :, :, second])
    return state


def naive_scan(
    pole: Complex128[Tensor, "c n"],
    x: Complex[Tensor, "c b r n"],
    state: Complex[Tensor, "c b n"],
    out: Complex[Tensor, "c b r n"],
    *,
    reverse: bool = False,
) -> Complex[Tensor, "c b n"]:
    """Take one step after the other, the twin of `scan`."""
    order = range(x.shape[2])
    for step in reversed(order) if reverse else order:
        out[:, :, step] = state
        state = torch.addcmul(x[:, :, step], pole.to(x.dtype)[:, None], state)
    return state
